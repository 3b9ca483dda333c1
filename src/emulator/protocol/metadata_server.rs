//! The metadata server of Compute Engine and Cloud Run.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Query;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri};
use serde::Deserialize;
use serde_json::json;
use tonic::Code;

use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::error::ApiError;
use crate::emulator::iam::account::{Account, DEFAULT_PROJECT, project_number_of};
use crate::emulator::iam::id_tokens::IdTokenClaims;
use crate::emulator::method::Method;
use crate::emulator::reply::Json;
use crate::emulator::state::EmulatorState;
use crate::scopes::{self, check::are_scopes};

const FLAVOR: &str = "metadata-flavor";

/// The lifetime of a token: 1 h.
const LIFETIME: Duration = Duration::from_secs(3600);

/// The metadata server returns the same token until this much of its life is left: 5 min.
const RENEWAL_MARGIN: Duration = Duration::from_secs(300);

const DEFAULT_SCOPES: [&str; 2] = [scopes::CLOUD_PLATFORM, scopes::USERINFO_EMAIL];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Parameters {
    audience: String,
    format: String,
    recursive: String,
    /// Separated by commas.
    scopes: String,
}

pub(crate) fn routes() -> Router<Arc<EmulatorState>> {
    Router::new().route("/", get(handle)).route("/computeMetadata/{*path}", get(handle))
}

async fn handle(context: RequestContext, uri: Uri, Query(query): Query<Parameters>) -> Response<Body> {
    let record = match context.begin(RequestSummary::of_name(Method::Metadata, uri.path())).await {
        Ok(record) => record,
        Err(error) => return error.into_response(),
    };
    let result = page(&context.state, &context.headers, uri.path(), &query).await;
    record.finish(result.as_ref().err());
    let mut response = result
        .unwrap_or_else(|error| (error.http_status(), format!("{}\n", error.message())).into_response());
    response.headers_mut().insert(FLAVOR, HeaderValue::from_static("Google"));
    response
}

async fn page(
    state: &EmulatorState,
    headers: &HeaderMap,
    path: &str,
    query: &Parameters,
) -> Result<Response<Body>, ApiError> {
    let Some(rest) = path.strip_prefix("/computeMetadata/v1") else {
        // Libraries request the root and check a header of the reply.
        return Ok("computeMetadata/\n".into_response());
    };
    if headers.get(FLAVOR).is_none_or(|value| value != "Google") {
        return Err(ApiError::new(Code::PermissionDenied, "Missing Metadata-Flavor:Google header."));
    }
    if headers.contains_key("x-forwarded-for") {
        return Err(ApiError::new(Code::PermissionDenied, "X-Forwarded-For is not allowed."));
    }
    let account = default_account(state);
    let project = account.as_ref().map_or(DEFAULT_PROJECT, |account| account.project()).to_owned();
    match rest {
        "" | "/" => Ok("instance/\nproject/\nuniverse/\n".into_response()),
        "/project/project-id" => Ok(project.into_response()),
        "/project/numeric-project-id" => {
            let number = state.identities.policy().map(|active| active.policy.project_number(&project));
            Ok(number.unwrap_or_else(|| project_number_of(&project)).to_string().into_response())
        }
        "/universe/universe-domain" | "/universe/universe_domain" => Ok("googleapis.com".into_response()),
        _ => match (rest.strip_prefix("/instance/service-accounts/"), account) {
            (Some(rest), Some(account)) => of_account(state, &account, rest, query).await,
            _ => Err(not_found()),
        },
    }
}

async fn of_account(
    state: &EmulatorState,
    account: &Arc<Account>,
    rest: &str,
    query: &Parameters,
) -> Result<Response<Body>, ApiError> {
    if rest.is_empty() {
        return Ok(format!("default/\n{}/\n", account.email()).into_response());
    }
    let (name, what) = rest.split_once('/').unwrap_or((rest, ""));
    if name != "default" && name != account.email() {
        return Err(not_found());
    }
    match what {
        "" if query.recursive.eq_ignore_ascii_case("true") => {
            let about = json!({"aliases": ["default"], "email": account.email(), "scopes": DEFAULT_SCOPES});
            Ok(Json(about).into_response())
        }
        "" => Ok("aliases\nemail\nidentity\nscopes\ntoken\n".into_response()),
        "aliases" => Ok("default\n".into_response()),
        "email" => Ok(account.email().to_owned().into_response()),
        "scopes" => Ok(format!("{}\n", DEFAULT_SCOPES.join("\n")).into_response()),
        "token" => token(state, account, query),
        "identity" => identity(state, account, query).await,
        _ => Err(not_found()),
    }
}

fn token(state: &EmulatorState, account: &Account, query: &Parameters) -> Result<Response<Body>, ApiError> {
    let requested: Vec<String> =
        query.scopes.split(',').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
    if !are_scopes(&requested) {
        return Err(ApiError::new(Code::InvalidArgument, "Some requested scopes were invalid."));
    }
    let scopes = if requested.is_empty() { DEFAULT_SCOPES.map(str::to_owned).to_vec() } else { requested };
    let (token, expires) =
        state.identities.reuse_access_token(account.member(), scopes.into(), LIFETIME, RENEWAL_MARGIN)?;
    let left = state.identities.time_until(expires);
    let reply = json!({"access_token": token, "expires_in": left.as_secs(), "token_type": "Bearer"});
    Ok(Json(reply).into_response())
}

async fn identity(
    state: &EmulatorState,
    account: &Account,
    query: &Parameters,
) -> Result<Response<Body>, ApiError> {
    if query.audience.is_empty() {
        return Err(ApiError::new(Code::InvalidArgument, "non-empty audience parameter required"));
    }
    let wanted = IdTokenClaims {
        audience: &query.audience,
        subject: account.unique_id(),
        azp: account.unique_id(),
        email: (query.format == "full").then_some(account.email()),
        organization: None,
    };
    Ok(state.identities.issue_id_token(&wanted).await?.into_response())
}

fn default_account(state: &EmulatorState) -> Option<Arc<Account>> {
    match state.identities.policy() {
        Some(active) => state.identities.account(active.policy.metadata_server()?),
        None => {
            Some(state.identities.accounts.get(&format!("default@{DEFAULT_PROJECT}.iam.gserviceaccount.com")))
        }
    }
}

fn not_found() -> ApiError {
    ApiError::new(Code::NotFound, StatusCode::NOT_FOUND.to_string())
}
