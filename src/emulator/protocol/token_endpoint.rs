//! The OAuth token endpoint: `POST /token` and `/tokeninfo`.

mod assertion;
mod refresh;
mod token_info;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Form;
use axum::extract::rejection::FormRejection;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use http::Response;
use serde::Deserialize;
use serde_json::{Value, json};

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

/// The lifetime of access tokens from this endpoint: 1 h.
const LIFETIME: Duration = Duration::from_secs(3600);

/// The form of a request for a token.
#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenForm {
    grant_type: String,
    assertion: String,
    refresh_token: String,
    client_id: String,
    client_secret: String,
    scope: String,
}

pub(crate) fn routes() -> Router<Arc<EmulatorState>> {
    let token_info = || get(token_info::handle).post(token_info::handle);
    Router::new()
        .route("/token", post(handle))
        .route("/oauth2/v4/token", post(handle))
        .route("/tokeninfo", token_info())
        .route("/oauth2/v1/tokeninfo", token_info())
        .route("/oauth2/v3/tokeninfo", token_info())
}

async fn handle(context: RequestContext, form: Result<Form<TokenForm>, FormRejection>) -> Response<Body> {
    let form = match form {
        Ok(Form(form)) => form,
        Err(rejection) => return OauthError::new("invalid_request", rejection.body_text()).into_response(),
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
        JWT_BEARER => {
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
