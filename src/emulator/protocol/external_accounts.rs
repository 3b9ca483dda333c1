//! The platforms outside Google Cloud from which external accounts get their tokens.

mod aws;
mod sign_in;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query};
use axum::response::IntoResponse;
use axum::routing::get;
use http::{Response, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::Code;

use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::api::record::JournalRecord;
use crate::emulator::error::{ApiError, OauthError};
use crate::emulator::faults::PlatformFault;
use crate::emulator::iam::federation::external_identity::{
    ExternalIdentity, KUBERNETES_LIFETIME, SubjectToken, WantedToken,
};
use crate::emulator::iam::federation::platform_pages as pages;
use crate::emulator::journal::RequestFields;
use crate::emulator::method::Method;
use crate::emulator::reply::Json;
use crate::emulator::state::EmulatorState;
use crate::sts_protocol::JWT_TYPES;

/// How long tokens of GitHub Actions are valid: 5 min.
const GITHUB_LIFETIME: Duration = Duration::from_secs(300);

/// How long tokens of Azure are valid: 24 h.
const AZURE_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The client of tokens of Azure, if the policy doesn't set the claim `appid`.
const AZURE_CLIENT: &str = "00000000-0000-0000-0000-000000000000";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Parameters {
    audience: Option<String>,
    /// What Azure calls an audience.
    resource: Option<String>,
}

pub(crate) fn routes() -> Router<Arc<EmulatorState>> {
    Router::new()
        .route(&pages::route(pages::TOKEN), get(token))
        .route(&pages::route(pages::GITHUB_ACTIONS), get(github_actions))
        .route(&pages::route(pages::AZURE), get(azure))
        .route(&pages::route(pages::EXECUTABLE), get(executable))
        .route(&pages::route(pages::ENVIRONMENT), get(environment))
        .route(&pages::route(pages::DISCOVERY), get(discovery))
        .route(&pages::route(pages::KEYS), get(keys))
        .route(&pages::route(pages::AUTHORIZE), get(sign_in::authorize))
        .merge(aws::routes())
}

/// Returns a token as the text of a file.
async fn token(
    context: RequestContext,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
) -> Response<Body> {
    let issued = issue(&context, &name, query.audience.as_deref(), KUBERNETES_LIFETIME).await;
    issued.map(|issued| issued.token).into_response()
}

/// Replies as the token endpoint of GitHub Actions.
async fn github_actions(
    context: RequestContext,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
) -> Response<Body> {
    let expected = format!("bearer {}", pages::github_request_token(&name));
    let bearer = context.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if !bearer.is_some_and(|bearer| bearer.eq_ignore_ascii_case(&expected)) {
        let problem = "The request needs the bearer token in ACTIONS_ID_TOKEN_REQUEST_TOKEN.";
        let error = ApiError::new(Code::Unauthenticated, problem);
        context.record(RequestSummary::of_name(Method::ExternalAccount, &name)).finish(Some(&error));
        return plain(Err(error));
    }
    let identity = ExternalIdentity::find(&context.state.identities, &name);
    let owner = identity.ok().and_then(|it| it.claim("repository_owner").map(str::to_owned));
    let default = format!("https://github.com/{}", owner.as_deref().unwrap_or(&name));
    let audience = query.audience.unwrap_or(default);
    let issued = issue(&context, &name, Some(&audience), GITHUB_LIFETIME).await;
    issued.map(|issued| Json(json!({"count": issued.token.len(), "value": issued.token}))).into_response()
}

/// Replies as the metadata server of Azure.
async fn azure(
    context: RequestContext,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
) -> Response<Body> {
    let metadata = context.headers.get("metadata");
    if !metadata.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true")) {
        return refuse_as_azure(&context, &name, "Required metadata header not specified");
    }
    let Some(resource) = query.resource.filter(|resource| !resource.is_empty()) else {
        return refuse_as_azure(&context, &name, "Required query variable 'resource' is missing");
    };
    let issued = issue(&context, &name, Some(&resource), AZURE_LIFETIME).await;
    let identity = ExternalIdentity::find(&context.state.identities, &name);
    let client = identity.ok().and_then(|it| it.claim("appid").map(str::to_owned));
    issued.map(|issued| Json(azure_reply(&issued, &resource, client.as_deref()))).into_response()
}

fn refuse_as_azure(context: &RequestContext, name: &str, problem: &str) -> Response<Body> {
    let error = OauthError::new("invalid_request", problem);
    let record = context.record(RequestSummary::of_name(Method::ExternalAccount, name));
    record.finish_with_oauth_error(error.code(), error.error, problem);
    error.into_response()
}

/// Returns Azure's reply, in which all numbers are texts.
fn azure_reply(issued: &SubjectToken, resource: &str, client: Option<&str>) -> Value {
    let expires_in = (issued.expires - issued.issued).to_string();
    json!({"access_token": issued.token, "client_id": client.unwrap_or(AZURE_CLIENT), "expires_in": expires_in,
        "expires_on": issued.expires.to_string(), "ext_expires_in": expires_in,
        "not_before": issued.issued.to_string(), "resource": resource, "token_type": "Bearer"})
}

/// Returns what the executable of a credential file prints.
async fn executable(
    context: RequestContext,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
) -> Response<Body> {
    let issued = issue(&context, &name, query.audience.as_deref(), KUBERNETES_LIFETIME).await;
    let reply = |issued: SubjectToken| {
        json!({"version": 1, "success": true, "token_type": JWT_TYPES[0], "id_token": issued.token,
            "expiration_time": issued.expires})
    };
    issued.map(|issued| Json(reply(issued))).into_response()
}

/// Returns the variables that the platform sets, as lines for `env` and `export`.
async fn environment(context: RequestContext, Path(name): Path<String>) -> Response<Body> {
    let mut record = match context.begin(RequestSummary::of_name(Method::ExternalAccount, &name)).await {
        Ok(record) => record,
        Err(error) => return error.into_response(),
    };
    let lines = variables(&context, &name, &mut record).await;
    record.finish(lines.as_ref().err());
    lines.into_response()
}

async fn variables(
    context: &RequestContext,
    name: &str,
    record: &mut JournalRecord<'_>,
) -> Result<String, ApiError> {
    let identity = ExternalIdentity::find(&context.state.identities, name)?;
    if identity.aws().is_ok() {
        return aws::environment(context, &identity, name, record).await;
    }
    let url = pages::github_request_url(&context.state.endpoint, name);
    let token = pages::github_request_token(name);
    Ok(format!("ACTIONS_ID_TOKEN_REQUEST_URL={url}\nACTIONS_ID_TOKEN_REQUEST_TOKEN={token}\n"))
}

/// Returns the configuration of the issuer.
async fn discovery(context: RequestContext, Path(name): Path<String>) -> Response<Body> {
    let reply = async {
        let identity = ExternalIdentity::find(&context.state.identities, &name)?;
        Ok(json!({
            "issuer": identity.issuer_uri()?,
            "jwks_uri": pages::url(&context.state.endpoint, &name, pages::KEYS),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }))
    };
    context.reply_json(RequestSummary::of_name(Method::ExternalAccount, &name), reply).await
}

/// Returns the public keys of the issuer.
async fn keys(context: RequestContext, Path(name): Path<String>) -> Response<Body> {
    let reply = async {
        let ring = ExternalIdentity::find(&context.state.identities, &name)?.issuer_keys()?;
        // Generates the key: a verifier may cache the keys before the first token.
        ring.with_current(context.state.clock.now(), |_| Ok(())).await?;
        Ok(ring.jwks())
    };
    context.reply_json(RequestSummary::of_name(Method::ExternalAccount, &name), reply).await
}

/// Issues a token, after recording the request and applying the faults in force.
async fn issue(
    context: &RequestContext,
    name: &str,
    audience: Option<&str>,
    lifetime: Duration,
) -> Result<SubjectToken, ApiError> {
    let fields = RequestFields { audience: audience.map(str::to_owned), ..RequestFields::default() };
    let summary = RequestSummary { method: Method::ExternalAccount, name, delegates: &[], fields };
    let mut record = context.begin(summary).await?;
    let issued = issue_with_faults(context, name, audience, lifetime, &mut record).await;
    record.finish(issued.as_ref().err());
    issued
}

async fn issue_with_faults(
    context: &RequestContext,
    name: &str,
    audience: Option<&str>,
    lifetime: Duration,
    record: &mut JournalRecord<'_>,
) -> Result<SubjectToken, ApiError> {
    let identity = ExternalIdentity::find(&context.state.identities, name)?;
    let fault =
        context.apply_platform_fault(&PlatformFault::OF_TOKENS, Method::ExternalAccount, name, record).await;
    identity.issue(&WantedToken { audience, lifetime, fault }).await
}

/// Returns a reply, or the error as text: the other platforms don't have Google's format.
fn plain(result: Result<Response<Body>, ApiError>) -> Response<Body> {
    result.unwrap_or_else(|error| (error.http_status(), format!("{}\n", error.message())).into_response())
}
