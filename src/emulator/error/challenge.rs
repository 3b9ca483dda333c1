//! What a client must do to be let in: the header `WWW-Authenticate` (RFC 6750, section 3).

use http::HeaderValue;
use tonic::Code;

use super::google::{CREDENTIALS_MISSING, SCOPE_INSUFFICIENT};
use super::{ApiError, OauthError};

/// There were no credentials, so there is no error.
const MISSING: HeaderValue = HeaderValue::from_static("Bearer realm=\"https://accounts.google.com/\"");

/// Some clients fetch another token only after this error.
const INVALID: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\"");

/// With the scopes of which one suffices.
const INSUFFICIENT: HeaderValue = HeaderValue::from_static(
    "Bearer realm=\"https://accounts.google.com/\", error=\"insufficient_scope\", \
     scope=\"https://www.googleapis.com/auth/iam https://www.googleapis.com/auth/cloud-platform\"",
);

impl ApiError {
    /// Returns the challenge, if other credentials could help.
    pub(crate) fn challenge(&self) -> Option<HeaderValue> {
        match (self.code(), self.reason()) {
            (Code::Unauthenticated, Some(CREDENTIALS_MISSING)) => Some(MISSING),
            (Code::Unauthenticated, _) => Some(INVALID),
            (Code::PermissionDenied, Some(SCOPE_INSUFFICIENT)) => Some(INSUFFICIENT),
            _ => None,
        }
    }
}

impl OauthError {
    /// Returns the challenge if a bearer token isn't valid. Google's error for that is `invalid_request`.
    pub(crate) fn challenge(&self) -> Option<HeaderValue> {
        (self.code() == Code::Unauthenticated && self.error == "invalid_request").then_some(INVALID)
    }
}
