//! The error of one request, the same for gRPC and REST.

mod challenge;
mod google;
mod iam_api;
mod json;
mod oauth;

use http::{HeaderMap, StatusCode, header};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

pub(crate) use self::google::GOOGLE_DOMAIN;
pub(crate) use self::oauth::{INVALID_SIGNATURE, OauthError};
pub(crate) use crate::error::shorten;

/// Why a request fails: code, message and `google.rpc` details, as Google's servers send them.
#[derive(Clone, Debug)]
pub(crate) struct ApiError(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: Code,
    message: String,
    details: ErrorDetails,
    /// The hop of the chain that lacks a grant.
    hop: Option<usize>,
    /// The HTTP status, if it isn't that of the code.
    http_status: Option<StatusCode>,
}

impl ApiError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self::with_details(code, message, ErrorDetails::new())
    }

    pub(crate) fn with_details(code: Code, message: impl Into<String>, details: ErrorDetails) -> Self {
        Self(Box::new(Inner { code, message: message.into(), details, hop: None, http_status: None }))
    }

    /// Sets the HTTP status. Default: the one that Google sends for the code.
    pub(crate) fn with_http_status(mut self, status: StatusCode) -> Self {
        self.0.http_status = Some(status);
        self
    }

    /// A failure of the emulator itself.
    pub(crate) fn internal(message: &'static str) -> Self {
        Self::new(Code::Internal, message)
    }

    /// There is nothing at that path.
    pub(crate) fn unknown_path(method: &str, path: &str) -> Self {
        let path = shorten(path);
        Self::new(Code::NotFound, format!("Not found: {method} {path}; GET /emulator/ lists the pages"))
    }

    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the reason in the `ErrorInfo`, if there is one.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.0.details.error_info().map(|info| info.reason.as_str())
    }

    /// Returns the hop of the chain that lacks a grant. The principal's own hop is 0.
    pub(crate) fn hop(&self) -> Option<usize> {
        self.0.hop
    }

    pub(crate) fn to_status(&self) -> Status {
        let mut headers = HeaderMap::new();
        headers.extend(self.challenge().map(|challenge| (header::WWW_AUTHENTICATE, challenge)));
        Status::with_error_details_and_metadata(
            self.0.code,
            self.0.message.clone(),
            self.0.details.clone(),
            MetadataMap::from_headers(headers),
        )
    }
}
