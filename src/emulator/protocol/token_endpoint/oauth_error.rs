//! The errors of the OAuth token endpoint.

use axum::body::Body;
use axum::response::IntoResponse;
use http::{Response, StatusCode};
use serde_json::json;
use tonic::Code;

use crate::emulator::error::ApiError;
use crate::emulator::reply::Json;

/// An OAuth error.
#[derive(Clone, Debug)]
pub(super) struct OauthError {
    status: StatusCode,
    pub(super) error: &'static str,
    pub(super) description: String,
}

impl OauthError {
    pub(super) fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, description: description.into() }
    }

    /// An invalid grant, with the error `invalid_grant`.
    pub(super) fn grant(description: impl Into<String>) -> Self {
        Self::new("invalid_grant", description)
    }

    /// An invalid client, with HTTP status 401.
    pub(super) fn client(error: &'static str, description: &str) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, error, description: description.to_owned() }
    }

    /// Returns the code for the journal.
    pub(super) fn code(&self) -> Code {
        match self.status {
            StatusCode::UNAUTHORIZED => Code::Unauthenticated,
            StatusCode::BAD_REQUEST => Code::InvalidArgument,
            _ => Code::Internal,
        }
    }
}

impl From<ApiError> for OauthError {
    /// Converts faults and failures of the emulator itself.
    fn from(failure: ApiError) -> Self {
        let error = match failure.code() {
            Code::Unavailable => "temporarily_unavailable",
            Code::PermissionDenied => "access_denied",
            Code::InvalidArgument => "invalid_request",
            Code::Unauthenticated => "invalid_grant",
            _ => "server_error",
        };
        Self { status: failure.http_status(), error, description: failure.message().to_owned() }
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response<Body> {
        let body = json!({"error": self.error, "error_description": self.description});
        (self.status, Json(body)).into_response()
    }
}
