//! The metadata server of Compute Engine and Cloud Run.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tonic::Code;

use crate::scopes;

use crate::emulator::error::Refusal;
use crate::emulator::iam::account::{Account, DEFAULT_PROJECT, project_number_of};
use crate::emulator::protocol::rest::Json;
use crate::emulator::state::{IdClaims, World};

const FLAVOR: &str = "metadata-flavor";

/// The lifetime of a token.
const LIFETIME: Duration = Duration::from_secs(3600);

/// It hands out the same token until so much of its life is left.
const RENEWED: Duration = Duration::from_secs(300);

const DEFAULT_SCOPES: [&str; 2] = [scopes::CLOUD_PLATFORM, scopes::USERINFO_EMAIL];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Query {
    audience: String,
    format: String,
    recursive: String,
    /// Separated by commas.
    scopes: String,
}

/// A page of the metadata server, or its refusal; with the header that tells it is one.
pub(crate) async fn answer(
    world: &World,
    headers: &HeaderMap,
    path: &str,
    query: &Query,
) -> (Result<(), Refusal>, Response<Body>) {
    let (result, mut response) = match page(world, headers, path, query).await {
        Ok(response) => (Ok(()), response),
        Err(refusal) => {
            let response = (refusal.http_status(), format!("{}\n", refusal.message())).into_response();
            (Err(refusal), response)
        }
    };
    response.headers_mut().insert(FLAVOR, HeaderValue::from_static("Google"));
    (result, response)
}

async fn page(
    world: &World,
    headers: &HeaderMap,
    path: &str,
    query: &Query,
) -> Result<Response<Body>, Refusal> {
    let Some(rest) = path.strip_prefix("/computeMetadata/v1") else {
        // Libraries ping the root, and look at the header of the reply.
        return Ok("computeMetadata/\n".into_response());
    };
    if headers.get(FLAVOR).is_none_or(|value| value != "Google") {
        return Err(Refusal::new(Code::PermissionDenied, "Missing Metadata-Flavor:Google header."));
    }
    if headers.contains_key("x-forwarded-for") {
        return Err(Refusal::new(Code::PermissionDenied, "X-Forwarded-For is not allowed."));
    }
    let account = default_account(world);
    let project = account.as_ref().map_or(DEFAULT_PROJECT, |account| account.project()).to_owned();
    match rest {
        "" | "/" => Ok("instance/\nproject/\nuniverse/\n".into_response()),
        "/project/project-id" => Ok(project.into_response()),
        "/project/numeric-project-id" => {
            let number = world.policy().map(|rules| rules.policy.project_number(&project));
            Ok(number.unwrap_or_else(|| project_number_of(&project)).to_string().into_response())
        }
        "/universe/universe-domain" | "/universe/universe_domain" => Ok("googleapis.com".into_response()),
        _ => match (rest.strip_prefix("/instance/service-accounts/"), account) {
            (Some(rest), Some(account)) => of_account(world, &account, rest, query).await,
            _ => Err(not_found()),
        },
    }
}

async fn of_account(
    world: &World,
    account: &Arc<Account>,
    rest: &str,
    query: &Query,
) -> Result<Response<Body>, Refusal> {
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
        "token" => token(world, account, query),
        "identity" => identity(world, account, query).await,
        _ => Err(not_found()),
    }
}

fn token(world: &World, account: &Account, query: &Query) -> Result<Response<Body>, Refusal> {
    let asked: Vec<String> =
        query.scopes.split(',').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
    let scopes = if asked.is_empty() { DEFAULT_SCOPES.map(str::to_owned).to_vec() } else { asked };
    let (token, expires) = world.reissue(account.member(), scopes.into(), LIFETIME, RENEWED)?;
    let left = expires.duration_since(world.clock.now()).unwrap_or_default();
    let reply = json!({"access_token": token, "expires_in": left.as_secs(), "token_type": "Bearer"});
    Ok(Json(reply).into_response())
}

async fn identity(world: &World, account: &Account, query: &Query) -> Result<Response<Body>, Refusal> {
    if query.audience.is_empty() {
        return Err(Refusal::new(Code::InvalidArgument, "non-empty audience parameter required"));
    }
    let wanted = IdClaims {
        audience: &query.audience,
        subject: account.unique_id(),
        azp: account.unique_id(),
        email: (query.format == "full").then_some(account.email()),
        organization: None,
    };
    Ok(world.id_token(&wanted).await?.into_response())
}

fn default_account(world: &World) -> Option<Arc<Account>> {
    match world.policy() {
        Some(rules) => world.account(rules.policy.metadata_server()?),
        None => Some(world.accounts.get(&format!("default@{DEFAULT_PROJECT}.iam.gserviceaccount.com"))),
    }
}

fn not_found() -> Refusal {
    Refusal::new(Code::NotFound, StatusCode::NOT_FOUND.to_string())
}
