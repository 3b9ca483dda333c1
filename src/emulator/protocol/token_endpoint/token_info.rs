//! `/tokeninfo`: the owner, scopes and expiry of an access token, or the claims of an ID token.

use axum::body::Body;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Query};
use axum::response::IntoResponse;
use http::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::clock::unix;
use crate::emulator::error::OauthError;
use crate::emulator::iam::access_tokens::Record;
use crate::emulator::iam::account::unique_id_of;
use crate::emulator::iam::jwt::Parsed;
use crate::emulator::method::Method;
use crate::emulator::reply::Json;
use crate::emulator::state::EmulatorState;

/// The token, in the query or in the form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Parameters {
    access_token: String,
    id_token: String,
}

/// Handles `/tokeninfo`.
pub(super) async fn handle(
    context: RequestContext,
    Query(query): Query<Parameters>,
    form: Result<Form<Parameters>, FormRejection>,
) -> Response<Body> {
    match context.begin(RequestSummary::of_name(Method::TokenInfo, "")).await {
        Ok(record) => record.finish(None),
        Err(error) => return OauthError::from(error).into_response(),
    }
    let form = form.map(|Form(form)| form).unwrap_or_default();
    let either = |query: String, form: String| if query.is_empty() { form } else { query };
    let access_token = either(query.access_token, form.access_token);
    let id_token = either(query.id_token, form.id_token);
    let state = &context.state;
    let info = of_access_token(state, &access_token).or_else(|| of_id_token(state, &id_token));
    info.map(Json).ok_or_else(|| OauthError::new("invalid_token", "Invalid Value")).into_response()
}

/// Returns the reply for an access token. All of its values are strings, including numbers.
fn of_access_token(state: &EmulatorState, token: &str) -> Option<Value> {
    let now = state.clock.now();
    let record = state.identities.access_tokens.find(token).filter(|record| record.expires > now)?;
    let Record { principal, scopes, expires, .. } = record;
    let (kind, email) = principal.split_once(':').unwrap_or_default();
    let id = match kind {
        "serviceAccount" => state.identities.accounts.get(email).unique_id().to_owned(),
        _ => unique_id_of(email),
    };
    let left = expires.duration_since(now).unwrap_or_default().as_secs();
    let mut info = json!({
        "azp": id,
        "aud": id,
        "sub": id,
        "scope": scopes.join(" "),
        "exp": unix(state.clock.shown(expires)).to_string(),
        "expires_in": left.to_string(),
        "access_type": "online",
    });
    if scopes.iter().any(|scope| scope == crate::scopes::USERINFO_EMAIL || scope == "email") {
        info["email"] = email.into();
        info["email_verified"] = "true".into();
    }
    Some(info)
}

fn of_id_token(state: &EmulatorState, token: &str) -> Option<Value> {
    let claims = state.identities.google.verify(token)?;
    if claims.get("exp").and_then(Value::as_i64)? <= state.clock.shown_unix() {
        return None;
    }
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let mut info: Value =
        claims.into_iter().map(|(name, value)| (name, Value::String(text(value)))).collect();
    info["alg"] = "RS256".into();
    info["typ"] = "JWT".into();
    info["kid"] = Parsed::from_token(token)?.key_id.into();
    Some(info)
}
