//! `/revoke`: ends an access token or a refresh token before its time.

use axum::body::Body;
use axum::response::IntoResponse;
use http::{Request, Response};
use serde_json::json;

use super::parameters::Parameters;
use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::error::OauthError;
use crate::emulator::method::Method;
use crate::emulator::reply::Json;

/// Handles `/revoke`.
pub(super) async fn handle(context: RequestContext, request: Request<Body>) -> Response<Body> {
    let record = match context.begin(RequestSummary::of_name(Method::Revoke, "")).await {
        Ok(record) => record,
        Err(error) => return OauthError::from(error).into_response(),
    };
    let revoked = match Parameters::read(request).await {
        Ok(Parameters { token, .. }) if token.is_empty() => {
            Err(OauthError::new("invalid_request", "Missing required parameter: token"))
        }
        Ok(Parameters { token, .. }) if context.state.identities.revoke(&token) => Ok(()),
        Ok(_) => Err(OauthError::new("invalid_token", "Token expired or revoked")),
        Err(error) => Err(error),
    };
    match revoked {
        Ok(()) => {
            record.finish(None);
            Json(json!({})).into_response()
        }
        Err(error) => {
            record.finish_with_oauth_error(error.code(), error.error, &error.description);
            error.into_response()
        }
    }
}
