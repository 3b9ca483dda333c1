//! The metadata server of Compute Engine and Cloud Run.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use tokio::time::Instant;
use tonic::Code;

use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::error::ApiError;
use crate::emulator::iam::account::Account;
use crate::emulator::iam::id_tokens::IdTokenClaims;
use crate::emulator::iam::machine;
use crate::emulator::method::Method;
use crate::emulator::state::EmulatorState;
use crate::metadata_protocol::{
    FLAVOR, GOOGLE, Page, Query, Refusal, Resource, SERVER, Wait, above_root, check_headers, find,
};
use crate::scopes::check::are_scopes;

/// The lifetime of a token: 1 h.
const LIFETIME: Duration = Duration::from_secs(3600);

/// The metadata server returns the same token until this much of its life is left: 5 min.
const RENEWAL_MARGIN: Duration = Duration::from_secs(300);

/// How often a page is looked at while a request waits for its change.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) fn routes() -> Router<Arc<EmulatorState>> {
    Router::new()
        .route("/", get(handle))
        .route("/computeMetadata", get(handle))
        .route("/computeMetadata/{*path}", get(handle))
        .route("/computeMetadata/", get(handle))
}

async fn handle(context: RequestContext, uri: Uri) -> Response<Body> {
    let result = match context.begin(RequestSummary::of_name(Method::Metadata, uri.path())).await {
        Ok(record) => {
            let result = answer(&context.state, &context.headers, &uri).await;
            record.finish(result.as_ref().err());
            result
        }
        Err(fault) => Err(fault),
    };
    let mut response = result
        .unwrap_or_else(|error| (error.http_status(), format!("{}\n", error.message())).into_response());
    response.headers_mut().insert(FLAVOR, HeaderValue::from_static(GOOGLE));
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static(SERVER));
    response
}

async fn answer(state: &EmulatorState, headers: &HeaderMap, uri: &Uri) -> Result<Response<Body>, ApiError> {
    if uri.path() == "/computeMetadata" {
        return moved("/computeMetadata/", uri);
    }
    if let Some(page) = above_root(uri.path()) {
        return Ok(page_response(page));
    }
    check_headers(headers)?;
    let query = Query::parse(uri.query().unwrap_or_default())?;
    match find(&machine::of(&state.identities).tree(), uri.path(), &query)? {
        Resource::Moved(path) => moved(&path, uri),
        Resource::Token => token(state, &query),
        Resource::Identity => identity(state, &query).await,
        Resource::Page(page) => match &query.wait {
            None => Ok(page_response(page)),
            Some(wait) => changed(state, uri.path(), &query, wait, &page.etag()).await,
        },
    }
}

/// Waits until a page isn't the one that the client has, or until the client's timeout.
async fn changed(
    state: &EmulatorState,
    path: &str,
    query: &Query,
    wait: &Wait,
    current: &str,
) -> Result<Response<Body>, ApiError> {
    let known = wait.last_etag.as_deref().unwrap_or(current);
    let end = wait.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        // The page may disappear while the request waits.
        let Resource::Page(page) = find(&machine::of(&state.identities).tree(), path, query)? else {
            return Err(Refusal::NOT_FOUND.into());
        };
        if page.etag() != known || end.is_some_and(|end| end <= Instant::now()) {
            return Ok(page_response(page));
        }
        let look = Instant::now() + LOOK_EVERY;
        tokio::time::sleep_until(end.map_or(look, |end| end.min(look))).await;
    }
}

fn page_response(page: Page) -> Response<Body> {
    let etag = page.etag();
    ([(header::CONTENT_TYPE, page.content_type), (header::ETAG, &etag)], page.body).into_response()
}

/// Returns a redirect within the same host, whatever its name is for the client.
fn moved(path: &str, uri: &Uri) -> Result<Response<Body>, ApiError> {
    let location = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    Ok((StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, location)], format!("{path}\n")).into_response())
}

fn token(state: &EmulatorState, query: &Query) -> Result<Response<Body>, ApiError> {
    let account = account(state)?;
    if !are_scopes(&query.scopes) {
        return Err(ApiError::new(Code::InvalidArgument, "Some requested scopes were invalid."));
    }
    let scopes = if query.scopes.is_empty() { machine::default_scopes() } else { query.scopes.clone() };
    let (token, expires) =
        state.identities.reuse_access_token(account.member(), scopes.into(), LIFETIME, RENEWAL_MARGIN)?;
    Ok(page_response(Page::access_token(&token, state.identities.time_until(expires))))
}

async fn identity(state: &EmulatorState, query: &Query) -> Result<Response<Body>, ApiError> {
    let account = account(state)?;
    if query.audience.is_empty() {
        return Err(ApiError::new(Code::InvalidArgument, "non-empty audience parameter required"));
    }
    let wanted = IdTokenClaims {
        audience: &query.audience,
        subject: account.unique_id(),
        azp: account.unique_id(),
        email: query.full.then_some(account.email()),
        google: query.full.then(|| machine::of(&state.identities).claims(query.licenses)),
    };
    Ok(page_response(Page::text(state.identities.issue_id_token(&wanted).await?)))
}

fn account(state: &EmulatorState) -> Result<Arc<Account>, ApiError> {
    machine::account(&state.identities).ok_or_else(|| Refusal::NOT_FOUND.into())
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.status {
            StatusCode::FORBIDDEN => Code::PermissionDenied,
            StatusCode::NOT_FOUND => Code::NotFound,
            _ => Code::InvalidArgument,
        };
        Self::new(code, refusal.message)
    }
}
