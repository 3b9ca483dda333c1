//! A URL as the source of subject tokens: a metadata server, or the issuer itself.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use tokio::time::Instant;

use super::format::TokenFormat;
use super::{SubjectToken, SubjectTokenKind, SubjectTokenSource, request};
use crate::Error;
use crate::http_client::HttpClient;
use crate::source::BoxFuture;

/// The field of a credential file with the URL.
const FIELD: &str = "credential_source.url";

/// Requests the token anew for each exchange.
pub(crate) struct UrlSource {
    pub(crate) http: HttpClient,
    pub(crate) uri: Uri,
    /// They may contain a secret.
    pub(crate) headers: HeaderMap,
    pub(crate) format: TokenFormat,
}

impl UrlSource {
    async fn request(&self, deadline: Instant) -> Result<SubjectToken, Error> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().clone_from(&self.headers);
        let reply = request::send(&self.http, &request, FIELD, deadline).await?;
        self.format.read(&reply.body).map_err(|problem| {
            let message = format!("no subject token: the reply of {} ({FIELD}) {problem}", self.host());
            Error::credentials(message, false).retried()
        })
    }

    fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }
}

impl SubjectTokenSource for UrlSource {
    fn fetch(&self, deadline: Instant) -> BoxFuture<'_, Result<SubjectToken, Error>> {
        Box::pin(self.request(deadline))
    }

    fn kind(&self) -> SubjectTokenKind {
        SubjectTokenKind::Url
    }

    fn origin(&self) -> String {
        format!("a URL of {}", self.host())
    }
}

impl fmt::Debug for UrlSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UrlSource").field(&self.host()).finish()
    }
}
