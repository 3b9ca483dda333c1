//! `/revoke`: ends an access token or a refresh token before its time.

use serde_json::{Value, json};

use super::parameters::Parameters;
use crate::emulator::api::record::JournalRecord;
use crate::emulator::error::OauthError;
use crate::emulator::state::EmulatorState;

/// Ends a token.
pub(super) fn revoke(
    state: &EmulatorState,
    parameters: &Parameters,
    _: &mut JournalRecord<'_>,
) -> Result<Value, OauthError> {
    match parameters.token.as_str() {
        "" => Err(OauthError::new("invalid_request", "Missing required parameter: token")),
        token if state.identities.revoke(token) => Ok(json!({})),
        _ => Err(OauthError::new("invalid_token", "Token expired or revoked")),
    }
}
