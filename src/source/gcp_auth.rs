//! gcp_auth's providers as sources.
//!
//! gcp_auth caches a token until 20 s before its expiry. So a provider made here serves one fetch
//! and is made anew for the next; a caller's own provider is used as it is. It also logs the
//! bodies of refused replies, so it runs with tracing off, and its own words are passed on only
//! where they cannot hold a reply's content. And it waits for an answer for ever: what it does is
//! bounded here, and done again while the fetch has time left.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use gcp_auth::{GCloudAuthorizedUser, MetadataServiceAccount, TokenProvider};
use tokio::time::timeout;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use super::{BoxFuture, CacheHints, Explanation, FetchRequest, SourceInfo, TokenSource};
use crate::{Error, Token};

type Provider = Arc<dyn TokenProvider>;

/// What is left of a token's life when gcp_auth replaces it (`Token::has_expired`).
const RENEWAL: Duration = Duration::from_secs(20);
/// How long to wait for an answer before asking anew, over another connection.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait for a metadata server that has never answered: many networks swallow what is
/// sent there.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// A caller's own provider, which has a cache of its own.
pub(crate) struct GcpAuthSource {
    provider: Provider,
    scopes: Arc<[Box<str>]>,
}

impl GcpAuthSource {
    pub(crate) fn new(provider: Provider, scopes: Arc<[Box<str>]>) -> Self {
        Self { provider, scopes }
    }
}

impl fmt::Debug for GcpAuthSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpAuthSource").field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

impl TokenSource for GcpAuthSource {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(until_answered(request, || token(Arc::clone(&self.provider), &self.scopes)))
    }

    fn info(&self) -> SourceInfo {
        SourceInfo::new()
    }

    fn explain(&self) -> Explanation {
        Explanation::new("a gcp_auth provider of the program's own").with_scopes(&*self.scopes)
    }

    fn cache_hints(&self) -> CacheHints {
        CacheHints::new().renews_at(RENEWAL)
    }
}

/// What the machine itself offers: the metadata server, else the `gcloud` command.
///
/// The first fetch that succeeds decides between the two for good, so that a passing failure never
/// changes who the program is.
#[derive(Debug)]
pub(crate) struct MachineSource {
    scopes: Arc<[Box<str>]>,
    info: SourceInfo,
    found: OnceLock<Machine>,
}

#[derive(Clone, Copy, Debug)]
enum Machine {
    MetadataServer,
    Gcloud,
}

impl MachineSource {
    /// `info` holds what the program says of them: the machine tells nothing without a call.
    pub(crate) fn new(scopes: Arc<[Box<str>]>, info: SourceInfo) -> Self {
        Self { scopes, info, found: OnceLock::new() }
    }

    async fn resolve(&self) -> Result<Token, Error> {
        let metadata = match self.found.get() {
            Some(machine) => return self.from(*machine).await,
            None => match timeout(PROBE_TIMEOUT, self.from(Machine::MetadataServer)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(no_answer(PROBE_TIMEOUT)),
            },
        };
        let (machine, outcome) = match metadata {
            Ok(token) => (Machine::MetadataServer, Ok(token)),
            Err(metadata) => {
                let gcloud = self.from(Machine::Gcloud).await;
                (Machine::Gcloud, gcloud.map_err(|gcloud| nothing_found(&metadata, &gcloud)))
            }
        };
        if outcome.is_ok() {
            // A fetch that ran beside this one may have decided first.
            let _ = self.found.set(machine);
        }
        outcome
    }

    async fn from(&self, machine: Machine) -> Result<Token, Error> {
        let made = match machine {
            Machine::MetadataServer => MetadataServiceAccount::new()
                .with_subscriber(NoSubscriber::default())
                .await
                .map(|provider| Arc::new(provider) as Provider),
            // It waits for a child process on the calling thread.
            Machine::Gcloud => {
                let runtime = tokio::runtime::Handle::current();
                blocking(move || {
                    let quiet = GCloudAuthorizedUser::new().with_subscriber(NoSubscriber::default());
                    Ok(runtime.block_on(quiet).map(|provider| Arc::new(provider) as Provider))
                })
                .await?
            }
        };
        token(made.map_err(|error| failure(&error))?, &self.scopes).await
    }
}

impl TokenSource for MachineSource {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        match self.found.get() {
            Some(Machine::MetadataServer) => Box::pin(until_answered(request, || self.resolve())),
            // Another try would start another process beside the one that hangs.
            Some(Machine::Gcloud) | None => Box::pin(self.resolve()),
        }
    }

    fn info(&self) -> SourceInfo {
        self.info.clone()
    }

    fn explain(&self) -> Explanation {
        let (source, reason) = match self.found.get() {
            Some(Machine::MetadataServer) => ("the metadata server", "it was the first to give a token"),
            Some(Machine::Gcloud) => {
                ("the gcloud command", "the metadata server did not answer, and gcloud gave a token")
            }
            None => (
                "the metadata server, else the gcloud command",
                "no credential file was found; the first token will tell which of the two it is",
            ),
        };
        Explanation::new(source).found(None, reason)
    }
}

fn nothing_found(metadata: &Error, gcloud: &Error) -> Error {
    let message = format!(
        "no credentials found: set GOOGLE_APPLICATION_CREDENTIALS to a credential file, or run `gcloud auth \
         application-default login`, or run on Google Cloud (metadata server: {metadata}; gcloud: {gcloud})"
    );
    Error::credentials(message, true).retried()
}

/// Asks, and asks anew whenever no answer has come for [`ATTEMPT_TIMEOUT`].
async fn until_answered<F>(request: FetchRequest<'_>, ask: impl Fn() -> F) -> Result<Token, Error>
where
    F: Future<Output = Result<Token, Error>>,
{
    loop {
        let allowed = ATTEMPT_TIMEOUT.min(request.time_left());
        match timeout(allowed, ask()).await {
            Ok(outcome) => return outcome,
            Err(_) if request.time_left().is_zero() => return Err(no_answer(allowed)),
            Err(_) => tracing::debug!(?allowed, "gcp_auth got no answer, and asks anew"),
        }
    }
}

fn no_answer(allowed: Duration) -> Error {
    Error::timeout(format!("no answer within {allowed:?}"), None).retried()
}

async fn token(provider: Provider, scopes: &[Box<str>]) -> Result<Token, Error> {
    let scopes: Vec<&str> = scopes.iter().map(AsRef::as_ref).collect();
    let token = provider.token(&scopes).with_subscriber(NoSubscriber::default()).await;
    let token = token.map_err(|error| failure(&error))?;
    Token::new(token.as_str(), SystemTime::from(token.expires_at()))
}

/// gcp_auth has retried already, and does not tell passing failures from lasting ones.
fn failure(error: &gcp_auth::Error) -> Error {
    let message: Cow<'static, str> = match error {
        // serde_json quotes what it could not read, and that may be a token.
        gcp_auth::Error::Json(what, cause) => format!("{what} (a {:?} error)", cause.classify()).into(),
        gcp_auth::Error::Http(what, cause) => format!("{what}: {}", with_causes(cause)).into(),
        gcp_auth::Error::Other(what, cause) => format!("{what}: {}", with_causes(&**cause)).into(),
        gcp_auth::Error::Io(what, cause) => format!("{what}: {cause}").into(),
        other => other.to_string().into(),
    };
    tracing::debug!(%message, "gcp_auth gave no token");
    Error::credentials(message, true).retried()
}

/// hyper's errors tell the reason only further down.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(stopped) => Err(Error::credentials(format!("making the source failed: {stopped}"), true)),
    }
}
