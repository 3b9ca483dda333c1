//! The reasons why a request is refused, and what to do about each.

use tonic::Code;

use super::ServiceError;
use super::access_path::{AccessPath, NeededGrant, add_binding};
use crate::roles::{self, SERVICE_USAGE_CONSUMER};
use crate::{scopes, shell};

/// What commands contain in place of a project that isn't known.
const UNKNOWN_PROJECT: &str = "PROJECT";

const NEW_ACCOUNT: &str = " (a new account takes minutes to become visible)";
const NEW_GRANT: &str = " (if the account exists; a new grant takes minutes to take effect)";
const LIKELY_MEMBER: &str = " (the member is likely this one: the identity provider's mapping decides)";
const LOGIN: &str = "gcloud auth application-default login";

/// The reason why IAM, or the front end before it, refused a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RefusalCause {
    /// The caller lacks a permission on the account, or the account doesn't exist: IAM doesn't tell
    /// which.
    MissingRole {
        /// The permission that the service named.
        named: Option<Box<str>>,
        /// The permission that the call needs on its target.
        needed: Option<&'static str>,
    },
    /// The account doesn't exist, or isn't visible yet.
    UnknownAccount,
    /// The API isn't enabled in the project of the caller.
    ApiDisabled {
        /// The API's name: `iamcredentials.googleapis.com`.
        api: Box<str>,
        /// The project's number or id, if the service named it.
        project: Option<Box<str>>,
    },
    /// The scopes of the source token don't include the API.
    ScopeInsufficient,
    /// The caller may not use the quota project.
    QuotaProjectDenied {
        /// The project's number or id, if the service named it.
        project: Option<Box<str>>,
    },
    /// The source token had expired when it arrived.
    SourceTokenExpired,
    /// The source token was rejected for another reason.
    SourceTokenRejected,
}

impl RefusalCause {
    /// Classifies a reply to the call `operation`: by the machine-readable reason, then by the
    /// code, never by the message. Returns `None` if the reply isn't a refusal, or one of unknown
    /// cause.
    pub(crate) fn of(service: &ServiceError, operation: Option<&str>) -> Option<Self> {
        let project = || {
            let consumer = service.info("consumer")?;
            Some(consumer.strip_prefix("projects/").unwrap_or(consumer).into())
        };
        match (service.code(), service.reason()) {
            (_, Some("SERVICE_DISABLED")) => Some(Self::ApiDisabled {
                api: service.info("service").unwrap_or("iamcredentials.googleapis.com").into(),
                project: project(),
            }),
            (_, Some("ACCESS_TOKEN_SCOPE_INSUFFICIENT")) => Some(Self::ScopeInsufficient),
            (_, Some("USER_PROJECT_DENIED")) => Some(Self::QuotaProjectDenied { project: project() }),
            (Code::PermissionDenied, None | Some("IAM_PERMISSION_DENIED")) => Some(Self::MissingRole {
                named: service.permission().map(Into::into),
                needed: operation.and_then(needed_permission),
            }),
            (Code::NotFound, _) => Some(Self::UnknownAccount),
            (Code::Unauthenticated, Some("ACCESS_TOKEN_EXPIRED")) => Some(Self::SourceTokenExpired),
            (Code::Unauthenticated, _) => Some(Self::SourceTokenRejected),
            _ => None,
        }
    }

    /// Returns the missing permission: the one that the service named, or else the one that the call
    /// needs on its target.
    pub(crate) fn permission(&self) -> Option<&str> {
        match self {
            Self::MissingRole { named, needed } => named.as_deref().or(*needed),
            _ => None,
        }
    }

    /// Returns the `gcloud` command that resolves it, or that shows more, if `member` was refused
    /// access to `account`.
    pub(crate) fn command(&self, account: &str, member: &str) -> Option<String> {
        match self {
            Self::MissingRole { .. } => {
                Some(add_binding(account, member, roles::granted_to(member, self.permission())))
            }
            Self::UnknownAccount => {
                let account = shell::operand(account);
                Some(shell::command(["gcloud", "iam", "service-accounts", "describe", &account]))
            }
            Self::ApiDisabled { api, project } => {
                let project = format!("--project={}", project.as_deref().unwrap_or(UNKNOWN_PROJECT));
                Some(shell::command(["gcloud", "services", "enable", &shell::operand(api), &project]))
            }
            Self::ScopeInsufficient => Some(format!("{LOGIN} --scopes={}", scopes::CLOUD_PLATFORM)),
            Self::QuotaProjectDenied { project } => {
                let project = shell::operand(project.as_deref().unwrap_or(UNKNOWN_PROJECT));
                let (member, role) =
                    (format!("--member={member}"), format!("--role={SERVICE_USAGE_CONSUMER}"));
                let words = ["gcloud", "projects", "add-iam-policy-binding", &project, &member, &role];
                Some(shell::command(words))
            }
            Self::SourceTokenRejected => Some(LOGIN.to_owned()),
            Self::SourceTokenExpired => None,
        }
    }

    /// Returns what to do about the refusal of a request that takes this path, in one line.
    pub(crate) fn advice(&self, path: &AccessPath) -> String {
        match self {
            Self::MissingRole { named, needed } => missing_role_advice(named.as_deref(), *needed, path),
            Self::UnknownAccount if path.has_delegates() => {
                let accounts = path.accounts.join(", ");
                format!(
                    "check that each of these accounts exists and is spelled correctly: {accounts}{NEW_ACCOUNT}"
                )
            }
            Self::UnknownAccount => {
                let advice = format!("check that {} exists and is spelled correctly", path.target());
                self.with_command(&advice, path) + NEW_ACCOUNT
            }
            Self::ApiDisabled { .. } => self.with_command("enable the API", path),
            Self::ScopeInsufficient => {
                let (wide, narrow) = (scopes::CLOUD_PLATFORM, scopes::IAM);
                let advice =
                    format!("request the source token with the scope {wide} or {narrow}; for a user's login");
                self.with_command(&advice, path)
            }
            Self::QuotaProjectDenied { .. } => {
                let role = SERVICE_USAGE_CONSUMER;
                self.with_command(&format!("remove the quota project, or grant {role} on it"), path)
            }
            Self::SourceTokenExpired => "check the machine's clock: the source token has expired".to_owned(),
            Self::SourceTokenRejected => self
                .with_command("check the credentials that the program runs with; for a user's login", path),
        }
    }

    fn with_command(&self, advice: &str, path: &AccessPath) -> String {
        match self.command(path.target(), &path.calling_member()) {
            Some(command) => format!("{advice}: {command}"),
            None => advice.to_owned(),
        }
    }
}

/// Names the grant that is missing. If a reply doesn't tell which one it is, names all that the path
/// needs.
fn missing_role_advice(named: Option<&str>, needed: Option<&str>, path: &AccessPath) -> String {
    let on_target = named.filter(|named| *named != roles::IMPLICIT_DELEGATION).or(needed);
    let mut grants = path.needed_grants(on_target);
    if named == Some(roles::IMPLICIT_DELEGATION) && path.has_delegates() {
        // A delegate may not be used. The target has nothing to do with it.
        grants.pop();
    }
    match &grants[..] {
        [grant] => {
            let permission = named.or(needed).unwrap_or("the permission");
            let NeededGrant { role, account, .. } = grant;
            let likely = if path.is_caller_likely { LIKELY_MEMBER } else { "" };
            let command = grant.command();
            format!("grant {role}, which includes {permission}, on {account}: {command}{likely}{NEW_GRANT}")
        }
        grants => {
            let shown =
                |grant: &NeededGrant<'_>| format!("{} on {} for {}", grant.role, grant.account, grant.member);
            let shown: Vec<String> = grants.iter().map(shown).collect();
            format!("find out with `Impersonation::diagnose` which grant is missing: {}", shown.join(", "))
        }
    }
}

/// The permission that a call needs on its target.
fn needed_permission(operation: &str) -> Option<&'static str> {
    match operation {
        "generate_access_token" => Some(roles::GET_ACCESS_TOKEN),
        "generate_id_token" => Some(roles::GET_OPEN_ID_TOKEN),
        "sign_blob" => Some(roles::SIGN_BLOB),
        "sign_jwt" => Some(roles::SIGN_JWT),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic::Status;
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;
    use crate::Error;
    use crate::printable::printable;

    fn reason(reason: &str, metadata: &[(&str, &str)]) -> ErrorDetails {
        let metadata: HashMap<String, String> =
            metadata.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        ErrorDetails::with_error_info(reason, "iam.googleapis.com", metadata)
    }

    fn service(code: Code, details: ErrorDetails) -> ServiceError {
        ServiceError::new(Status::with_error_details(code, "no", details))
    }

    #[test]
    fn the_reason_decides_the_advice() {
        for (details, expected) in [
            (
                reason("IAM_PERMISSION_DENIED", &[("permission", "iam.serviceAccounts.signBlob")]),
                roles::TOKEN_CREATOR,
            ),
            (ErrorDetails::new(), "iam.serviceAccounts.getAccessToken"),
            (
                reason(
                    "SERVICE_DISABLED",
                    &[("consumer", "projects/42"), ("service", "iamcredentials.googleapis.com")],
                ),
                "gcloud services enable iamcredentials.googleapis.com --project=42",
            ),
            (reason("ACCESS_TOKEN_SCOPE_INSUFFICIENT", &[]), "auth/cloud-platform"),
            (
                reason("USER_PROJECT_DENIED", &[("consumer", "projects/7")]),
                "gcloud projects add-iam-policy-binding 7 --member",
            ),
        ] {
            let error = Error::status(service(Code::PermissionDenied, details), false);
            let error = error.during("generate_access_token", "sa@example.com", 1);
            let hint = error.hint().unwrap();
            assert!(hint.contains(expected), "{hint}");
            assert!(error.to_string().ends_with(&hint), "{error}");
        }
    }

    #[test]
    fn the_code_decides_if_there_is_no_reason() {
        for (code, cause) in [
            (Code::NotFound, Some(RefusalCause::UnknownAccount)),
            (Code::Unauthenticated, Some(RefusalCause::SourceTokenRejected)),
            (Code::Unavailable, None),
            (Code::InvalidArgument, None),
        ] {
            assert_eq!(RefusalCause::of(&service(code, ErrorDetails::new()), Some("sign_jwt")), cause);
        }
        let expired = service(Code::Unauthenticated, reason("ACCESS_TOKEN_EXPIRED", &[]));
        assert_eq!(RefusalCause::of(&expired, None), Some(RefusalCause::SourceTokenExpired));
        let unknown = service(Code::PermissionDenied, reason("SOMETHING_NEW", &[]));
        assert_eq!(RefusalCause::of(&unknown, Some("sign_jwt")), None);
    }

    #[test]
    fn a_missing_permission_is_the_one_named_or_the_one_that_the_call_needs() {
        let named = || reason("IAM_PERMISSION_DENIED", &[("permission", "iam.x")]);
        for (details, operation, expected) in [
            (named(), Some("sign_blob"), Some("iam.x")),
            (ErrorDetails::new(), Some("generate_access_token"), Some(roles::GET_ACCESS_TOKEN)),
            (ErrorDetails::new(), Some("generate_id_token"), Some(roles::GET_OPEN_ID_TOKEN)),
            (ErrorDetails::new(), Some("sign_blob"), Some(roles::SIGN_BLOB)),
            (ErrorDetails::new(), Some("sign_jwt"), Some(roles::SIGN_JWT)),
            (ErrorDetails::new(), None, None),
        ] {
            let cause = RefusalCause::of(&service(Code::PermissionDenied, details), operation).unwrap();
            assert!(matches!(cause, RefusalCause::MissingRole { .. }));
            assert_eq!(cause.permission(), expected);
        }
    }

    /// Returns the advice for a refused call over these accounts.
    fn advice(
        operation: &'static str,
        named: Option<&str>,
        caller: Option<&str>,
        accounts: &[&str],
    ) -> String {
        let details = named.map(|named| reason("IAM_PERMISSION_DENIED", &[("permission", named)]));
        let error = Error::status(service(Code::PermissionDenied, details.unwrap_or_default()), false);
        let path = || AccessPath {
            caller: caller.map(Into::into),
            is_caller_likely: false,
            accounts: accounts.iter().map(|account| (*account).into()).collect(),
        };
        error.during(operation, accounts[accounts.len() - 1], 1).on_path(path).hint().unwrap()
    }

    const ME: Option<&str> = Some("me@example.com");
    const KEY: Option<&str> = Some("key@p.iam.gserviceaccount.com");
    const IMPLICIT: Option<&str> = Some(roles::IMPLICIT_DELEGATION);

    /// conf: A12
    #[test]
    fn advice_names_the_member_and_the_narrowest_role() {
        for (operation, named, caller, command) in [
            (
                "generate_access_token",
                None,
                ME,
                "--member=user:me@example.com --role=roles/iam.serviceAccountTokenCreator",
            ),
            (
                "generate_id_token",
                None,
                KEY,
                "--member=serviceAccount:key@p.iam.gserviceaccount.com --role=roles/iam.serviceAccountOpenIdTokenCreator",
            ),
            (
                "generate_id_token",
                Some(roles::GET_OPEN_ID_TOKEN),
                ME,
                "--member=user:me@example.com --role=roles/iam.serviceAccountOpenIdTokenCreator",
            ),
            (
                "sign_blob",
                Some(roles::SIGN_BLOB),
                ME,
                "--member=user:me@example.com --role=roles/iam.serviceAccountTokenCreator",
            ),
            ("sign_jwt", None, None, "--member=MEMBER --role=roles/iam.serviceAccountTokenCreator"),
        ] {
            let advice = advice(operation, named, caller, &["t@p"]);
            let command =
                format!("on t@p: gcloud iam service-accounts add-iam-policy-binding t@p {command} (");
            assert!(advice.contains(&command), "{advice}");
        }
    }

    /// conf: A12
    #[test]
    fn advice_for_a_delegate_that_may_not_be_used_names_the_delegate() {
        let advice = advice("generate_id_token", IMPLICIT, KEY, &["d@p", "t@p"]);
        let command = "add-iam-policy-binding d@p --member=serviceAccount:key@p.iam.gserviceaccount.com \
                       --role=roles/iam.serviceAccountTokenCreator";
        assert!(advice.contains("implicitDelegation, on d@p: ") && advice.contains(command), "{advice}");
        assert!(!advice.contains("t@p"), "{advice}");
    }

    /// conf: A12
    #[test]
    fn advice_about_an_uncertain_hop_points_to_the_diagnosis_and_never_grants_the_caller_the_target() {
        const TOKEN_CREATOR: &str = "roles/iam.serviceAccountTokenCreator";
        const OPENID: &str = "roles/iam.serviceAccountOpenIdTokenCreator";
        for (operation, named, delegates, last) in [
            ("generate_access_token", None, 1, Some(TOKEN_CREATOR)),
            ("generate_access_token", Some(roles::GET_ACCESS_TOKEN), 2, Some(TOKEN_CREATOR)),
            ("generate_id_token", None, 2, Some(OPENID)),
            ("generate_id_token", Some(roles::GET_OPEN_ID_TOKEN), 1, Some(OPENID)),
            ("sign_jwt", IMPLICIT, 2, None),
        ] {
            let accounts = ["d1@p", "d2@p", "d3@p"];
            let accounts = [&accounts[..delegates], &["t@p"]].concat();
            let advice = advice(operation, named, ME, &accounts);
            let start = format!(
                "find out with `Impersonation::diagnose` which grant is missing: {TOKEN_CREATOR} on d1@p for user:me@example.com, "
            );
            assert!(advice.starts_with(&start), "{advice}");
            let target = advice.split(", ").find(|grant| grant.contains(" on t@p "));
            let expected =
                last.map(|role| format!("{role} on t@p for serviceAccount:{}", accounts[delegates - 1]));
            assert_eq!(target, expected.as_deref());
            assert!(!advice.contains("gcloud"), "{advice}");
        }
    }

    /// conf: A13
    #[test]
    fn names_from_files_and_replies_are_one_word_of_a_command_and_no_option() {
        let hostile = "--x'; $(id) `id` \"\n\u{1b}[2J&";
        let shown = printable(hostile).into_owned();
        let operand = format!("_{}", &shown[1..]);
        let flag = |name: &str, value: &str| format!("--{name}={value}");
        let project = || Some(hostile.into());
        for (cause, expected) in [
            (
                RefusalCause::MissingRole { named: None, needed: None },
                vec![operand.clone(), flag("member", &shown)],
            ),
            (RefusalCause::UnknownAccount, vec![operand.clone()]),
            (
                RefusalCause::ApiDisabled { api: hostile.into(), project: project() },
                vec![operand.clone(), flag("project", &shown)],
            ),
            (
                RefusalCause::QuotaProjectDenied { project: project() },
                vec![operand.clone(), flag("member", &shown)],
            ),
        ] {
            let command = cause.command(hostile, hostile).unwrap();
            let words = shlex::split(&command).unwrap();
            assert!(words.iter().all(|word| !word.contains("id") || expected.contains(word)), "{words:?}");
            assert!(expected.iter().all(|word| words.contains(word)), "{words:?} without {expected:?}");
        }
    }
}
