//! An error status of the service, with its details decoded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::code_name;
use crate::printable::printable;

/// An error status with which the service replied: [`Error::service`](crate::Error::service)
/// returns it.
///
/// Decide by [`code`](Self::code) and [`reason`](Self::reason), not by the message. The code alone
/// isn't enough: a missing role and a disabled API are both `PERMISSION_DENIED`.
///
/// ```
/// use gcp_iam_credentials::{Code, call::ServiceError};
///
/// fn is_missing_role(error: &ServiceError) -> bool {
///     error.code() == Code::PermissionDenied
///         && matches!(error.reason(), None | Some("IAM_PERMISSION_DENIED"))
/// }
///
/// # async fn call(client: gcp_iam_credentials::IamCredentialsClient) {
/// let call = client.sign_blob("sa@project.iam.gserviceaccount.com", "x");
/// if let Err(error) = call.await {
///     if let Some(service) = error.service().filter(|s| is_missing_role(s)) {
///         println!("the caller lacks {:?}", service.permission());
///     }
/// }
/// # }
/// ```
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

    /// Returns the status code.
    pub fn code(&self) -> Code {
        self.status.code()
    }

    /// Returns the server's message.
    pub fn message(&self) -> &str {
        self.status.message()
    }

    /// Returns the machine-readable reason (`ErrorInfo.reason`): `IAM_PERMISSION_DENIED` or
    /// `SERVICE_DISABLED`, for example.
    pub fn reason(&self) -> Option<&str> {
        Some(self.details.error_info()?.reason.as_str())
    }

    /// Returns the domain that defines the reason (`ErrorInfo.domain`): `iam.googleapis.com`, for
    /// example.
    pub fn domain(&self) -> Option<&str> {
        Some(self.details.error_info()?.domain.as_str())
    }

    /// Returns an entry of `ErrorInfo.metadata`: `permission` or `service`, for example.
    pub fn info(&self, key: &str) -> Option<&str> {
        Some(self.details.error_info()?.metadata.get(key)?.as_str())
    }

    /// Returns the permission that the caller lacks, if the service named it:
    /// `iam.serviceAccounts.getAccessToken`, for example.
    pub fn permission(&self) -> Option<&str> {
        self.info("permission")
    }

    /// Returns how long the server asks to wait before the next attempt (`RetryInfo`).
    pub fn retry_delay(&self) -> Option<Duration> {
        self.details.retry_info()?.retry_delay
    }

    /// Returns all standard details of the status, decoded.
    pub fn details(&self) -> &ErrorDetails {
        &self.details
    }

    /// Returns the metadata of the reply: headers and trailers.
    pub fn metadata(&self) -> &MetadataMap {
        self.status.metadata()
    }

    /// Returns the status as tonic received it.
    pub fn status(&self) -> &Status {
        &self.status
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(code_name(self.code()))?;
        if !self.message().is_empty() {
            write!(f, ": {}", printable(self.message()))?;
        }
        match self.reason() {
            Some(reason) => write!(f, " [{}]", printable(reason)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The metadata is left out: it is long, and nobody has checked it for secrets.
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
        let error = refused(Code::Unknown, "", ErrorDetails::new());
        assert_eq!(error.to_string(), "UNKNOWN");
        let error = error.during("generate_access_token", "x@example.com", 1);
        assert_eq!(
            error.to_string(),
            "generate_access_token for x@example.com: unable to impersonate: UNKNOWN"
        );
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
    fn an_error_keeps_tonics_status() {
        let error = refused(Code::Aborted, "again", ErrorDetails::new());
        let status = error.get_ref().and_then(|status| status.downcast_ref::<Status>()).unwrap();
        assert_eq!((status.code(), status.message()), (Code::Aborted, "again"));
        assert_eq!(error.service().unwrap().status().message(), "again");
    }
}
