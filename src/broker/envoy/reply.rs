//! What Envoy hears.

use http::StatusCode;
use tonic::Code;

use super::proto::check_response::HttpResponse;
use super::proto::header_value_option::HeaderAppendAction;
use super::proto::{
    CheckResponse, DeniedHttpResponse, HeaderValue, HeaderValueOption, HttpStatus, OkHttpResponse, Status,
};
use super::request::Asked;
use crate::Token;

/// Lets a request go on with its token.
pub(super) fn allowed(asked: &Asked, token: &Token) -> CheckResponse {
    let header = HeaderValue {
        key: asked.header.as_str().to_owned(),
        value: format!("Bearer {}", token.secret()),
        raw_value: Vec::new(),
    };
    let ok = OkHttpResponse {
        headers: vec![HeaderValueOption {
            header: Some(header),
            append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        }],
        headers_to_remove: asked.target_header.iter().map(|name| name.as_str().to_owned()).collect(),
    };
    CheckResponse {
        status: Some(Status { code: Code::Ok.into(), message: String::new() }),
        http_response: Some(HttpResponse::OkResponse(ok)),
    }
}

/// Refuses a request that the policy doesn't allow, or whose route is configured wrong. An untrusted client gets this
/// reply, so it is the same for all.
pub(super) fn refused() -> CheckResponse {
    denied(Code::PermissionDenied, StatusCode::FORBIDDEN, "not allowed\n")
}

/// Ends a request for which there is no token.
pub(super) fn failed(is_transient: bool) -> CheckResponse {
    match is_transient {
        true => denied(Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE, "temporarily unavailable\n"),
        false => denied(Code::FailedPrecondition, StatusCode::BAD_GATEWAY, "no identity\n"),
    }
}

fn denied(code: Code, status: StatusCode, body: &str) -> CheckResponse {
    let status = HttpStatus { code: i32::from(status.as_u16()) };
    CheckResponse {
        status: Some(Status { code: code.into(), message: String::new() }),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(status),
            body: body.to_owned(),
        })),
    }
}
