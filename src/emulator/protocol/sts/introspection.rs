//! Introspection and revocation of tokens.

use axum::body::Body;
use axum::response::IntoResponse;
use http::{Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::clock::unix;
use crate::emulator::error::OauthError;
use crate::emulator::method::Method;
use crate::emulator::protocol::oauth_body;
use crate::emulator::state::EmulatorState;
use crate::sts_protocol::{Introspection, TokenDescription};

/// The issuer of tokens from the STS.
const ISSUER: &str = "https://sts.googleapis.com/";

/// A request about a token.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenForm {
    token: String,
}

/// Says what a token from the STS is good for.
pub(super) async fn introspect(context: RequestContext, request: Request<Body>) -> Response<Body> {
    let record = match context.begin(RequestSummary::of_name(Method::TokenInfo, "")).await {
        Ok(record) => record,
        Err(error) => return OauthError::from(error).into_response(),
    };
    let token = token_in(&context, request).await;
    oauth_body::reply(record, token.map(|token| describe(&context.state, &token)))
}

/// Ends a token. A token that isn't valid is as good as ended (RFC 7009).
pub(super) async fn revoke(context: RequestContext, request: Request<Body>) -> Response<Body> {
    let record = match context.begin(RequestSummary::of_name(Method::Revoke, "")).await {
        Ok(record) => record,
        Err(error) => return OauthError::from(error).into_response(),
    };
    let revoked = token_in(&context, request).await.map(|token| {
        context.state.identities.revoke(&token);
        json!({})
    });
    oauth_body::reply(record, revoked)
}

/// Returns the token that a request is about.
async fn token_in(context: &RequestContext, request: Request<Body>) -> Result<String, OauthError> {
    Client::read(&context.headers)?;
    let TokenForm { token } = oauth_body::read(request).await?;
    if token.is_empty() {
        return Err(OauthError::new("invalid_request", "Missing required parameter: token"));
    }
    Ok(token)
}

fn describe(state: &EmulatorState, token: &str) -> Value {
    let record = state.identities.live_token(token);
    let token = record.and_then(|record| {
        let details = record.sts.as_ref()?;
        let (_, subject) = record.principal.rsplit_once("/subject/").unwrap_or(("", &record.principal));
        Some(TokenDescription {
            client_id: details.client_id.clone(),
            exp: unix(state.clock.shown(record.expires)),
            iat: unix(state.clock.shown(details.issued)),
            iss: ISSUER,
            scope: record.scopes.join(" "),
            sub: subject.to_owned(),
            username: record.principal.to_string(),
        })
    });
    // The fields are texts and numbers, so this can't fail.
    serde_json::to_value(Introspection { active: token.is_some(), token }).unwrap_or_default()
}
