//! The metadata server of AWS (IMDS), in both of its versions.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::IntoResponse;
use axum::routing::{get, put};
use http::{HeaderMap, HeaderName, Response};
use serde_json::{Value, json};
use tonic::Code;

use super::plain;
use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::api::record::JournalRecord;
use crate::emulator::clock::{Clock, timestamp};
use crate::emulator::error::ApiError;
use crate::emulator::faults::PlatformFault;
use crate::emulator::iam::federation::aws::credentials::AwsCredentials;
use crate::emulator::iam::federation::external_identity::ExternalIdentity;
use crate::emulator::iam::federation::platform_pages as pages;
use crate::emulator::iam::policy::ExternalAccount;
use crate::emulator::method::Method;
use crate::emulator::reply::Json;
use crate::emulator::state::EmulatorState;

/// How long a token for the metadata server is to be valid, in seconds.
const TTL: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");

/// A token for the metadata server.
const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");

/// The longest life of a token, in seconds: 6 h.
const LONGEST_TTL: u64 = 21_600;

/// What a page shows.
#[derive(Clone, Copy)]
enum Page {
    RoleName,
    Credentials,
    Zone,
    Region,
}

pub(super) fn routes() -> Router<Arc<EmulatorState>> {
    let roles = pages::route(pages::AWS_ROLES);
    Router::new()
        .route(&pages::route(pages::AWS_TOKEN), put(session_token))
        .route(&roles, get(|context, path| page(context, path, Page::RoleName)))
        .route(&format!("{roles}/"), get(|context, path| page(context, path, Page::RoleName)))
        .route(&format!("{roles}/{{role}}"), get(credentials_of_role))
        .route(&pages::route(pages::AWS_ZONE), get(|context, path| page(context, path, Page::Zone)))
        .route(&pages::route(pages::AWS_REGION), get(|context, path| page(context, path, Page::Region)))
}

/// Returns a token for the other pages (IMDSv2).
async fn session_token(context: RequestContext, Path(name): Path<String>) -> Response<Body> {
    let mut record = match context.begin(RequestSummary::of_name(Method::ExternalAccount, &name)).await {
        Ok(record) => record,
        Err(error) => return error.into_response(),
    };
    let token = issue_session_token(&context, &name, &mut record).await;
    record.finish(token.as_ref().err());
    plain(token.map(|(token, ttl)| ([(TTL, ttl.to_string())], token).into_response()))
}

async fn issue_session_token(
    context: &RequestContext,
    name: &str,
    record: &mut JournalRecord<'_>,
) -> Result<(String, u64), ApiError> {
    let identities = &context.state.identities;
    ExternalIdentity::find(identities, name)?.aws()?;
    let refused = [PlatformFault::SessionTokenRefused];
    let is_refused =
        context.apply_platform_fault(&refused, Method::ExternalAccount, name, record).await.is_some();
    if is_refused || context.headers.contains_key("x-forwarded-for") {
        return Err(ApiError::new(Code::PermissionDenied, "Forbidden"));
    }
    let ttl = context.headers.get(TTL).and_then(|value| value.to_str().ok()?.parse().ok());
    let ttl = ttl.filter(|ttl| (1..=LONGEST_TTL).contains(ttl)).ok_or_else(|| {
        ApiError::new(
            Code::InvalidArgument,
            format!("Bad Request: {TTL} must be between 1 and {LONGEST_TTL}"),
        )
    })?;
    let expires = context.state.clock.now() + Duration::from_secs(ttl);
    Ok((identities.aws.session_token(name, expires), ttl))
}

async fn credentials_of_role(
    context: RequestContext,
    Path((name, role)): Path<(String, String)>,
) -> Response<Body> {
    let identity = ExternalIdentity::find(&context.state.identities, &name);
    let is_known =
        identity.is_ok_and(|it| it.aws().is_ok_and(|(account, _)| account.aws_role(&name) == role));
    let what = if is_known { Page::Credentials } else { Page::RoleName };
    if is_known {
        return page(context, Path(name), what).await;
    }
    let error = ApiError::new(Code::NotFound, "Not Found: the account has no such role");
    context.record(RequestSummary::of_name(Method::ExternalAccount, &name)).finish(Some(&error));
    plain(Err(error))
}

async fn page(context: RequestContext, Path(name): Path<String>, page: Page) -> Response<Body> {
    let mut record = match context.begin(RequestSummary::of_name(Method::ExternalAccount, &name)).await {
        Ok(record) => record,
        Err(error) => return error.into_response(),
    };
    let shown = show(&context, &name, page, &mut record).await;
    record.finish(shown.as_ref().err());
    plain(shown)
}

async fn show(
    context: &RequestContext,
    name: &str,
    page: Page,
    record: &mut JournalRecord<'_>,
) -> Result<Response<Body>, ApiError> {
    let identity = ExternalIdentity::find(&context.state.identities, name)?;
    let (account, _) = identity.aws()?;
    check_session(context, name, account)?;
    Ok(match page {
        Page::RoleName => account.aws_role(name).to_owned().into_response(),
        Page::Zone => format!("{}a", account.aws_region()).into_response(),
        Page::Region => account.aws_region().to_owned().into_response(),
        Page::Credentials => {
            let credentials = credentials(context, &identity, name, record).await?;
            Json(document(&credentials, &context.state.clock)).into_response()
        }
    })
}

/// Checks the token of a request. Without one, the first version of the protocol is used, if it may be.
fn check_session(context: &RequestContext, name: &str, account: &ExternalAccount) -> Result<(), ApiError> {
    let is_allowed = match session_in(&context.headers) {
        Some(token) => context.state.identities.aws.is_session_token(name, token, context.state.clock.now()),
        None => !account.imds_v2_only,
    };
    if is_allowed { Ok(()) } else { Err(ApiError::new(Code::Unauthenticated, "Unauthorized")) }
}

fn session_in(headers: &HeaderMap) -> Option<&str> {
    headers.get(TOKEN).map(|value| value.to_str().unwrap_or_default())
}

/// Returns the credentials of an account, with the fault in force.
async fn credentials(
    context: &RequestContext,
    identity: &ExternalIdentity<'_>,
    name: &str,
    record: &mut JournalRecord<'_>,
) -> Result<AwsCredentials, ApiError> {
    let kinds = [PlatformFault::ExpiredCredentials, PlatformFault::WrongSecret];
    let fault = context.apply_platform_fault(&kinds, Method::ExternalAccount, name, record).await;
    identity.aws_credentials(fault)
}

/// Returns the variables from which AWS's libraries take credentials.
pub(super) async fn environment(
    context: &RequestContext,
    identity: &ExternalIdentity<'_>,
    name: &str,
    record: &mut JournalRecord<'_>,
) -> Result<String, ApiError> {
    let region = identity.aws()?.0.aws_region();
    let credentials = credentials(context, identity, name, record).await?;
    Ok(format!(
        "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\nAWS_SESSION_TOKEN={}\nAWS_REGION={region}\n",
        credentials.access_key_id, credentials.secret_access_key, credentials.session_token
    ))
}

fn document(credentials: &AwsCredentials, clock: &Clock) -> Value {
    json!({
        "Code": "Success",
        "Type": "AWS-HMAC",
        "LastUpdated": timestamp(clock.shown(credentials.issued)),
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key,
        "Token": credentials.session_token,
        "Expiration": timestamp(clock.shown(credentials.expires)),
    })
}
