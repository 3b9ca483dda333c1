//! The replies of a metadata server, whatever its tokens come from.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use tokio::time::Instant;

use super::{
    FLAVOR, GOOGLE, Machine, Page, Query, Refusal, Resource, SERVER, Wait, above_root, check_headers, find,
};

/// The path of the folder above the root, without the slash at its end.
const FOLDER_ABOVE: &str = "/computeMetadata";

/// How often a page is looked at while a request waits for its change.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a metadata server belongs to: a machine, and the tokens of its account.
pub(crate) trait Backend: Sync {
    type Failure: From<Refusal> + Send;

    fn machine(&self) -> Machine;

    /// Returns an access token and how long it lives. Without scopes it has the account's.
    fn access_token(
        &self,
        scopes: &[String],
    ) -> impl Future<Output = Result<(String, Duration), Self::Failure>> + Send;

    /// Returns an ID token for the query's audience, which isn't empty.
    fn id_token(&self, query: &Query) -> impl Future<Output = Result<String, Self::Failure>> + Send;
}

/// Returns the reply to a request with the method GET. [`mark`] adds the headers that all replies have.
pub(crate) async fn answer<B: Backend>(
    backend: &B,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Response<String>, B::Failure> {
    if uri.path() == FOLDER_ABOVE {
        return Ok(moved(&format!("{FOLDER_ABOVE}/"), uri));
    }
    if let Some(page) = above_root(uri.path()) {
        return Ok(page_reply(page));
    }
    check_headers(headers)?;
    let query = Query::parse(uri.query().unwrap_or_default())?;
    match find(&backend.machine().tree(), uri.path(), &query)? {
        Resource::Moved(path) => Ok(moved(&path, uri)),
        Resource::Token => {
            let (token, left) = backend.access_token(&query.scopes).await?;
            Ok(page_reply(Page::access_token(&token, left)))
        }
        Resource::Identity if query.audience.is_empty() => Err(Refusal::NO_AUDIENCE.into()),
        Resource::Identity => Ok(page_reply(Page::text(backend.id_token(&query).await?))),
        Resource::Page(page) => match &query.wait {
            None => Ok(page_reply(page)),
            Some(wait) => changed(backend, uri.path(), &query, wait, &page.etag()).await,
        },
    }
}

/// Returns the reply of a refused or failed request.
pub(crate) fn failure(status: StatusCode, message: &str) -> Response<String> {
    reply(status, &[(header::CONTENT_TYPE, super::TEXT)], format!("{message}\n"))
}

/// Adds the headers by which clients recognize a metadata server.
pub(crate) fn mark(headers: &mut HeaderMap) {
    headers.insert(FLAVOR, HeaderValue::from_static(GOOGLE));
    headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
}

/// Waits until a page isn't the one that the client has, or until the client's timeout.
async fn changed<B: Backend>(
    backend: &B,
    path: &str,
    query: &Query,
    wait: &Wait,
    current: &str,
) -> Result<Response<String>, B::Failure> {
    let known = wait.last_etag.as_deref().unwrap_or(current);
    let end = wait.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        // The page may disappear while the request waits.
        let Resource::Page(page) = find(&backend.machine().tree(), path, query)? else {
            return Err(Refusal::NOT_FOUND.into());
        };
        if page.etag() != known || end.is_some_and(|end| end <= Instant::now()) {
            return Ok(page_reply(page));
        }
        let look = Instant::now() + LOOK_EVERY;
        tokio::time::sleep_until(end.map_or(look, |end| end.min(look))).await;
    }
}

fn page_reply(page: Page) -> Response<String> {
    let etag = page.etag();
    reply(StatusCode::OK, &[(header::CONTENT_TYPE, page.content_type), (header::ETAG, &etag)], page.body)
}

/// Returns a redirect within the same host, whatever its name is for the client.
fn moved(path: &str, uri: &Uri) -> Response<String> {
    let location = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let headers = [(header::CONTENT_TYPE, super::TEXT), (header::LOCATION, &location)];
    reply(StatusCode::MOVED_PERMANENTLY, &headers, format!("{path}\n"))
}

fn reply(status: StatusCode, headers: &[(http::HeaderName, &str)], body: String) -> Response<String> {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    for (name, value) in headers {
        // A path that came in a request line can be sent in a header.
        if let Ok(value) = HeaderValue::from_str(value) {
            reply.headers_mut().insert(name, value);
        }
    }
    reply
}
