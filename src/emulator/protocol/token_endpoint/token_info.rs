//! `/tokeninfo`: the owner, scopes and expiry of an access token, or the claims of an ID token.

use serde_json::{Map, Value, json};

use super::owner::Owner;
use super::parameters::Parameters;
use crate::emulator::api::record::JournalRecord;
use crate::emulator::clock::unix;
use crate::emulator::error::OauthError;
use crate::emulator::iam::access_tokens::Record;
use crate::emulator::iam::jwt::Parsed;
use crate::emulator::state::EmulatorState;

/// The shape of a reply.
#[derive(Clone, Copy)]
enum Version {
    /// Names of its own, with numbers and booleans.
    Old,
    /// The names of claims. All values are strings, numbers too.
    Current,
}

/// Answers `/oauth2/v1/tokeninfo` and `/oauth2/v2/tokeninfo`.
pub(super) fn old(
    state: &EmulatorState,
    parameters: &Parameters,
    record: &mut JournalRecord<'_>,
) -> Result<Value, OauthError> {
    answer(state, parameters, record, Version::Old)
}

/// Answers `/tokeninfo` and `/oauth2/v3/tokeninfo`.
pub(super) fn current(
    state: &EmulatorState,
    parameters: &Parameters,
    record: &mut JournalRecord<'_>,
) -> Result<Value, OauthError> {
    answer(state, parameters, record, Version::Current)
}

fn answer(
    state: &EmulatorState,
    parameters: &Parameters,
    record: &mut JournalRecord<'_>,
    version: Version,
) -> Result<Value, OauthError> {
    if let Some(token) = state.identities.live_token(&parameters.access_token) {
        record.set_principal(&token.principal);
        return Ok(of_access_token(state, &token, version));
    }
    let info = of_id_token(state, &parameters.id_token, version);
    info.ok_or_else(|| OauthError::new("invalid_token", "Invalid Value"))
}

fn of_access_token(state: &EmulatorState, token: &Record, version: Version) -> Value {
    let Owner { id, email } = Owner::of(&state.identities, token);
    let left = state.identities.time_until(token.expires).as_secs();
    let scope = token.scopes.join(" ");
    let mut info = match version {
        Version::Current => json!({
            "azp": id,
            "aud": id,
            "sub": id,
            "scope": scope,
            "exp": unix(state.clock.shown(token.expires)).to_string(),
            "expires_in": left.to_string(),
            "access_type": "online",
        }),
        Version::Old => json!({
            "issued_to": id,
            "audience": id,
            "user_id": id,
            "scope": scope,
            "expires_in": left,
            "access_type": "online",
        }),
    };
    let Some(email) = email else { return info };
    info["email"] = email.into();
    match version {
        Version::Current => info["email_verified"] = "true".into(),
        Version::Old => info["verified_email"] = true.into(),
    }
    info
}

fn of_id_token(state: &EmulatorState, token: &str, version: Version) -> Option<Value> {
    let claims = state.identities.google.verify(token)?;
    let left = claims.get("exp").and_then(Value::as_i64)? - state.clock.shown_unix();
    if left <= 0 {
        return None;
    }
    match version {
        Version::Current => Some(claims_as_text(claims, Parsed::from_token(token)?.key_id)),
        Version::Old => Some(claims_by_old_names(&claims, left)),
    }
}

fn claims_as_text(claims: Map<String, Value>, key_id: Option<String>) -> Value {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let mut info: Value =
        claims.into_iter().map(|(name, value)| (name, Value::String(text(value)))).collect();
    info["alg"] = "RS256".into();
    info["typ"] = "JWT".into();
    info["kid"] = key_id.into();
    info
}

fn claims_by_old_names(claims: &Map<String, Value>, left: i64) -> Value {
    let names = [
        ("issuer", "iss"),
        ("issued_to", "azp"),
        ("audience", "aud"),
        ("user_id", "sub"),
        ("issued_at", "iat"),
        ("email", "email"),
        ("email_verified", "email_verified"),
    ];
    let renamed = |(old, name)| Some((String::from(old), claims.get(name)?.clone()));
    let mut info: Value = names.into_iter().filter_map(renamed).collect();
    info["expires_in"] = left.into();
    info
}
