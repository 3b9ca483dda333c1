//! The names of the headers that Google's APIs and gRPC use, and the check of a quota project.

use http::{HeaderName, HeaderValue};

use crate::Error;

/// The locations in which the token of the request may be used, as a hexadecimal bitmap.
pub(crate) const ALLOWED_LOCATIONS: HeaderName = HeaderName::from_static("x-allowed-locations");
/// The versions of the client's language and libraries, and what kind of credentials it uses.
pub(crate) const API_CLIENT: HeaderName = HeaderName::from_static("x-goog-api-client");
/// An API key. This crate never sends one.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
/// The fields of the request that Google routes it by.
pub(crate) const REQUEST_PARAMS: HeaderName = HeaderName::from_static("x-goog-request-params");
/// The quota project: the project that a request is counted against.
pub(crate) const USER_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

/// The trace and the span that a request belongs to: see
/// [`TraceContext`](crate::call::TraceContext).
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What tracing systems keep with a trace.
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The time that the caller allows for a request: see [`grpc_timeout`](crate::grpc_timeout).
pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// The status code of a reply, as a decimal number.
pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The status message of a reply.
#[cfg(feature = "emulator")]
pub(crate) const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// The details of a status, as base64.
#[cfg(feature = "emulator")]
pub(crate) const GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// The content type of gRPC requests and replies. A suffix such as `+proto` may follow.
pub(crate) const GRPC_CONTENT_TYPE: &str = "application/grpc";

/// Checks a quota project and returns it as a value of [`USER_PROJECT`]. Errors name `field`.
pub(crate) fn quota_project(project: &str, field: &'static str) -> Result<HeaderValue, Error> {
    let legal = !project.is_empty() && project.bytes().all(|byte| byte.is_ascii_graphic());
    HeaderValue::try_from(project)
        .ok()
        .filter(|_| legal)
        .ok_or_else(|| Error::invalid(field, "is not a project's id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_project_is_visible_ascii() {
        assert_eq!(quota_project("billing-1", "quota_project").unwrap(), "billing-1");
        for project in ["", " ", "a b", "a\n", "prøject", "a\u{7f}"] {
            let error = quota_project(project, "quota_project").unwrap_err();
            assert_eq!(error.field(), Some("quota_project"), "{project:?}");
        }
    }
}
