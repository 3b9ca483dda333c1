//! Keys that are fetched when they are needed, and kept.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::cache::{Cache, Decision, fresh_for};
use super::id_token::IdToken;
use super::id_token_rules::IdTokenRules;
use super::public_keys::PublicKeys;
use super::token::Token;
use crate::call::SignedBlob;
use crate::http_client::HttpClient;
use crate::{Error, RetryPolicy, ServiceAccountName, host};

/// The longest time for a fetch with its retries.
const FETCH_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest time for one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY: RetryPolicy = RetryPolicy::new().max_attempts(3);

/// Published keys, which are fetched when they are first needed, and again when they are no longer
/// fresh.
///
/// A clone is cheap, and shares the keys: create one for each key set, and keep it. How long keys are
/// fresh is up to the server (`Cache-Control`), between one minute and a day. If newer keys can't be
/// fetched, the old ones are used for up to a day. All callers that wait for keys wait for the same
/// fetch.
///
/// A token that names an unknown key leads to a fetch, because keys rotate. Such fetches are at least
/// ten seconds apart, so tokens of attackers can't cause more.
///
/// Fetches use the proxy of the environment (`HTTPS_PROXY`, `NO_PROXY` and so on), and the
/// certificate authorities that the Cargo features name.
///
/// ```no_run
/// use gcp_iam_credentials::verify::{FetchedKeys, IdTokenRules};
///
/// # async fn authenticate(id_token: &str) -> Result<(), gcp_iam_credentials::Error> {
/// let keys = FetchedKeys::of_google()?;
/// let rules = IdTokenRules::for_audience("https://my-service.run.app");
/// let caller = keys.verify_id_token(id_token, &rules).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FetchedKeys {
    inner: Arc<Inner>,
}

struct Inner {
    uri: Uri,
    http: HttpClient,
    cache: Mutex<Cache>,
    /// Held by the caller that fetches.
    fetching: tokio::sync::Mutex<()>,
}

impl FetchedKeys {
    /// Uses the keys that sign Google's ID tokens: [`PublicKeys::GOOGLE_URL`].
    ///
    /// # Errors
    ///
    /// Like [`at`](Self::at).
    pub fn of_google() -> Result<Self, Error> {
        Self::at(PublicKeys::GOOGLE_URL)
    }

    /// Uses the keys of a service account: [`PublicKeys::url`]. They verify what the account signs
    /// with [`sign_blob`](crate::IamCredentialsClient::sign_blob) and
    /// [`sign_jwt`](crate::IamCredentialsClient::sign_jwt), and its key files' signatures.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` with the field `account` if it is neither an e-mail address nor a
    /// unique id. Also fails like [`at`](Self::at).
    pub fn of_account(account: impl AsRef<str>) -> Result<Self, Error> {
        let name: ServiceAccountName = account.as_ref().parse()?;
        Self::at(&PublicKeys::url(name.account()))
    }

    /// Uses the JSON Web Key Set at this URL: of an identity provider, for example.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` with the field `url` if it isn't a URL, if it is plain http to another
    /// machine, or if this build has no HTTP client for it. Nothing is sent.
    pub fn at(url: &str) -> Result<Self, Error> {
        let uri = host::server_url(url, "url")?;
        let http = HttpClient::shared();
        http.check(&uri, "url")?;
        let (cache, fetching) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self { inner: Arc::new(Inner { uri, http, cache, fetching }) })
    }

    /// Checks an ID token: its signature by one of these keys, and its claims by `rules`.
    ///
    /// # Errors
    ///
    /// If keys are needed that can't be fetched: `Transport`, `Timeout` or `InvalidReply`. Otherwise
    /// the errors are those of [`PublicKeys::verify_id_token`].
    pub async fn verify_id_token(&self, id_token: &str, rules: &IdTokenRules) -> Result<IdToken, Error> {
        let key_id = Token::read(id_token)?.key_id;
        self.keys_for(Some(&key_id)).await?.verify_id_token(id_token, rules)
    }

    /// Checks that a JWT was signed with one of these keys, and returns the claims, which aren't
    /// checked.
    ///
    /// # Errors
    ///
    /// If keys are needed that can't be fetched: `Transport`, `Timeout` or `InvalidReply`. Otherwise
    /// the errors are those of [`PublicKeys::verify_jwt`].
    pub async fn verify_jwt<T: DeserializeOwned>(&self, jwt: &str) -> Result<T, Error> {
        let key_id = Token::read(jwt)?.key_id;
        self.keys_for(Some(&key_id)).await?.verify_jwt(jwt)
    }

    /// Checks that `blob` is a signature of `payload` by one of these keys.
    ///
    /// # Errors
    ///
    /// If keys are needed that can't be fetched: `Transport`, `Timeout` or `InvalidReply`. Otherwise
    /// the errors are those of [`PublicKeys::verify_blob`].
    pub async fn verify_blob(&self, blob: &SignedBlob, payload: &[u8]) -> Result<(), Error> {
        self.keys_for(Some(blob.key_id())).await?.verify_blob(blob, payload)
    }

    /// Returns the keys, which are fetched if there are none or if they aren't fresh.
    ///
    /// # Errors
    ///
    /// `Transport`, `Timeout` or `InvalidReply` if they can't be fetched, and there are no old ones.
    pub async fn keys(&self) -> Result<Arc<PublicKeys>, Error> {
        self.keys_for(None).await
    }

    /// Returns the URL of the keys.
    pub fn url(&self) -> String {
        self.inner.uri.to_string()
    }

    async fn keys_for(&self, key_id: Option<&str>) -> Result<Arc<PublicKeys>, Error> {
        let decide = || self.cache().decide(key_id, Instant::now());
        let old = match decide() {
            Decision::Use(keys) => return Ok(keys),
            Decision::Fail(error) => return Err(error),
            Decision::Fetch { fallback } => fallback,
        };
        let _fetching = match (self.inner.fetching.try_lock(), old) {
            (Ok(guard), _) => guard,
            (Err(_), Some(keys)) => return Ok(keys),
            (Err(_), None) => self.inner.fetching.lock().await,
        };
        // Somebody else may have fetched them meanwhile.
        let fallback = match decide() {
            Decision::Use(keys) => return Ok(keys),
            Decision::Fail(error) => return Err(error),
            Decision::Fetch { fallback } => fallback,
        };
        let outcome = self.inner.fetch().await.map(|(keys, fresh_for)| (Arc::new(keys), fresh_for));
        self.cache().complete(outcome.clone(), Instant::now());
        match outcome {
            Ok((keys, _)) => Ok(keys),
            Err(error) => self.inner.use_old(fallback, error),
        }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.inner.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    async fn fetch(&self) -> Result<(PublicKeys, Duration), Error> {
        let deadline = Instant::now() + FETCH_TIMEOUT;
        let mut retries = RETRY.start();
        loop {
            let error = match self.attempt(deadline).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => error,
            };
            if !error.is_transient() || !retries.wait(None, deadline).await {
                return Err(error);
            }
        }
    }

    async fn attempt(&self, deadline: Instant) -> Result<(PublicKeys, Duration), Error> {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(header::ACCEPT, JSON);
        let end = deadline.min(Instant::now() + ATTEMPT_TIMEOUT);
        let Ok(sent) = timeout_at(end, self.http.send(request)).await else {
            return Err(Error::timeout(format!("no keys from {} in time", self.host()), None));
        };
        let reply = sent.map_err(|failure| failure.error)?;
        if reply.status != StatusCode::OK {
            let message = format!("the key set at {} can't be fetched: status {}", self.host(), reply.status);
            return Err(Error::transport(message, reply.is_transient_failure()));
        }
        let keys = std::str::from_utf8(&reply.body).ok().and_then(|text| PublicKeys::from_jwks(text).ok());
        let keys = keys.ok_or_else(|| {
            let what =
                if reply.is_html() { "a page of HTML" } else { "no JSON Web Key Set with usable keys" };
            Error::invalid_reply(format!("{} replied with {what}", self.host()))
        })?;
        Ok((keys, fresh_for(&reply.headers)))
    }

    /// Returns the old keys, if there are any, although a fetch failed.
    fn use_old(&self, old: Option<Arc<PublicKeys>>, error: Error) -> Result<Arc<PublicKeys>, Error> {
        let Some(keys) = old else { return Err(error) };
        tracing::warn!(
            host = self.host(),
            error = %error.in_one_line(),
            "newer keys could not be fetched: the old ones are used"
        );
        Ok(keys)
    }

    fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }
}

impl fmt::Debug for FetchedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchedKeys").field("url", &self.url()).finish_non_exhaustive()
    }
}
