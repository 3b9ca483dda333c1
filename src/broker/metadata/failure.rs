//! Why a request gets no token, or no page.

use http::StatusCode;

use crate::metadata_protocol::Refusal;
use crate::{Error, ErrorKind};

/// Why a request gets no token, or no page.
#[derive(Debug)]
pub(in crate::broker) struct Failure {
    pub(in crate::broker) status: StatusCode,
    pub(in crate::broker) message: String,
}

impl Failure {
    pub(in crate::broker) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Returns the status of a request for which there is no token. Clients repeat a request after a status from 500.
    pub(in crate::broker) fn status_of(error: &Error) -> StatusCode {
        match error.kind() {
            _ if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.status, refusal.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(Self::status_of(&error), format!("{error:#}"))
    }
}
