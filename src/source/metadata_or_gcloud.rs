//! What the machine itself offers: the metadata server, else the `gcloud` command.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gcp_auth::MetadataServiceAccount;
use hyper_util::client::legacy;
use tokio::time::timeout;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use super::gcp_auth::{failure, no_answer, token, until_answered};
use super::{BoxFuture, FetchRequest, SourceInfo, TokenSource, gcloud};
use crate::{Error, Token};

/// How long to wait for a metadata server that has never answered: many networks swallow what is
/// sent there.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The metadata server, else the `gcloud` command.
///
/// The first fetch that succeeds decides between the two for good, and a metadata server that
/// answers is the one even if it has no token now: so a passing failure never changes who the
/// program is.
#[derive(Debug)]
pub(crate) struct MetadataOrGcloud {
    scopes: Vec<String>,
    info: SourceInfo,
    found: OnceLock<Machine>,
}

#[derive(Clone, Copy, Debug)]
enum Machine {
    MetadataServer,
    Gcloud,
}

/// Why the metadata server gave no token.
struct NoMetadata {
    error: Error,
    /// Whether it is there all the same.
    answered: bool,
}

impl MetadataOrGcloud {
    /// `info` holds what the program says of them: the machine tells nothing without a call.
    pub(crate) fn new(scopes: Vec<String>, info: SourceInfo) -> Self {
        Self { scopes, info, found: OnceLock::new() }
    }

    /// Decides between the two by asking.
    async fn resolve(&self) -> Result<Token, Error> {
        let probe = timeout(PROBE_TIMEOUT, self.metadata_server()).await;
        let probe =
            probe.unwrap_or_else(|_| Err(NoMetadata { error: no_answer(PROBE_TIMEOUT), answered: false }));
        let (machine, token) = match probe {
            Ok(token) => (Machine::MetadataServer, token),
            Err(NoMetadata { error, answered: true }) => return Err(refused(&error)),
            Err(NoMetadata { error, answered: false }) => {
                let token = gcloud::token().await.map_err(|gcloud| nothing_found(&error, &gcloud))?;
                (Machine::Gcloud, token)
            }
        };
        // A fetch that ran beside this one may have decided first.
        let _ = self.found.set(machine);
        Ok(token)
    }

    /// gcp_auth keeps a token until its last 20 s, so each fetch makes the provider anew.
    async fn metadata_server(&self) -> Result<Token, NoMetadata> {
        let made = MetadataServiceAccount::new().with_subscriber(NoSubscriber::default()).await;
        let provider =
            made.map_err(|error| NoMetadata { answered: answered(&error), error: failure(&error) })?;
        // It has a token from its making.
        token(Arc::new(provider), &self.scopes).await.map_err(|error| NoMetadata { error, answered: true })
    }
}

impl TokenSource for MetadataOrGcloud {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        match self.found.get() {
            Some(Machine::MetadataServer) => {
                let ask = || async { self.metadata_server().await.map_err(|none| none.error) };
                Box::pin(until_answered(request, ask))
            }
            Some(Machine::Gcloud) => Box::pin(gcloud::token()),
            None => Box::pin(self.resolve()),
        }
    }

    fn info(&self) -> SourceInfo {
        let (description, reason) = match self.found.get() {
            Some(Machine::MetadataServer) => {
                ("the metadata server", "no credential file was found, and it answered")
            }
            Some(Machine::Gcloud) => {
                ("the gcloud command", "no credential file was found, and no metadata server answered")
            }
            None => (
                "the metadata server, else the gcloud command",
                "no credential file was found; the first fetch decides which of the two is used",
            ),
        };
        self.info.clone().with_description(description).with_reason(reason)
    }
}

/// Whether there was a server that this is the failure of.
fn answered(error: &gcp_auth::Error) -> bool {
    match error {
        gcp_auth::Error::Other(_, cause) => match cause.downcast_ref::<legacy::Error>() {
            Some(error) => !error.is_connect(),
            None => false,
        },
        // The certificate store, which has nothing to do with it.
        gcp_auth::Error::Io(..) => false,
        _ => true,
    }
}

fn refused(error: &Error) -> Error {
    let message = format!(
        "the metadata server answered, but gave no token, and no other identity is picked in its place: {error} \
         (GOOGLE_APPLICATION_CREDENTIALS names another)"
    );
    Error::credentials(message, true).retried()
}

fn nothing_found(metadata: &Error, gcloud: &Error) -> Error {
    let message = format!(
        "no credentials found: set GOOGLE_APPLICATION_CREDENTIALS to a credential file, or run `gcloud auth \
         application-default login`, or run on Google Cloud (metadata server: {metadata}; gcloud: {gcloud})"
    );
    Error::credentials(message, true).retried()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// The failure of a request to `address`, as gcp_auth passes it on.
    async fn request_to(address: std::net::SocketAddr) -> gcp_auth::Error {
        let client = legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
            .build_http::<http_body_util::Empty<bytes::Bytes>>();
        let error = client.get(format!("http://{address}/").parse().unwrap()).await.unwrap_err();
        gcp_auth::Error::Other("HTTP request failed", Box::new(error))
    }

    /// conf: M34
    #[tokio::test]
    async fn a_server_that_refuses_or_breaks_off_is_there_and_one_that_cannot_be_reached_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let broken = tokio::join!(request_to(address), async { drop(listener.accept().await) }).0;
        drop(listener);
        let json = serde_json::from_str::<u8>("no").unwrap_err();
        for error in [
            broken,
            gcp_auth::Error::Str("token request failed"),
            gcp_auth::Error::Json("failed to deserialize token from response", json),
        ] {
            assert!(answered(&error), "{error:?}");
        }
        let unreachable = request_to(address).await;
        let store = gcp_auth::Error::Io("no certificates", std::io::Error::other("none"));
        for error in [unreachable, store] {
            assert!(!answered(&error), "{error:?}");
        }
    }
}
