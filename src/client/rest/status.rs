//! The status that a reply with an error stands for.

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::error::code_from_name;
use crate::http_client::Reply;

#[derive(Deserialize)]
struct Body {
    error: GoogleError,
}

/// Google's JSON form of a status.
#[derive(Deserialize)]
struct GoogleError {
    #[serde(default)]
    message: String,
    status: Option<String>,
    #[serde(default)]
    details: Vec<Value>,
}

#[derive(Deserialize)]
struct ErrorInfo {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    domain: String,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

/// Returns the status of a reply that isn't a success.
pub(super) fn of(reply: &Reply) -> Status {
    let Ok(Body { error }) = serde_json::from_slice(&reply.body) else { return of_another_server(reply) };
    let code = error.status.as_deref().and_then(code_from_name).unwrap_or_else(|| code_of(reply.status));
    let mut details = ErrorDetails::new();
    if let Some(info) = detail(&error.details, "ErrorInfo").and_then(|it| ErrorInfo::deserialize(it).ok()) {
        details.set_error_info(info.reason, info.domain, info.metadata);
    }
    if let Some(wait) = retry_delay(&error.details).or(reply.retry_after()) {
        details.set_retry_info(Some(wait));
    }
    Status::with_error_details(code, error.message, details)
}

/// Returns the status of a reply that says that it is a success, and isn't one of the API.
pub(super) fn of_malformed(reply: &Reply) -> Status {
    let what =
        if reply.is_html() { "a page of HTML, so a proxy or another server replied" } else { "malformed" };
    Status::data_loss(format!("the reply is {what}"))
}

fn of_another_server(reply: &Reply) -> Status {
    let message = format!("HTTP status {}: a proxy or another server replied", reply.status);
    let mut details = ErrorDetails::new();
    if let Some(wait) = reply.retry_after() {
        details.set_retry_info(Some(wait));
    }
    Status::with_error_details(code_of(reply.status), message, details)
}

fn detail<'a>(details: &'a [Value], name: &str) -> Option<&'a Value> {
    let is_wanted = |detail: &&Value| {
        detail["@type"]
            .as_str()
            .is_some_and(|kind| kind.strip_suffix(name) == Some("type.googleapis.com/google.rpc."))
    };
    details.iter().find(is_wanted)
}

fn retry_delay(details: &[Value]) -> Option<Duration> {
    let delay: prost_types::Duration = detail(details, "RetryInfo")?["retryDelay"].as_str()?.parse().ok()?;
    delay.try_into().ok()
}

/// Returns the code that stands for an HTTP status, as Google maps them.
fn code_of(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        429 => Code::ResourceExhausted,
        500 => Code::Internal,
        501 => Code::Unimplemented,
        408 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, body: &str) -> Status {
        of(&Reply::new(StatusCode::from_u16(code).unwrap(), body.to_owned()))
    }

    /// conf: F8
    #[test]
    fn an_error_in_json_has_the_details_that_grpc_has() {
        let body = r#"{"error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED", "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "IAM_PERMISSION_DENIED",
             "domain": "iam.googleapis.com", "metadata": {"permission": "iam.x"}},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}]}}"#;
        let status = status(403, body);
        let details = status.get_error_details();
        assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "no"));
        assert_eq!(details.error_info().unwrap().metadata["permission"], "iam.x");
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_millis(1500)));
    }

    /// conf: F8
    #[test]
    fn an_error_of_another_server_has_the_code_of_its_http_status() {
        for (http, body, code) in [
            (401, "", Code::Unauthenticated),
            (403, "<html>", Code::PermissionDenied),
            (429, "{}", Code::ResourceExhausted),
            (500, r#"{"error":"text"}"#, Code::Internal),
            (502, "<html>", Code::Unavailable),
            (302, "", Code::Unknown),
            (418, r#"{"error":{"status":"TEAPOT"}}"#, Code::Unknown),
        ] {
            assert_eq!(status(http, body).code(), code, "{http} {body}");
        }
        let html = Reply::new(StatusCode::OK, "<html>hidden");
        assert!(!of_malformed(&html).message().contains("hidden"));
        let busy = Reply::new(StatusCode::SERVICE_UNAVAILABLE, "").with_retry_after(Duration::from_secs(2));
        let wait = of(&busy).get_error_details().retry_info().unwrap().retry_delay;
        assert_eq!(wait, Some(Duration::from_secs(2)));
    }
}
