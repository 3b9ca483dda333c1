//! Downscoping: exchanges an access token for one that is limited by an access boundary.

use std::sync::Arc;

use serde_json::{Value, json};

use super::client::Client;
use super::options::Options;
use crate::emulator::api::record::JournalRecord;
use crate::emulator::error::OauthError;
use crate::emulator::iam::access_tokens::{Record, StsDetails};
use crate::emulator::iam::jwt::Parsed;
use crate::emulator::state::EmulatorState;
use crate::sts_protocol::{ACCESS_TOKEN_TYPE, ExchangeRequest};

/// Returns a token of the same principal that expires at the same time.
pub(super) fn exchange(
    state: &EmulatorState,
    request: &ExchangeRequest,
    client: Client,
    options: Options,
    record: &mut JournalRecord<'_>,
) -> Result<Value, OauthError> {
    let boundary = options.access_boundary.ok_or_else(|| {
        let problem = "An access token is exchanged only with an access boundary in options.";
        OauthError::new("invalid_request", problem)
    })?;
    let token = &request.subject_token;
    if Parsed::from_token(token).is_some() {
        return Err(OauthError::new("invalid_scope", "A JWT has no scopes that could be downscoped."));
    }
    let source = state.identities.live_token(token);
    let source = source.ok_or_else(|| OauthError::grant("The subject token is invalid, or has expired."))?;
    record.set_principal(&source.principal);
    if source.sts.as_ref().is_some_and(|sts| sts.boundary.is_some()) {
        return Err(OauthError::grant("The subject token has been downscoped already."));
    }
    let sets = source.sts.as_ref().map(|sts| Arc::clone(&sts.sets)).unwrap_or_default();
    let issued = state.clock.now();
    let sts = Some(Arc::new(StsDetails { sets, issued, client_id: client.id, boundary: Some(boundary) }));
    let token = state.identities.access_tokens.issue(Record { sts, ..source }, issued)?;
    Ok(json!({"access_token": token, "issued_token_type": ACCESS_TOKEN_TYPE, "token_type": "Bearer"}))
}
