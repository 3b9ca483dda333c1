//! Verifies what the emulator issued, for tests in Rust.

use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::emulator::iam::jwt::Parsed;
use crate::emulator::state::EmulatorState;

/// The principal, the scopes and the expiry of an access token.
///
/// [`Emulator::verify_access_token`](crate::emulator::Emulator::verify_access_token) returns it.
///
/// ```
/// # use gcp_iam_credentials::emulator::VerifiedToken;
/// fn is_token_of(token: &VerifiedToken, email: &str) -> bool {
///     token.principal() == format!("serviceAccount:{email}")
/// }
/// # let _ = is_token_of;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    principal: String,
    scopes: Vec<String>,
    expires_at: SystemTime,
    access_boundary: Option<String>,
}

impl VerifiedToken {
    /// Returns the owner of the token: `serviceAccount:{email}` or `user:{email}`.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// Returns the scopes of the token.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Returns the access boundary of a downscoped token, as JSON.
    pub fn access_boundary(&self) -> Option<&str> {
        self.access_boundary.as_deref()
    }

    /// Returns when the token expires, as the emulator told its client.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

pub(crate) fn verify_access_token(state: &EmulatorState, token: &str) -> Option<VerifiedToken> {
    let record = state.identities.access_tokens.find(token)?;
    (record.expires > state.clock.now()).then(|| VerifiedToken {
        principal: record.principal.to_string(),
        scopes: record.scopes.to_vec(),
        expires_at: state.clock.shown(record.expires),
        access_boundary: record.sts.and_then(|sts| Some(sts.boundary.as_ref()?.to_json())),
    })
}

pub(crate) fn verify_id_token<T: DeserializeOwned>(state: &EmulatorState, token: &str) -> Option<T> {
    let claims = state.identities.google.verify(token)?;
    let expires = claims.get("exp").and_then(Value::as_i64)?;
    (expires > state.clock.shown_unix()).then(|| deserialize(claims)).flatten()
}

pub(crate) fn verify_jwt<T: DeserializeOwned>(state: &EmulatorState, email: &str, token: &str) -> Option<T> {
    let account = state.identities.accounts.find(email)?;
    let parsed = Parsed::from_token(token)?;
    account.keys().has_signed(&parsed).then(|| deserialize(parsed.claims)).flatten()
}

pub(crate) fn verify_blob(state: &EmulatorState, email: &str, payload: &[u8], signature: &[u8]) -> bool {
    let account = state.identities.accounts.find(email);
    account.is_some_and(|account| account.keys().published().iter().any(|key| key.verify(payload, signature)))
}

fn deserialize<T: DeserializeOwned>(claims: Map<String, Value>) -> Option<T> {
    serde_json::from_value(Value::Object(claims)).ok()
}
