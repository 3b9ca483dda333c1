//! An error status of the service, with its details decoded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::code_name;
use crate::roles::{self, SERVICE_USAGE_CONSUMER, TOKEN_CREATOR};

/// An error status that the service answered with.
///
/// Tell cases apart by [`code`](Self::code) and [`reason`](Self::reason), not by the message:
/// a missing role and a disabled API, for instance, both are `PERMISSION_DENIED`.
#[derive(Clone)]
pub struct ServiceError {
    status: Arc<Status>,
    details: Arc<ErrorDetails>,
}

impl ServiceError {
    pub(crate) fn new(status: Status) -> Self {
        let details = Arc::new(status.get_error_details());
        Self { status: Arc::new(status), details }
    }

    pub(crate) fn shared_status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// The status code.
    pub fn code(&self) -> Code {
        self.status.code()
    }

    /// The server's own words.
    pub fn message(&self) -> &str {
        self.status.message()
    }

    /// The machine-readable reason (`ErrorInfo.reason`), as `IAM_PERMISSION_DENIED` or
    /// `SERVICE_DISABLED`.
    pub fn reason(&self) -> Option<&str> {
        Some(self.details.error_info()?.reason.as_str())
    }

    /// Who gives the reason its meaning (`ErrorInfo.domain`), as `iam.googleapis.com`.
    pub fn domain(&self) -> Option<&str> {
        Some(self.details.error_info()?.domain.as_str())
    }

    /// An entry of `ErrorInfo.metadata`, as `permission` or `service`.
    pub fn info(&self, key: &str) -> Option<&str> {
        Some(self.details.error_info()?.metadata.get(key)?.as_str())
    }

    /// The permission that the caller lacks, as `iam.serviceAccounts.getAccessToken`.
    pub fn permission(&self) -> Option<&str> {
        self.info("permission")
    }

    /// How long the server asks to wait before another attempt (`RetryInfo`).
    pub fn retry_delay(&self) -> Option<Duration> {
        self.details.retry_info()?.retry_delay
    }

    /// All standard details of the status, decoded.
    pub fn details(&self) -> &ErrorDetails {
        &self.details
    }

    /// The metadata that came with the status: headers and trailers.
    pub fn metadata(&self) -> &MetadataMap {
        self.status.metadata()
    }

    /// What to do about it, given the call that failed and the account it was about.
    pub(super) fn hint(&self, operation: Option<&str>, account: Option<&str>) -> Option<String> {
        let account = account.unwrap_or("the target account");
        let hint = match (self.code(), self.reason()) {
            (_, Some("SERVICE_DISABLED")) => {
                let project = self
                    .info("consumer")
                    .map_or("PROJECT", |consumer| consumer.strip_prefix("projects/").unwrap_or(consumer));
                let service = self.info("service").unwrap_or("iamcredentials.googleapis.com");
                format!("enable the API: gcloud services enable {service} --project={project}")
            }
            (_, Some("ACCESS_TOKEN_SCOPE_INSUFFICIENT")) => format!(
                "the source token needs the scope {} or {}",
                crate::scopes::CLOUD_PLATFORM,
                crate::scopes::IAM
            ),
            (_, Some("USER_PROJECT_DENIED")) => {
                let project = self.info("consumer").unwrap_or("the quota project");
                format!("the caller needs {SERVICE_USAGE_CONSUMER} on {project}, or unset the quota project")
            }
            (Code::PermissionDenied, None | Some("IAM_PERMISSION_DENIED")) => {
                let permission = self
                    .permission()
                    .or_else(|| operation.and_then(needed_permission))
                    .unwrap_or("the permission");
                format!(
                    "{permission} on {account} is in {role}; if the account exists, grant the role to the caller: \
                     gcloud iam service-accounts add-iam-policy-binding {account} --member=CALLER --role={role} \
                     (a new grant takes minutes to spread)",
                    role = role_with(permission),
                )
            }
            (Code::NotFound, _) => {
                format!(
                    "check that {account} exists and is spelt right; a new account takes minutes to spread"
                )
            }
            (Code::Unauthenticated, Some("ACCESS_TOKEN_EXPIRED")) => {
                "the source token has expired: check the machine's clock".to_owned()
            }
            (Code::Unauthenticated, _) => {
                "the source token was refused: check the credentials the program runs with".to_owned()
            }
            _ => return None,
        };
        Some(hint)
    }
}

/// The permission that a call needs on its target, for replies that do not name it.
fn needed_permission(operation: &str) -> Option<&'static str> {
    match operation {
        "generate_access_token" => Some(roles::GET_ACCESS_TOKEN),
        "generate_id_token" => Some(roles::GET_OPEN_ID_TOKEN),
        "sign_blob" => Some(roles::SIGN_BLOB),
        "sign_jwt" => Some(roles::SIGN_JWT),
        _ => None,
    }
}

/// The predefined role to grant for a permission: Token Creator holds them all.
fn role_with(permission: &str) -> &'static str {
    match permission {
        roles::USE_SERVICES => SERVICE_USAGE_CONSUMER,
        _ => TOKEN_CREATOR,
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(code_name(self.code()))?;
        if !self.message().is_empty() {
            write!(f, ": {}", self.message())?;
        }
        match self.reason() {
            Some(reason) => write!(f, " [{reason}]"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The metadata is left out: it is the server's, long, and nobody vouches for it.
        f.debug_struct("ServiceError")
            .field("code", &self.code())
            .field("message", &self.message())
            .field("details", &self.details)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::error::Error as _;

    use super::*;
    use crate::{Error, ErrorKind};

    fn refused(code: Code, message: &str, details: ErrorDetails) -> Error {
        let status = Status::with_error_details(code, message, details);
        Error::status(ServiceError::new(status), false)
    }

    fn reason(reason: &str, metadata: &[(&str, &str)]) -> ErrorDetails {
        let metadata: HashMap<String, String> =
            metadata.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        ErrorDetails::with_error_info(reason, "iam.googleapis.com", metadata)
    }

    /// conf: G44
    #[test]
    fn every_code_comes_through_under_its_name() {
        for number in 0..17 {
            let code = Code::from_i32(number);
            let error = refused(code, "why", ErrorDetails::new());
            assert_eq!(error.kind(), ErrorKind::Service);
            assert_eq!(error.code(), code);
            assert!(error.to_string().contains(code_name(code)), "{error}");
            let words = code_name(code).replace('_', "").to_lowercase();
            assert_eq!(words, format!("{code:?}").to_lowercase());
        }
    }

    /// conf: P28, P21
    #[test]
    fn a_structured_error_shows_its_canonical_status_and_the_servers_text() {
        let error = refused(Code::NotFound, "Not found; Gaia id not found for email x", ErrorDetails::new())
            .during("generate_access_token", "x@example.com", 1);
        let text = error.to_string();
        assert!(text.contains("NOT_FOUND: Not found; Gaia id not found for email x"), "{text}");
        assert!(text.starts_with("generate_access_token for x@example.com: unable to impersonate"), "{text}");
    }

    /// conf: P28
    #[test]
    fn an_error_without_structure_is_a_plain_one() {
        let text = refused(Code::Unknown, "", ErrorDetails::new()).to_string();
        assert_eq!(text, "unable to impersonate: UNKNOWN");
    }

    /// conf: G45
    #[test]
    fn all_ten_kinds_of_details_are_decoded() {
        let mut sent = reason("WHY", &[("permission", "iam.x")]);
        sent.set_retry_info(Some(Duration::from_millis(1500)))
            .set_debug_info(["frame".to_owned()], "detail")
            .add_quota_failure_violation("subject", "too much")
            .add_precondition_failure_violation("TOS", "subject", "not met")
            .add_bad_request_violation("field", "bad")
            .set_request_info("id", "data")
            .set_resource_info("type", "name", "owner", "gone")
            .add_help_link("console", "https://example.com")
            .set_localized_message("de", "nein");
        let error = refused(Code::PermissionDenied, "no", sent);
        let service = error.service().unwrap();
        let got = service.details();
        assert_eq!(got.error_info().unwrap().reason, "WHY");
        assert_eq!(service.domain(), Some("iam.googleapis.com"));
        assert_eq!(service.permission(), Some("iam.x"));
        assert_eq!(service.retry_delay(), Some(Duration::from_millis(1500)));
        assert_eq!(got.debug_info().unwrap().stack_entries, ["frame"]);
        assert_eq!(got.quota_failure().unwrap().violations[0].description, "too much");
        assert_eq!(got.precondition_failure().unwrap().violations[0].r#type, "TOS");
        assert_eq!(got.bad_request().unwrap().field_violations[0].field, "field");
        assert_eq!(got.request_info().unwrap().request_id, "id");
        assert_eq!(got.resource_info().unwrap().resource_name, "name");
        assert_eq!(got.help().unwrap().links[0].url, "https://example.com");
        assert_eq!(got.localized_message().unwrap().message, "nein");
    }

    /// conf: G46
    #[test]
    fn the_source_chain_keeps_tonics_status() {
        let error = refused(Code::Aborted, "again", ErrorDetails::new());
        let status = error.source().and_then(|source| source.downcast_ref::<Status>()).unwrap();
        assert_eq!((status.code(), status.message()), (Code::Aborted, "again"));
    }

    #[test]
    fn hints_go_by_the_reason() {
        for (details, expected) in [
            (
                reason("IAM_PERMISSION_DENIED", &[("permission", "iam.serviceAccounts.signBlob")]),
                TOKEN_CREATOR,
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
            (reason("USER_PROJECT_DENIED", &[("consumer", "projects/7")]), "projects/7"),
        ] {
            let error = refused(Code::PermissionDenied, "no", details).during(
                "generate_access_token",
                "sa@example.com",
                1,
            );
            let hint = error.hint().unwrap();
            assert!(hint.contains(expected), "{hint}");
            assert!(error.to_string().ends_with(&hint), "{error}");
        }
    }
}
