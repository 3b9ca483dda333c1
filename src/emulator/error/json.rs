//! Errors as Google's REST APIs write them.

use serde_json::{Value, json};
use tonic::Code;
use tonic_types::ErrorDetails;

use super::ApiError;
use crate::error::code_name;
use crate::json_duration;

impl ApiError {
    /// Returns the HTTP status of the reply.
    pub(crate) fn http_status(&self) -> http::StatusCode {
        self.0.http_status.unwrap_or_else(|| http_status(self.0.code))
    }

    /// Returns Google's JSON form of an error.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({
            "code": self.http_status().as_u16(),
            "message": self.0.message,
            "status": code_name(self.0.code),
        });
        let details = details_json(&self.0.details);
        if !details.is_empty() {
            error["details"] = details.into();
        }
        json!({ "error": error })
    }
}

fn details_json(details: &ErrorDetails) -> Vec<Value> {
    let mut list = Vec::new();
    let mut add = |name: &str, mut value: Value| {
        value["@type"] = format!("type.googleapis.com/google.rpc.{name}").into();
        list.push(value);
    };
    if let Some(info) = details.error_info() {
        add("ErrorInfo", json!({"reason": info.reason, "domain": info.domain, "metadata": info.metadata}));
    }
    if let Some(retry) = details.retry_info() {
        let delay = json_duration::to_text(retry.retry_delay.unwrap_or_default());
        add("RetryInfo", json!({ "retryDelay": delay }));
    }
    if let Some(help) = details.help() {
        let links: Vec<_> =
            help.links.iter().map(|link| json!({"description": link.description, "url": link.url})).collect();
        add("Help", json!({ "links": links }));
    }
    if let Some(bad) = details.bad_request() {
        let violations: Vec<_> = bad
            .field_violations
            .iter()
            .map(|violation| {
                let mut entry = json!({ "description": violation.description });
                if !violation.field.is_empty() {
                    entry["field"] = violation.field.clone().into();
                }
                entry
            })
            .collect();
        add("BadRequest", json!({ "fieldViolations": violations }));
    }
    if let Some(debug) = details.debug_info() {
        add("DebugInfo", json!({"stackEntries": debug.stack_entries, "detail": debug.detail}));
    }
    list
}

/// Returns the HTTP status that Google sends for the code.
fn http_status(code: Code) -> http::StatusCode {
    let number = match code {
        Code::Ok => 200,
        Code::Cancelled => 499,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::DeadlineExceeded => 504,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    };
    http::StatusCode::from_u16(number).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR)
}
