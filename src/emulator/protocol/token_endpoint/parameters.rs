//! The token that a request is about.

use axum::body::{Body, to_bytes};
use http::Request;

use crate::emulator::error::OauthError;
use crate::emulator::iam::principal::bearer;
use crate::query::pairs;

/// The tokens in the query, in the form, or in the header `authorization`. One that is absent is empty.
#[derive(Default)]
pub(super) struct Parameters {
    pub(super) access_token: String,
    pub(super) id_token: String,
    /// A token of any kind, to be revoked.
    pub(super) token: String,
}

impl Parameters {
    /// Reads a request. The form has priority over the query, and both over the header.
    pub(super) async fn read(request: Request<Body>) -> Result<Self, OauthError> {
        let (head, body) = request.into_parts();
        // The server has read the whole body, within its limits.
        let form = to_bytes(body, usize::MAX).await;
        let form = form.map_err(|_| OauthError::new("invalid_request", "The form cannot be read."))?;
        let mut parameters = Self::default();
        let form = String::from_utf8_lossy(&form);
        for (name, value) in pairs(head.uri.query().unwrap_or_default()).chain(pairs(&form)) {
            match name.as_str() {
                "access_token" => parameters.access_token = value,
                "id_token" => parameters.id_token = value,
                "token" => parameters.token = value,
                _ => {}
            }
        }
        if parameters.access_token.is_empty() && parameters.id_token.is_empty() {
            bearer(&head.headers).unwrap_or_default().clone_into(&mut parameters.access_token);
        }
        Ok(parameters)
    }
}
