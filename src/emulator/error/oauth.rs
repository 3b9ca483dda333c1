//! The errors of OAuth: of the token endpoint, and of the STS.

use http::StatusCode;
use serde_json::{Value, json};
use tonic::Code;

use super::ApiError;
use crate::printable::printable;

/// What the token endpoint says about a JWT whose signature isn't that of a key of the account.
pub(crate) const INVALID_SIGNATURE: &str = "Invalid JWT Signature.";

/// An OAuth error, for the body and the status of a reply.
#[derive(Clone, Debug)]
pub(crate) struct OauthError {
    status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) description: String,
}

impl OauthError {
    /// Returns an error whose description is in one line: it may contain a client's text.
    pub(crate) fn new(error: &'static str, description: impl AsRef<str>) -> Self {
        let description = printable(description.as_ref()).into_owned();
        Self { status: StatusCode::BAD_REQUEST, error, description }
    }

    /// An invalid grant, with the error `invalid_grant`.
    pub(crate) fn grant(description: impl AsRef<str>) -> Self {
        Self::new("invalid_grant", description)
    }

    /// An invalid client, with HTTP status 401.
    pub(crate) fn client(error: &'static str, description: &str) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, error, description: description.to_owned() }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the body of the reply.
    pub(crate) fn to_json(&self) -> Value {
        json!({"error": self.error, "error_description": self.description})
    }

    /// Returns the code for the journal.
    pub(crate) fn code(&self) -> Code {
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
