//! Introspection and revocation of tokens.

use axum::body::Body;
use axum::response::IntoResponse;
use http::{Request, Response};
use serde::Deserialize;

use super::client::Client;
use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::clock::unix;
use crate::emulator::error::OauthError;
use crate::emulator::method::Method;
use crate::emulator::protocol::oauth_body;
use crate::emulator::reply::Json;
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
    match read(&context, Method::TokenInfo, request).await {
        Ok(token) => Json(describe(&context.state, &token)).into_response(),
        Err(error) => error.into_response(),
    }
}

/// Ends a token. A token that isn't valid is as good as ended (RFC 7009).
pub(super) async fn revoke(context: RequestContext, request: Request<Body>) -> Response<Body> {
    match read(&context, Method::Revoke, request).await {
        Ok(token) => {
            context.state.identities.revoke(&token);
            ().into_response()
        }
        Err(error) => error.into_response(),
    }
}

/// Returns the token that a request is about, after recording the request and applying the fault in force.
async fn read(
    context: &RequestContext,
    method: Method,
    request: Request<Body>,
) -> Result<String, OauthError> {
    let record = context.begin(RequestSummary::of_name(method, "")).await?;
    let token = match Client::read(&context.headers) {
        Ok(_) => oauth_body::read(request).await.and_then(|TokenForm { token }| match token.is_empty() {
            true => Err(OauthError::new("invalid_request", "Missing required parameter: token")),
            false => Ok(token),
        }),
        Err(error) => Err(error),
    };
    match &token {
        Ok(_) => record.finish(None),
        Err(error) => record.finish_with_oauth_error(error.code(), error.error, &error.description),
    }
    token
}

fn describe(state: &EmulatorState, token: &str) -> serde_json::Value {
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
