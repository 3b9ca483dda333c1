//! gcp_auth's providers as sources.
//!
//! gcp_auth logs the bodies of error replies, so it runs with tracing disabled. Its error texts are
//! used only if they can't contain a part of a reply. It has no time limits, so they are set here:
//! an attempt without a reply is repeated while the fetch has time left.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gcp_auth::TokenProvider;
use tokio::time::timeout;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use super::{BoxFuture, CacheHints, FetchRequest, SourceInfo, TokenKind, TokenSource};
use crate::scopes::check::checked_scopes;
use crate::{Error, Token};

type Provider = Arc<dyn TokenProvider>;

/// How much of a token's life is left when gcp_auth replaces it (`Token::has_expired`).
const RENEWAL: Duration = Duration::from_secs(20);
/// How long one attempt waits for a reply. The next one uses another connection.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);

/// A provider that the program created. It has a cache of its own.
pub(crate) struct GcpAuthSource {
    provider: Provider,
    /// Invalid scopes are reported by each fetch: the constructor of the credentials can't fail.
    scopes: Result<Vec<String>, Error>,
}

impl GcpAuthSource {
    pub(crate) fn new(provider: Provider, scopes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self { provider, scopes: checked_scopes(scopes) }
    }
}

impl fmt::Debug for GcpAuthSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpAuthSource").field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

impl TokenSource for GcpAuthSource {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(async move {
            let scopes = self.scopes.as_ref().map_err(Error::clone)?;
            until_answered(request, || token(Arc::clone(&self.provider), scopes)).await
        })
    }

    fn info(&self) -> SourceInfo {
        SourceInfo::new()
            .with_description("a gcp_auth provider in the program")
            .with_scopes(self.scopes.iter().flatten())
            .with_token_kind(TokenKind::AccessToken)
    }

    fn cache_hints(&self) -> CacheHints {
        CacheHints::new().with_renews_at(RENEWAL)
    }
}

/// Calls `ask`, and calls it again after each [`ATTEMPT_TIMEOUT`] without a reply.
pub(super) async fn until_answered<F>(request: FetchRequest<'_>, ask: impl Fn() -> F) -> Result<Token, Error>
where
    F: Future<Output = Result<Token, Error>>,
{
    loop {
        let allowed = ATTEMPT_TIMEOUT.min(request.time_left());
        match timeout(allowed, ask()).await {
            Ok(outcome) => return outcome,
            Err(_) if request.time_left().is_zero() => return Err(no_reply(allowed)),
            Err(_) => tracing::debug!(?allowed, "gcp_auth got no reply, so it is asked again"),
        }
    }
}

pub(super) fn no_reply(allowed: Duration) -> Error {
    Error::timeout(format!("no reply within {allowed:?}"), None).retried()
}

pub(super) async fn token(provider: Provider, scopes: &[String]) -> Result<Token, Error> {
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let token = provider.token(&scopes).with_subscriber(NoSubscriber::default()).await;
    let token = token.map_err(|error| failure(&error))?;
    Token::new(token.as_str(), SystemTime::from(token.expires_at()))
}

/// gcp_auth has retried already. Its errors don't say whether they are transient.
pub(super) fn failure(error: &gcp_auth::Error) -> Error {
    let message: Cow<'static, str> = match error {
        // serde_json's text contains what it couldn't read, which may be a token.
        gcp_auth::Error::Json(what, cause) => format!("{what} (a {:?} error)", cause.classify()).into(),
        gcp_auth::Error::Http(what, cause) => format!("{what}: {}", with_causes(cause)).into(),
        gcp_auth::Error::Other(what, cause) => format!("{what}: {}", with_causes(&**cause)).into(),
        gcp_auth::Error::Io(what, cause) => format!("{what}: {cause}").into(),
        other => other.to_string().into(),
    };
    tracing::debug!(%message, "gcp_auth returned no token");
    Error::credentials(message, true).retried()
}

/// hyper's errors show the reason only in their causes.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
