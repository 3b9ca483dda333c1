//! The client of the IAM Service Account Credentials API.

mod builder;
mod call;
mod check;
mod request;
mod transport;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

pub use self::builder::ClientBuilder;
pub(crate) use self::builder::{ACCESS_TOKEN_USAGE, ID_TOKEN_USAGE};
use self::call::{CallSettings, Caller};
pub(crate) use self::check::{checked_audience, checked_lifetime, checked_scopes, wire_names};
pub(crate) use self::request::Request;
pub use self::request::{GenerateAccessToken, GenerateIdToken, SignBlob, SignJwt, SignedBlob, SignedJwt};
use crate::{Credentials, Error};

/// A client of the four RPCs.
///
/// Cheap to clone; clones share one connection, which is made when it is first needed and serves
/// any number of calls at once. Building needs no runtime; calls need tokio's.
///
/// Each call is a builder: set options, then `.await`. Targets and delegates may be e-mail
/// addresses, numeric unique ids or full resource names.
///
/// ```no_run
/// use gcp_iam_credentials::{IamCredentialsClient, scopes::CLOUD_PLATFORM};
///
/// # async fn calls() -> Result<(), gcp_iam_credentials::Error> {
/// let client = IamCredentialsClient::new()?;
/// let target = "deployer@project.iam.gserviceaccount.com";
/// let token = client.generate_access_token(target, [CLOUD_PLATFORM]).await?;
/// let id_token = client.generate_id_token(target, "https://service.run.app").include_email(true).await?;
/// let blob = client.sign_blob(target, "bytes to sign").await?;
/// let jwt = client.sign_jwt(target, &serde_json::json!({ "sub": "someone" })).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct IamCredentialsClient {
    inner: Arc<Inner>,
}

struct Inner {
    caller: Caller,
    settings: CallSettings,
    universe_domain: Box<str>,
}

impl IamCredentialsClient {
    /// A client with application default credentials and default settings.
    ///
    /// # Errors
    ///
    /// Where no usable credentials are found; see
    /// [`Credentials::application_default`]. Nothing is sent.
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// A client that authenticates with a service account's key file.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or used. Nothing is sent.
    pub fn from_service_account_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder().credentials(Credentials::from_service_account_file(path)?).build()
    }

    /// A client that authenticates with the content of a service account's key file.
    ///
    /// # Errors
    ///
    /// Where the content cannot be used. Nothing is sent.
    pub fn from_service_account_json(json: &str) -> Result<Self, Error> {
        Self::builder().credentials(Credentials::from_service_account_json(json)?).build()
    }

    /// A client with settings of one's own.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// Makes an access token of `target` with these scopes.
    ///
    /// # Errors
    ///
    /// Where `target` is no name or there is no scope, before anything is sent; else as the
    /// service answers.
    pub fn generate_access_token(
        &self,
        target: impl AsRef<str>,
        scopes: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> GenerateAccessToken {
        GenerateAccessToken::new(self.request(target.as_ref()), checked_scopes(scopes))
    }

    /// Makes an ID token of `target` for `audience`.
    ///
    /// # Errors
    ///
    /// Where `target` is no name or the audience is empty, before anything is sent; else as the
    /// service answers.
    pub fn generate_id_token(&self, target: impl AsRef<str>, audience: impl AsRef<str>) -> GenerateIdToken {
        GenerateIdToken::new(self.request(target.as_ref()), checked_audience(audience.as_ref()))
    }

    /// Signs bytes with a key of `target`: RSA PKCS#1 v1.5 with SHA-256. The service hashes.
    ///
    /// # Errors
    ///
    /// Where `target` is no name, before anything is sent; else as the service answers.
    pub fn sign_blob(&self, target: impl AsRef<str>, payload: impl Into<Vec<u8>>) -> SignBlob {
        SignBlob::new(self.request(target.as_ref()), payload.into())
    }

    /// Signs claims with a key of `target`, as a JWT.
    ///
    /// A value that serialises to a string is the payload word for word; any other is written as
    /// JSON. The service adds no claim: set `exp` where the token's reader wants it.
    ///
    /// # Errors
    ///
    /// Where `target` is no name, the claims are not one JSON object, or `exp` is not an integer
    /// between now and 12 hours ahead, before anything is sent; else as the service answers.
    pub fn sign_jwt(&self, target: impl AsRef<str>, claims: &impl Serialize) -> SignJwt {
        SignJwt::new(self.request(target.as_ref()), claims)
    }

    /// The domain of the universe that the client calls.
    pub fn universe_domain(&self) -> &str {
        &self.inner.universe_domain
    }

    /// Where calls go, as `https://iamcredentials.googleapis.com`.
    pub fn endpoint(&self) -> String {
        self.inner.caller.transport().origin().to_string().trim_end_matches('/').to_owned()
    }

    /// The credentials that calls are made with.
    pub fn credentials(&self) -> &Credentials {
        self.inner.caller.credentials()
    }

    /// The endpoint, if it is on this machine: an emulator, which serves other pages besides.
    pub(crate) fn loopback_endpoint(&self) -> Option<String> {
        crate::host::is_loopback(self.inner.caller.transport().origin()).then(|| self.endpoint())
    }

    pub(crate) fn request(&self, target: &str) -> Request {
        Request::new(self.clone(), target)
    }

    fn caller(&self) -> &Caller {
        &self.inner.caller
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
