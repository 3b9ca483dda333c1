//! What to do about a refused request.

use super::RefusalCause;
use crate::error::access_path::{AccessPath, NeededGrant, add_binding};
use crate::roles::{self, SERVICE_USAGE_CONSUMER};
use crate::{scopes, shell};

/// What commands contain in place of a project that isn't known.
const UNKNOWN_PROJECT: &str = "PROJECT";

/// What commands contain in place of names that aren't known, each after the text before it.
pub(in crate::error) const PLACEHOLDERS: [(&str, &str); 3] = [
    ("--member=", roles::UNKNOWN_MEMBER),
    ("--project=", UNKNOWN_PROJECT),
    ("gcloud projects add-iam-policy-binding ", UNKNOWN_PROJECT),
];

const NEW_ACCOUNT: &str = " (a new account takes minutes to become visible)";
const NEW_GRANT: &str =
    " (if the account exists and isn't disabled; a new grant takes minutes to take effect)";
const LIKELY_MEMBER: &str = " (the member is likely this one: the identity provider's mapping decides)";
const LOGIN: &str = "gcloud auth application-default login";
const OF_A_LOGIN: &str = "; for a user's login";

/// What to do about a refusal.
pub(crate) struct Remedy {
    pub(crate) words: String,
    /// What else is good to know, in brackets. May be empty.
    pub(crate) note: &'static str,
    pub(crate) command: Option<String>,
    /// Whether the command resolves it, and doesn't only show more.
    pub(crate) changes: bool,
    /// The command that shows whether something else is wrong, which the reply doesn't tell apart.
    pub(crate) check: Option<String>,
}

impl RefusalCause {
    /// Returns the `gcloud` command that resolves it, or that shows more, if `member` was refused
    /// access to `account`.
    pub(crate) fn command(&self, account: &str, member: &str) -> Option<String> {
        match self {
            Self::MissingRole { .. } => {
                Some(add_binding(account, member, roles::granted_to(member, self.permission())))
            }
            Self::UnknownAccount => Some(describe(account)),
            Self::ApiDisabled { api, project } => {
                let project = format!("--project={}", project.as_deref().unwrap_or(UNKNOWN_PROJECT));
                Some(shell::command(["gcloud", "services", "enable", &shell::operand(api), &project]))
            }
            Self::ScopeInsufficient if may_be_login(member) => {
                Some(format!("{LOGIN} --scopes={}", scopes::CLOUD_PLATFORM))
            }
            Self::QuotaProjectDenied { project } => {
                let project = shell::operand(project.as_deref().unwrap_or(UNKNOWN_PROJECT));
                let (member, role) =
                    (format!("--member={member}"), format!("--role={SERVICE_USAGE_CONSUMER}"));
                let words = ["gcloud", "projects", "add-iam-policy-binding", &project, &member, &role];
                Some(shell::command(words))
            }
            Self::SourceTokenRejected if may_be_login(member) => Some(LOGIN.to_owned()),
            Self::ScopeInsufficient | Self::SourceTokenRejected | Self::SourceTokenExpired => None,
        }
    }

    /// Returns what to do about it, if `member` was refused access to `account`.
    pub(crate) fn remedy(&self, account: &str, member: &str) -> Remedy {
        let (mut words, note) = match self {
            Self::MissingRole { .. } => {
                let role = roles::granted_to(member, self.permission());
                (grant_words(role, self.permission(), account), NEW_GRANT)
            }
            Self::UnknownAccount => {
                (format!("check that {account} exists, is spelled correctly and isn't disabled"), NEW_ACCOUNT)
            }
            Self::ApiDisabled { .. } => ("enable the API".to_owned(), ""),
            Self::ScopeInsufficient => {
                let (wide, narrow) = (scopes::CLOUD_PLATFORM, scopes::IAM);
                (format!("request the source token with the scope {wide} or {narrow}"), "")
            }
            Self::QuotaProjectDenied { .. } => {
                (format!("remove the quota project, or grant {SERVICE_USAGE_CONSUMER} on it"), "")
            }
            Self::SourceTokenExpired => {
                ("check the machine's clock: the source token has expired".to_owned(), "")
            }
            Self::SourceTokenRejected => ("check the credentials that the program runs with".to_owned(), ""),
        };
        let command = self.command(account, member);
        if command.as_ref().is_some_and(|command| command.starts_with(LOGIN)) {
            words += OF_A_LOGIN;
        }
        let check = matches!(self, Self::MissingRole { .. }).then(|| describe(account));
        Remedy { words, note, command, changes: *self != Self::UnknownAccount, check }
    }

    /// Returns what to do about the refusal of a request that takes this path. Without a command if
    /// several grants may be missing.
    pub(crate) fn remedy_on(&self, path: &AccessPath) -> Remedy {
        match self {
            Self::MissingRole { .. } | Self::UnknownAccount if path.has_delegates() => {
                Remedy { words: self.advice(path), note: "", command: None, changes: false, check: None }
            }
            cause => cause.remedy(path.target(), &path.calling_member()),
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
            cause => cause.remedy_on(path).in_one_line(),
        }
    }
}

impl Remedy {
    fn in_one_line(&self) -> String {
        let Self { words, note, command, .. } = self;
        match command {
            Some(command) => format!("{words}: {command}{note}"),
            None => format!("{words}{note}"),
        }
    }
}

/// Returns the command that shows whether an account exists and is enabled.
fn describe(account: &str) -> String {
    shell::command(["gcloud", "iam", "service-accounts", "describe", &shell::operand(account)])
}

/// Whether the credentials of this member may be those of a login at this machine.
fn may_be_login(member: &str) -> bool {
    !member.starts_with(roles::SERVICE_ACCOUNT) && !roles::is_federated(member)
}

fn grant_words(role: &str, permission: Option<&str>, account: &str) -> String {
    let permission = permission.unwrap_or("the permission");
    format!("grant {role}, which includes {permission}, on {account}")
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
            let words = grant_words(grant.role, named.or(needed), grant.account);
            let likely = if path.is_caller_likely { LIKELY_MEMBER } else { "" };
            format!("{words}: {}{likely}{NEW_GRANT}", grant.command())
        }
        grants => {
            let shown =
                |grant: &NeededGrant<'_>| format!("{} on {} for {}", grant.role, grant.account, grant.member);
            let shown: Vec<String> = grants.iter().map(shown).collect();
            format!("find out with `Impersonation::diagnose` which grant is missing: {}", shown.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::super::tests::{reason, service};
    use super::*;
    use crate::Error;
    use crate::printable::printable;

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
