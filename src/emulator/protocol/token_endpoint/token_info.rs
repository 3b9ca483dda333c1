//! `/tokeninfo`: the owner, scopes and expiry of an access token, or the claims of an ID token.

use axum::body::Body;
use axum::response::IntoResponse;
use http::{Request, Response};
use serde_json::{Map, Value, json};

use super::owner::Owner;
use super::parameters::Parameters;
use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::clock::unix;
use crate::emulator::error::OauthError;
use crate::emulator::iam::jwt::Parsed;
use crate::emulator::method::Method;
use crate::emulator::reply::Json;
use crate::emulator::state::EmulatorState;

/// The shape of a reply.
#[derive(Clone, Copy)]
pub(super) enum Version {
    /// `/oauth2/v1/tokeninfo` and `/oauth2/v2/tokeninfo`: names of their own, with numbers and booleans.
    Old,
    /// `/tokeninfo` and `/oauth2/v3/tokeninfo`: the names of claims. All values are strings, numbers too.
    Current,
}

/// Handles `/tokeninfo`.
pub(super) async fn handle(
    context: RequestContext,
    version: Version,
    request: Request<Body>,
) -> Response<Body> {
    match context.begin(RequestSummary::of_name(Method::TokenInfo, "")).await {
        Ok(record) => record.finish(None),
        Err(error) => return OauthError::from(error).into_response(),
    }
    let parameters = match Parameters::read(request).await {
        Ok(parameters) => parameters,
        Err(error) => return error.into_response(),
    };
    let state = &context.state;
    let info = of_access_token(state, &parameters.access_token, version)
        .or_else(|| of_id_token(state, &parameters.id_token, version));
    info.map(Json).ok_or_else(|| OauthError::new("invalid_token", "Invalid Value")).into_response()
}

fn of_access_token(state: &EmulatorState, token: &str, version: Version) -> Option<Value> {
    let record = state.identities.live_token(token)?;
    let Owner { id, email } = Owner::of(&state.identities, &record);
    let left = record.expires.duration_since(state.clock.now()).unwrap_or_default().as_secs();
    let scope = record.scopes.join(" ");
    let mut info = match version {
        Version::Current => json!({
            "azp": id,
            "aud": id,
            "sub": id,
            "scope": scope,
            "exp": unix(state.clock.shown(record.expires)).to_string(),
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
    let Some(email) = email else { return Some(info) };
    info["email"] = email.into();
    match version {
        Version::Current => info["email_verified"] = "true".into(),
        Version::Old => info["verified_email"] = true.into(),
    }
    Some(info)
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
