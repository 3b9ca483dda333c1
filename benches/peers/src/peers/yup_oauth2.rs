//! yup-oauth2: a user who impersonates a service account.
//!
//! Its hosts are fixed. A connector of our own leads them to the server, without TLS, and all
//! identities share the client. (The default client opens a connection for each request.)

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tower::Service;
use yup_oauth2::authenticator::Authenticator;
use yup_oauth2::authorized_user::AuthorizedUserSecret;
use yup_oauth2::{CustomHyperClientBuilder, ServiceAccountImpersonationAuthenticator};

use crate::BoxError;
use crate::measurement::Measurement;
use crate::peer::{Identity, Peer, Place, SCOPE, email, set_bearer, user_file};

pub struct YupOauth2 {
    client: Client<ToServer, String>,
    secret: AuthorizedUserSecret,
}

#[derive(Clone)]
pub struct Account(Arc<Authenticator<ToServer>>);

impl Peer for YupOauth2 {
    const NAME: &'static str = "yup-oauth2";
    const ACTS_AS: &'static str = "impersonates by REST, cached";
    // Not used in its last 60 s.
    const BEFORE_REFRESH: (u64, u64) = (63, 2);

    type Identity = Account;

    fn missing(measurement: Measurement) -> Option<&'static str> {
        (measurement == Measurement::Calls).then_some("no client of the API")
    }

    async fn connect(place: &Place) -> Result<Self, BoxError> {
        let client = Client::builder(TokioExecutor::new()).build(ToServer { port: place.port });
        Ok(Self { client, secret: serde_json::from_value(user_file(place))? })
    }

    async fn identity(&self, number: usize) -> Result<Account, BoxError> {
        let client = CustomHyperClientBuilder::from(self.client.clone());
        let builder = ServiceAccountImpersonationAuthenticator::with_client(
            self.secret.clone(),
            &email(number),
            client,
        );
        Ok(Account(Arc::new(builder.build().await?)))
    }
}

impl Identity for Account {
    async fn authorize(&self, headers: &mut HeaderMap) -> Result<(), BoxError> {
        let token = self.0.token(&[SCOPE]).await?;
        set_bearer(headers, token.token().ok_or("no token")?)
    }
}

/// Connects every host to the server.
#[derive(Debug, Clone)]
pub struct ToServer {
    port: u16,
}

impl Service<Uri> for ToServer {
    type Response = TokioIo<TcpStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, std::io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let port = self.port;
        Box::pin(async move {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(stream))
        })
    }
}
