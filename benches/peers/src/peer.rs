//! What a peer must do to be measured.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::Empty;
use tower::{Service, service_fn};

use crate::BoxError;
use crate::measurement::Measurement;

/// Where the server is.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its origin, `http://127.0.0.1:PORT`.
    pub url: String,
    pub port: u16,
}

/// A crate that does the work: set up once, as a program does at its start.
pub trait Peer: Sized + Send + Sync + 'static {
    /// The package's name.
    const NAME: &'static str;
    /// How it comes to its tokens in the measurements.
    const ACTS_AS: &'static str;
    /// The outage before a refresh: the life of the first token in seconds, and when the outage
    /// begins, just before the peer refreshes that token.
    const BEFORE_REFRESH: (u64, u64);

    type Identity: Identity;

    /// Returns the reason why the peer can't make a measurement at all.
    fn missing(_: Measurement) -> Option<&'static str> {
        None
    }

    /// Makes what the peer's users have before their program starts.
    fn prepare() -> Result<(), BoxError> {
        Ok(())
    }

    /// Sets the peer up, for a server at this place.
    fn connect(place: &Place) -> impl Future<Output = Result<Self, BoxError>> + Send;

    /// Returns a new identity without a token. Each number is another service account.
    fn identity(&self, number: usize) -> impl Future<Output = Result<Self::Identity, BoxError>> + Send;

    /// Calls `generateAccessToken` once, without any cache.
    fn call(&self) -> impl Future<Output = Result<(), BoxError>> + Send {
        async { Err("not offered".into()) }
    }

    /// Returns a service that puts a fresh token on each request.
    fn service(identity: Self::Identity) -> impl Inject {
        service_fn(move |mut request: Request<()>| {
            let identity = identity.clone();
            async move {
                identity.authorize(request.headers_mut()).await?;
                let Ok(reply) = Inner.call(request).await;
                Ok::<_, BoxError>(reply)
            }
        })
    }
}

/// A service account whose token is put on requests.
pub trait Identity: Clone + Send + Sync + 'static {
    /// Puts a token on a request, and fetches one if there is none.
    fn authorize(&self, headers: &mut HeaderMap) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// A service that puts a token on requests.
pub trait Inject:
    Service<Request<()>, Response = Response<Empty<Bytes>>, Error: Debug, Future: Send> + Clone + Send + 'static
{
}

impl<S> Inject for S where
    S: Service<Request<()>, Response = Response<Empty<Bytes>>, Error: Debug, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// The service under all that put tokens on requests. Replies at once, and allocates nothing.
#[derive(Debug, Clone)]
pub struct Inner;

impl Service<Request<()>> for Inner {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        black_box(request);
        ready(Ok(Response::new(Empty::new())))
    }
}

/// Sets the header, as users of a crate without a layer do.
pub fn set_bearer(headers: &mut HeaderMap, token: &str) -> Result<(), BoxError> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
    value.set_sensitive(true);
    headers.insert(header::AUTHORIZATION, value);
    Ok(())
}

/// Returns the e-mail address of a service account.
pub fn email(number: usize) -> String {
    format!("customer-{number:06}@project-of-ours.iam.gserviceaccount.com")
}

/// The scope of all tokens.
pub const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Returns the credential file of a user, the source of all that impersonate.
pub fn user_file(place: &Place) -> serde_json::Value {
    serde_json::json!({
        "type": "authorized_user",
        "client_id": "client",
        "client_secret": "secret",
        "refresh_token": "refresh",
        "token_uri": format!("{}/token", place.url),
    })
}
