//! The metadata server, or the `gcloud` command if there is no metadata server.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gcp_auth::MetadataServiceAccount;
use hyper_util::client::legacy;
use tokio::time::timeout;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use super::gcp_auth::{failure, no_reply, token, until_answered};
use super::{BoxFuture, FetchRequest, SourceInfo, TokenSource, gcloud};
use crate::{Error, Token};

/// How long the first fetch waits for the metadata server. Many networks drop packets to it.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The metadata server, or the `gcloud` command if there is no metadata server.
///
/// The first successful fetch chooses one of the two for the life of the source. A metadata server
/// that replies is chosen even if it has no token at the moment. So a temporary failure never
/// changes the program's identity.
#[derive(Debug)]
pub(crate) struct MetadataOrGcloud {
    scopes: Vec<String>,
    info: SourceInfo,
    chosen: OnceLock<Choice>,
}

#[derive(Clone, Copy, Debug)]
enum Choice {
    MetadataServer,
    Gcloud,
}

/// Why the metadata server returned no token.
struct MetadataError {
    error: Error,
    /// Whether there is a metadata server.
    replied: bool,
}

impl MetadataOrGcloud {
    /// `info` contains what the program says about the tokens. Nothing else is known before a fetch.
    pub(crate) fn new(scopes: Vec<String>, info: SourceInfo) -> Self {
        Self { scopes, info, chosen: OnceLock::new() }
    }

    /// Asks both, and chooses the first that has a token.
    async fn choose(&self) -> Result<Token, Error> {
        let probe = timeout(PROBE_TIMEOUT, self.metadata_server()).await;
        let probe =
            probe.unwrap_or_else(|_| Err(MetadataError { error: no_reply(PROBE_TIMEOUT), replied: false }));
        let (choice, token) = match probe {
            Ok(token) => (Choice::MetadataServer, token),
            Err(MetadataError { error, replied: true }) => return Err(refused(&error)),
            Err(MetadataError { error, replied: false }) => {
                let token = gcloud::token().await.map_err(|gcloud| nothing_found(&error, &gcloud))?;
                (Choice::Gcloud, token)
            }
        };
        // A concurrent fetch may have chosen first.
        let _ = self.chosen.set(choice);
        Ok(token)
    }

    /// Creates a new provider for each fetch, because gcp_auth caches a token until 20 s before its expiry.
    async fn metadata_server(&self) -> Result<Token, MetadataError> {
        let made = MetadataServiceAccount::new().with_subscriber(NoSubscriber::default()).await;
        let provider =
            made.map_err(|error| MetadataError { replied: replied(&error), error: failure(&error) })?;
        // Its creation has fetched a token.
        token(Arc::new(provider), &self.scopes).await.map_err(|error| MetadataError { error, replied: true })
    }
}

impl TokenSource for MetadataOrGcloud {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        match self.chosen.get() {
            Some(Choice::MetadataServer) => {
                let ask = || async { self.metadata_server().await.map_err(|none| none.error) };
                Box::pin(until_answered(request, ask))
            }
            Some(Choice::Gcloud) => Box::pin(gcloud::token()),
            None => Box::pin(self.choose()),
        }
    }

    fn info(&self) -> SourceInfo {
        let (description, reason) = match self.chosen.get() {
            Some(Choice::MetadataServer) => {
                ("the metadata server", "no credential file was found, and it replied")
            }
            Some(Choice::Gcloud) => {
                ("the gcloud command", "no credential file was found, and no metadata server replied")
            }
            None => (
                "the metadata server, or the gcloud command if there is none",
                "no credential file was found; the first fetch decides which of the two is used",
            ),
        };
        self.info.clone().with_description(description).with_reason(reason)
    }
}

/// Whether a server was reached.
fn replied(error: &gcp_auth::Error) -> bool {
    match error {
        gcp_auth::Error::Other(_, cause) => match cause.downcast_ref::<legacy::Error>() {
            Some(error) => !error.is_connect(),
            None => false,
        },
        // An unreadable certificate store says nothing about the server.
        gcp_auth::Error::Io(..) => false,
        _ => true,
    }
}

fn refused(error: &Error) -> Error {
    let message =
        format!("the metadata server returned no token, and no other identity is tried instead: {error}");
    Error::credentials(message, true)
        .fix_by("to use another identity, set GOOGLE_APPLICATION_CREDENTIALS to a credential file")
        .retried()
}

fn nothing_found(metadata: &Error, gcloud: &Error) -> Error {
    let message = format!(
        "no credentials found: no credential file, no metadata server ({metadata}), no token of gcloud ({gcloud})"
    );
    Error::credentials(message, true)
        .fix_by(
            "set GOOGLE_APPLICATION_CREDENTIALS to a credential file, run `gcloud auth application-default \
             login`, or run the program on Google Cloud",
        )
        .retried()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::closed_port::ClosedPort;

    /// Returns the error of a request to `address`, as gcp_auth reports it.
    async fn request_to(address: std::net::SocketAddr) -> gcp_auth::Error {
        let client = legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
            .build_http::<http_body_util::Empty<bytes::Bytes>>();
        let error = client.get(format!("http://{address}/").parse().unwrap()).await.unwrap_err();
        gcp_auth::Error::Other("HTTP request failed", Box::new(error))
    }

    /// conf: M34
    #[tokio::test]
    async fn a_server_that_refuses_or_disconnects_exists_and_an_unreachable_one_does_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let request = request_to(listener.local_addr().unwrap());
        let broken = tokio::join!(request, async { drop(listener.accept().await) }).0;
        let json = serde_json::from_str::<u8>("no").unwrap_err();
        for error in [
            broken,
            gcp_auth::Error::Str("token request failed"),
            gcp_auth::Error::Json("failed to deserialize token from response", json),
        ] {
            assert!(replied(&error), "{error:?}");
        }
        let closed = ClosedPort::new();
        let unreachable = request_to(closed.address()).await;
        let store = gcp_auth::Error::Io("no certificates", std::io::Error::other("none"));
        for error in [unreachable, store] {
            assert!(!replied(&error), "{error:?}");
        }
    }
}
