//! The client of the IAM Service Account Credentials API.

pub(crate) mod api_client;
mod builder;
mod call;
mod check;
#[cfg(test)]
mod network;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod request;
#[cfg(feature = "credential-files")]
mod rest;
mod trace_context;
mod transport;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde::Serialize;

pub use self::builder::ClientBuilder;
use self::call::{CallExecutor, CallSettings};
pub(crate) use self::check::{checked_audience, checked_lifetime, wire_names};
pub(crate) use self::request::Request;
pub use self::request::{GenerateAccessToken, GenerateIdToken, SignBlob, SignJwt, SignedBlob, SignedJwt};
pub use self::trace_context::TraceContext;
use crate::host::is_loopback;
use crate::http_client::HttpClient;
use crate::scopes::check::checked_scopes;
use crate::source::token_endpoint::{GOOGLE_TOKEN_URI, TokenEndpoint};
use crate::{Credentials, Error};

/// A client of the API's four RPCs.
///
/// A clone is cheap. Clones share one connection, which is made when it is first needed and carries
/// all calls at the same time. Building a client needs no runtime; calls need tokio's.
///
/// Each call is a builder: set options, then `.await` it. Targets and delegates are e-mail
/// addresses, numeric unique ids or full resource names.
///
/// ```no_run
/// use gcp_iam_credentials::{IamCredentialsClient, scopes::CLOUD_PLATFORM};
///
/// # async fn calls() -> Result<(), gcp_iam_credentials::Error> {
/// let client = IamCredentialsClient::new()?;
/// let target = "deployer@project.iam.gserviceaccount.com";
/// let token = client.generate_access_token(target, [CLOUD_PLATFORM]).await?;
/// let id_token = client
///     .generate_id_token(target, "https://service.run.app")
///     .include_email(true)
///     .await?;
/// let blob = client.sign_blob(target, "bytes to sign").await?;
/// let claims = serde_json::json!({ "sub": "someone" });
/// let jwt = client.sign_jwt(target, &claims).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct IamCredentialsClient {
    inner: Arc<Inner>,
}

struct Inner {
    executor: CallExecutor,
    settings: CallSettings,
    universe_domain: Box<str>,
    /// Whether the emulator's variable chose the server.
    is_emulator: bool,
    /// Whether the quota project is one of the client, not of its credentials.
    has_own_quota_project: bool,
    /// What calls the token endpoint of subjects.
    http: HttpClient,
    /// Made when the first subject needs it.
    assertion_endpoint: Arc<OnceLock<Arc<TokenEndpoint>>>,
}

impl IamCredentialsClient {
    /// Makes a client with application default credentials and default settings. Sends nothing.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](crate::ErrorKind::InvalidInput) if no usable credentials are found:
    /// see [`Credentials::application_default`].
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// Makes a client that authenticates with a service account's key file. Sends nothing.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](crate::ErrorKind::InvalidInput) if the file can't be read or used.
    pub fn from_service_account_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder().credentials(Credentials::from_service_account_file(path)?).build()
    }

    /// Makes a client that authenticates with the content of a service account's key file. Sends
    /// nothing.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](crate::ErrorKind::InvalidInput) if the content can't be used.
    pub fn from_service_account_json(json: &str) -> Result<Self, Error> {
        Self::builder().credentials(Credentials::from_service_account_json(json)?).build()
    }

    /// Returns a builder, to make a client with other settings.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// Returns a client that authenticates with other credentials, over the same connection and with
    /// the same settings. The clients share the budget of retries.
    ///
    /// So a program that acts for many sources, each with its own credentials, needs one connection.
    /// If the quota project came from this client's credentials, the other client uses the one of
    /// its own.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](crate::ErrorKind::InvalidInput) if the credentials belong to another
    /// universe, or if they aren't made up and the client calls an emulator on another machine.
    ///
    /// ```
    /// use gcp_iam_credentials::{Credentials, IamCredentialsClient, Token};
    ///
    /// let of = |token| Ok(Credentials::fixed(Token::new(token, None)?));
    /// let client = IamCredentialsClient::builder().credentials(of("first")?).build()?;
    /// let other = client.with_credentials(of("second")?)?;
    /// assert_eq!(other.endpoint(), client.endpoint());
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    pub fn with_credentials(&self, credentials: Credentials) -> Result<Self, Error> {
        builder::with_credentials(&self.inner, credentials).map(|inner| Self { inner: Arc::new(inner) })
    }

    /// Generates an access token of `target` with the given scopes. Each is a URL, or one of
    /// `openid`, `email` and `profile`: see [`scopes`](crate::scopes).
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](crate::ErrorKind::InvalidInput), without sending a request, if
    /// `target` or `scopes` is invalid. Otherwise returns the call's failure.
    ///
    /// ```no_run
    /// use gcp_iam_credentials::{IamCredentialsClient, scopes::CLOUD_PLATFORM};
    ///
    /// # async fn call() -> Result<(), gcp_iam_credentials::Error> {
    /// let client = IamCredentialsClient::new()?;
    /// let target = "deployer@project.iam.gserviceaccount.com";
    /// let token =
    ///     client.generate_access_token(target, [CLOUD_PLATFORM]).await?;
    /// println!("expires at {:?}", token.expires_at());
    /// # Ok(())
    /// # }
    /// ```
    pub fn generate_access_token(
        &self,
        target: impl AsRef<str>,
        scopes: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> GenerateAccessToken {
        GenerateAccessToken::new(self.request(target.as_ref()), checked_scopes(scopes))
    }

    /// Generates an ID token of `target` for `audience`: the URL or client id of the service that
    /// the token is for.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](crate::ErrorKind::InvalidInput), without sending a request, if
    /// `target` or `audience` is invalid. Otherwise returns the call's failure.
    ///
    /// ```no_run
    /// # async fn call() -> Result<(), gcp_iam_credentials::Error> {
    /// # let client = gcp_iam_credentials::IamCredentialsClient::new()?;
    /// let target = "invoker@project.iam.gserviceaccount.com";
    /// let audience = "https://my-service.run.app";
    /// let token = client.generate_id_token(target, audience).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn generate_id_token(&self, target: impl AsRef<str>, audience: impl AsRef<str>) -> GenerateIdToken {
        GenerateIdToken::new(self.request(target.as_ref()), checked_audience(audience.as_ref()))
    }

    /// Signs bytes with a key of `target`: RSA PKCS#1 v1.5 with SHA-256. The service computes the
    /// hash.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](crate::ErrorKind::InvalidInput), without sending a request, if
    /// `target` is invalid. Otherwise returns the call's failure.
    ///
    /// ```no_run
    /// # async fn call() -> Result<(), gcp_iam_credentials::Error> {
    /// # let client = gcp_iam_credentials::IamCredentialsClient::new()?;
    /// let target = "signer@project.iam.gserviceaccount.com";
    /// let blob = client.sign_blob(target, "bytes to sign").await?;
    /// assert_eq!(blob.signature().len(), 256);
    /// # Ok(())
    /// # }
    /// ```
    pub fn sign_blob(&self, target: impl AsRef<str>, payload: impl Into<Vec<u8>>) -> SignBlob {
        SignBlob::new(self.request(target.as_ref()), payload.into())
    }

    /// Signs claims with a key of `target`, as a JWT.
    ///
    /// A value that serializes to a string is the payload, verbatim. Any other value is written as
    /// JSON. The service adds no claims: if the token needs an expiry, set `exp`, or call
    /// [`expires_in`](SignJwt::expires_in).
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](crate::ErrorKind::InvalidInput), without sending a request, if
    /// `target` is invalid, if the claims aren't a JSON object, or if `exp` isn't an integer between
    /// now and 12 hours ahead. Otherwise returns the call's failure.
    ///
    /// ```no_run
    /// # async fn call() -> Result<(), gcp_iam_credentials::Error> {
    /// # let client = gcp_iam_credentials::IamCredentialsClient::new()?;
    /// let target = "signer@project.iam.gserviceaccount.com";
    /// let claims = serde_json::json!({ "sub": "someone" });
    /// let jwt = client.sign_jwt(target, &claims).await?;
    /// assert_eq!(jwt.as_str().split('.').count(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn sign_jwt(&self, target: impl AsRef<str>, claims: &impl Serialize) -> SignJwt {
        SignJwt::new(self.request(target.as_ref()), claims)
    }

    /// Returns the domain of the universe that the client calls.
    pub fn universe_domain(&self) -> &str {
        &self.inner.universe_domain
    }

    /// Returns the server that calls go to: `https://iamcredentials.googleapis.com`, for example.
    pub fn endpoint(&self) -> String {
        self.inner.executor.transport().origin().to_string().trim_end_matches('/').to_owned()
    }

    /// Returns the credentials that calls authenticate with.
    pub fn credentials(&self) -> &Credentials {
        self.inner.executor.credentials()
    }

    /// Returns the endpoint that exchanges assertions for tokens of users, which all users share. It is
    /// Google's, or that of the emulator if the client calls one. A server on this machine is one too.
    pub(crate) fn assertion_endpoint(&self) -> Result<Arc<TokenEndpoint>, Error> {
        let inner = &self.inner;
        if let Some(endpoint) = inner.assertion_endpoint.get() {
            return Ok(Arc::clone(endpoint));
        }
        let is_emulator = inner.is_emulator || is_loopback(inner.executor.transport().origin());
        let http = &inner.http;
        let made = match is_emulator {
            true => TokenEndpoint::of_emulator(http, &self.endpoint(), "subject")?,
            false => TokenEndpoint::new(http, GOOGLE_TOKEN_URI, "subject")?,
        };
        Ok(Arc::clone(inner.assertion_endpoint.get_or_init(|| Arc::new(made))))
    }

    pub(crate) fn request(&self, target: &str) -> Request {
        Request::new(self.clone(), target)
    }

    fn executor(&self) -> &CallExecutor {
        &self.inner.executor
    }

    fn settings(&self) -> &CallSettings {
        &self.inner.settings
    }
}

impl fmt::Debug for IamCredentialsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IamCredentialsClient")
            .field("endpoint", &self.endpoint())
            .field("credentials", self.credentials())
            .finish_non_exhaustive()
    }
}
