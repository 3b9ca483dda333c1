//! The OAuth endpoints: `/token`, `/tokeninfo`, `/revoke` and the pages about users.

mod assertion;
mod owner;
mod parameters;
mod refresh;
mod revoke;
mod token_info;
mod user_info;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get, post};
use http::{Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use self::token_info::Version;
use self::user_info::Names;
use super::oauth_body;
use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::api::record::JournalRecord;
use crate::emulator::error::OauthError;
use crate::emulator::iam::jwt::Parsed;
use crate::emulator::journal::RequestFields;
use crate::emulator::method::Method;
use crate::emulator::reply::Json;
use crate::emulator::state::EmulatorState;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const REFRESH_TOKEN: &str = "refresh_token";

/// The grant type of assertions before RFC 7521, which Go's `impersonate` package sends.
const LEGACY_ASSERTION: &str = "assertion";

/// The only assertion type of [`LEGACY_ASSERTION`].
const LEGACY_ASSERTION_TYPE: &str = "http://oauth.net/grant_type/jwt/1.0/bearer";

/// The lifetime of access tokens from this endpoint: 1 h.
const LIFETIME: Duration = Duration::from_secs(3600);

/// A request for a token.
#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenForm {
    grant_type: String,
    assertion_type: String,
    assertion: String,
    refresh_token: String,
    client_id: String,
    client_secret: String,
    scope: String,
}

pub(crate) fn routes() -> Router<Arc<EmulatorState>> {
    Router::new()
        .route("/token", post(handle))
        .route("/oauth2/v4/token", post(handle))
        .route("/o/oauth2/token", post(handle))
        .route("/revoke", get(revoke::handle).post(revoke::handle))
        .route("/o/oauth2/revoke", get(revoke::handle).post(revoke::handle))
        .route("/tokeninfo", token_info(Version::Current))
        .route("/oauth2/v1/tokeninfo", token_info(Version::Old))
        .route("/oauth2/v2/tokeninfo", token_info(Version::Old))
        .route("/oauth2/v3/tokeninfo", token_info(Version::Current))
        .route("/oauth2/v1/userinfo", user_info(Names::Old))
        .route("/oauth2/v2/userinfo", user_info(Names::Old))
        .route("/userinfo/v2/me", user_info(Names::Old))
        .route("/oauth2/v3/userinfo", user_info(Names::Claims))
        .route("/v1/userinfo", user_info(Names::Claims))
}

fn token_info(version: Version) -> MethodRouter<Arc<EmulatorState>> {
    let handle = move |context, request| token_info::handle(context, version, request);
    get(handle).post(handle)
}

fn user_info(names: Names) -> MethodRouter<Arc<EmulatorState>> {
    let handle = move |context, request| user_info::handle(context, names, request);
    get(handle).post(handle)
}

async fn handle(context: RequestContext, request: Request<Body>) -> Response<Body> {
    let form: TokenForm = match oauth_body::read(request).await {
        Ok(form) => form,
        Err(error) => return error.into_response(),
    };
    let assertion = Parsed::from_token(&form.assertion);
    let mut record = match context.begin(summary(&form, assertion.as_ref())).await {
        Ok(record) => record,
        Err(error) => return OauthError::from(error).into_response(),
    };
    match grant(&context.state, &form, assertion.as_ref(), &mut record).await {
        Ok(body) => {
            record.finish(None);
            Json(body).into_response()
        }
        Err(error) => {
            record.finish_with_oauth_error(error.code(), error.error, &error.description);
            error.into_response()
        }
    }
}

fn summary<'a>(form: &TokenForm, assertion: Option<&'a Parsed<'_>>) -> RequestSummary<'a> {
    let claim = |name| assertion.and_then(|assertion| assertion.text(name));
    RequestSummary {
        method: Method::Token,
        name: claim("iss").unwrap_or_default(),
        delegates: &[],
        fields: RequestFields {
            scopes: split(claim("scope").unwrap_or(&form.scope)),
            audience: claim("target_audience").map(str::to_owned),
            grant_type: Some(form.grant_type.clone()),
            ..RequestFields::default()
        },
    }
}

async fn grant(
    state: &EmulatorState,
    form: &TokenForm,
    assertion: Option<&Parsed<'_>>,
    record: &mut JournalRecord<'_>,
) -> Result<Value, OauthError> {
    match form.grant_type.as_str() {
        LEGACY_ASSERTION if form.assertion_type != LEGACY_ASSERTION_TYPE => {
            Err(OauthError::new("invalid_request", "Invalid assertion_type."))
        }
        JWT_BEARER | LEGACY_ASSERTION => {
            let unreadable = || OauthError::grant("Invalid JWT: it cannot be read, or is not RS256.");
            assertion::grant(state, assertion.ok_or_else(unreadable)?, record).await
        }
        REFRESH_TOKEN => refresh::grant(&state.identities, form, record).await,
        "" => Err(OauthError::new("invalid_request", "Missing required parameter: grant_type")),
        _ => Err(OauthError::new("unsupported_grant_type", "Invalid grant_type")),
    }
}

fn access_token_reply(token: &str) -> Value {
    json!({"access_token": token, "expires_in": LIFETIME.as_secs() - 1, "token_type": "Bearer"})
}

fn split(scopes: &str) -> Vec<String> {
    scopes.split_whitespace().map(str::to_owned).collect()
}
