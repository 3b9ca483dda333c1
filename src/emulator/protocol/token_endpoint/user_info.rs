//! The pages that tell who the owner of an access token is.

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderValue, Request, Response, header};
use serde_json::{Value, json};

use super::owner::Owner;
use super::parameters::Parameters;
use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::error::OauthError;
use crate::emulator::method::Method;
use crate::emulator::reply::Json;
use crate::emulator::state::EmulatorState;

/// The challenge of a reply to a token that isn't valid, as RFC 6750 demands it.
const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\"");

/// The names in a reply.
#[derive(Clone, Copy)]
pub(super) enum Names {
    /// `/oauth2/v1/userinfo`, `/oauth2/v2/userinfo` and `/userinfo/v2/me`.
    Old,
    /// `/oauth2/v3/userinfo`, and `/v1/userinfo` on OpenID Connect's own host: the names of claims.
    Claims,
}

/// Handles `userinfo` pages.
pub(super) async fn handle(context: RequestContext, names: Names, request: Request<Body>) -> Response<Body> {
    let mut record = match context.begin(RequestSummary::of_name(Method::UserInfo, "")).await {
        Ok(record) => record,
        Err(error) => return OauthError::from(error).into_response(),
    };
    let parameters = match Parameters::read(request).await {
        Ok(parameters) => parameters,
        Err(error) => return error.into_response(),
    };
    match info(&context.state, &parameters.access_token, names) {
        Some((principal, info)) => {
            record.set_principal(&principal);
            record.finish(None);
            Json(info).into_response()
        }
        None => {
            let error = OauthError::client("invalid_request", "Invalid Credentials");
            record.finish_with_oauth_error(error.code(), error.error, &error.description);
            let mut response = error.into_response();
            response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
            response
        }
    }
}

/// Returns the principal of a token, and what the page says about it.
fn info(state: &EmulatorState, token: &str, names: Names) -> Option<(String, Value)> {
    let record = state.identities.live_token(token)?;
    let Owner { id, email } = Owner::of(&state.identities, &record);
    let (id_name, verified) = match names {
        Names::Old => ("id", "verified_email"),
        Names::Claims => ("sub", "email_verified"),
    };
    let mut info = json!({ id_name: id });
    if let Some(email) = email {
        info["email"] = email.into();
        info[verified] = true.into();
    }
    Some((record.principal.to_string(), info))
}
