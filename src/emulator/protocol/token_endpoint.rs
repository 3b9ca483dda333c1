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

use self::parameters::Parameters;
use super::oauth_body;
use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::api::record::JournalRecord;
use crate::emulator::error::OauthError;
use crate::emulator::iam::jwt::Parsed;
use crate::emulator::journal::RequestFields;
use crate::emulator::method::Method;
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
    let revoke = || about_token(Method::Revoke, revoke::revoke);
    let token_info = |answer| about_token(Method::TokenInfo, answer);
    let user_info = |answer| about_token(Method::UserInfo, answer);
    Router::new()
        .route("/token", post(handle))
        .route("/oauth2/v4/token", post(handle))
        .route("/o/oauth2/token", post(handle))
        .route("/revoke", revoke())
        .route("/o/oauth2/revoke", revoke())
        .route("/tokeninfo", token_info(token_info::current))
        .route("/oauth2/v1/tokeninfo", token_info(token_info::old))
        .route("/oauth2/v2/tokeninfo", token_info(token_info::old))
        .route("/oauth2/v3/tokeninfo", token_info(token_info::current))
        .route("/oauth2/v1/userinfo", user_info(user_info::old))
        .route("/oauth2/v2/userinfo", user_info(user_info::old))
        .route("/userinfo/v2/me", user_info(user_info::old))
        .route("/oauth2/v3/userinfo", user_info(user_info::current))
        .route("/v1/userinfo", user_info(user_info::current))
}

/// What a page says about the token that a request names.
type Answer = fn(&EmulatorState, &Parameters, &mut JournalRecord<'_>) -> Result<Value, OauthError>;

/// Returns the routes of a page about tokens.
fn about_token(method: Method, answer: Answer) -> MethodRouter<Arc<EmulatorState>> {
    let handle = move |context, request| handle_about_token(context, request, method, answer);
    get(handle).post(handle)
}

async fn handle_about_token(
    context: RequestContext,
    request: Request<Body>,
    method: Method,
    answer: Answer,
) -> Response<Body> {
    let mut record = match context.begin(RequestSummary::of_name(method, "")).await {
        Ok(record) => record,
        Err(error) => return OauthError::from(error).into_response(),
    };
    let parameters = Parameters::read(request).await;
    let result = parameters.and_then(|parameters| answer(&context.state, &parameters, &mut record));
    oauth_body::reply(record, result)
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
    let result = grant(&context.state, &form, assertion.as_ref(), &mut record).await;
    oauth_body::reply(record, result)
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
