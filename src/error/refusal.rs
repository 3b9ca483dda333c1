//! The reasons why a request is refused.

mod advice;

use tonic::Code;

pub(super) use self::advice::PLACEHOLDERS;
pub(crate) use self::advice::Remedy;
use super::ServiceError;
use crate::roles;

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
pub(super) mod tests {
    use std::collections::HashMap;

    use tonic::Status;
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;
    use crate::Error;

    pub(super) fn reason(reason: &str, metadata: &[(&str, &str)]) -> ErrorDetails {
        let metadata: HashMap<String, String> =
            metadata.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        ErrorDetails::with_error_info(reason, "iam.googleapis.com", metadata)
    }

    pub(super) fn service(code: Code, details: ErrorDetails) -> ServiceError {
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
}
