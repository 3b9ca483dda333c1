//! An OAuth token endpoint: exchanges a grant for an access token.

mod grant;
mod outcome;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod refusal;

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

pub(crate) use self::grant::Grant;
#[cfg(feature = "credential-files")]
pub(crate) use self::grant::{ClientAuthentication, TokenExchange};
pub(crate) use self::outcome::Granted;
#[cfg(feature = "credential-files")]
pub(super) use self::refusal::{is_code, is_plain_text};
use crate::host;
use crate::http_client::{HttpClient, SendError};
use crate::{Error, RetryPolicy, Token};

/// Google's token endpoint.
pub(crate) const GOOGLE_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// How many attempts an exchange makes. No outer call retries it.
const RETRY: RetryPolicy = RetryPolicy::new().max_attempts(3);

/// The longest time for one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);

/// How many exchanges one endpoint makes at the same time. Over HTTP/1.1, each needs a connection.
/// More exchanges wait for their turn.
const MAX_CONNECTIONS: usize = 32;

/// One endpoint with its connections, which later exchanges use again.
pub(crate) struct TokenEndpoint {
    uri: Uri,
    http: HttpClient,
    /// A permit for each connection.
    connections: Semaphore,
}

impl TokenEndpoint {
    /// Creates the endpoint at `url`. The caller must have checked that its host may receive
    /// secrets: see [`Trust::check_url`](host::Trust::check_url).
    ///
    /// # Errors
    ///
    /// `InvalidInput` that names `field`: `url` isn't a URL, it is plain http to another machine, or
    /// this build has no HTTP client for it.
    pub(crate) fn new(http: &HttpClient, url: &str, field: &'static str) -> Result<Self, Error> {
        Self::at(http, host::server_url(url, field)?, field)
    }

    /// Creates the endpoint of the emulator at `origin`, which may be another machine. It gets only
    /// what an emulator has signed.
    pub(crate) fn of_emulator(http: &HttpClient, origin: &str, field: &'static str) -> Result<Self, Error> {
        Self::at(http, host::url_with_host(&format!("{origin}/token"), field)?, field)
    }

    fn at(http: &HttpClient, uri: Uri, field: &'static str) -> Result<Self, Error> {
        http.check(&uri, field)?;
        Ok(Self { uri, http: http.clone(), connections: Semaphore::new(MAX_CONNECTIONS) })
    }

    /// Exchanges `grant` for an access token until `deadline`.
    ///
    /// # Errors
    ///
    /// As for [`redeem`](Self::redeem).
    pub(crate) async fn exchange(&self, grant: Grant<'_>, deadline: Instant) -> Result<Token, Error> {
        self.redeem(grant, deadline).await.map(|granted| granted.token)
    }

    /// Exchanges `grant` for all that the endpoint gives for it, until `deadline`.
    ///
    /// # Errors
    ///
    /// Transient if the endpoint can't be reached, doesn't reply in time, is overloaded or broken.
    /// Permanent if it refuses the grant. Every error is marked as retried.
    pub(crate) async fn redeem(&self, grant: Grant<'_>, deadline: Instant) -> Result<Granted, Error> {
        let form = grant.form();
        let mut retries = RETRY.start();
        let mut last = None;
        loop {
            let AttemptError { error, retry } = match self.attempt(&form, grant, deadline, last).await {
                Ok(granted) => return Ok(granted),
                Err(failed) => failed,
            };
            tracing::debug!(
                host = self.host(),
                attempt = retries.attempts(),
                error = %error.in_one_line(),
                "the token endpoint returned no token"
            );
            let Retry::After(minimum) = retry else { return Err(error.retried()) };
            if !retries.wait(minimum, deadline).await {
                return Err(error.retried());
            }
            last = Some(error);
        }
    }

    /// Makes one attempt. `last` is the error of the attempt before.
    async fn attempt(
        &self,
        form: &str,
        grant: Grant<'_>,
        deadline: Instant,
        last: Option<Error>,
    ) -> Result<Granted, AttemptError> {
        let Ok(_connection) = timeout_at(deadline, self.connections.acquire()).await else {
            let message = format!("all connections to {} were busy until the deadline", self.host());
            return Err(AttemptError { error: Error::timeout(message, last), retry: Retry::Never });
        };
        let sent = SystemTime::now();
        let start = Instant::now();
        let end = deadline.min(start + ATTEMPT_TIMEOUT);
        match timeout_at(end, self.http.send(self.request(form, grant))).await {
            Ok(reply) => reply?.into_granted(self.host(), grant, sent),
            Err(_elapsed) => {
                let allowed = end.saturating_duration_since(start);
                let message = format!("no reply from {} within {allowed:.1?}", self.host());
                Err(AttemptError { error: Error::timeout(message, last), retry: Retry::After(None) })
            }
        }
    }

    fn request(&self, form: &str, grant: Grant<'_>) -> Request<Bytes> {
        const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        let mut request = Request::new(Bytes::copy_from_slice(form.as_bytes()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(header::CONTENT_TYPE, FORM);
        request.headers_mut().insert(header::ACCEPT, JSON);
        grant.set_headers(request.headers_mut());
        request
    }

    pub(crate) fn uri(&self) -> String {
        self.uri.to_string()
    }

    fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }
}

impl fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenEndpoint").field(&self.host()).finish()
    }
}

/// Why an attempt failed.
#[derive(Debug)]
struct AttemptError {
    error: Error,
    retry: Retry,
}

/// Whether another attempt may succeed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    Never,
    /// After a wait, which the endpoint may have set a minimum for.
    After(Option<Duration>),
}

impl AttemptError {
    fn permanent(error: Error) -> Self {
        Self { error, retry: Retry::Never }
    }
}

impl From<SendError> for AttemptError {
    fn from(SendError { error }: SendError) -> Self {
        let retry = if error.is_transient() { Retry::After(None) } else { Retry::Never };
        Self { error, retry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(url: &str) -> Result<TokenEndpoint, Error> {
        TokenEndpoint::new(&HttpClient::shared(), url, "token_uri")
    }

    #[cfg(all(feature = "credential-files", feature = "_tls"))]
    #[test]
    fn an_endpoint_is_https_or_on_this_machine() {
        for good in
            [GOOGLE_TOKEN_URI, "http://127.0.0.1:1/token", "http://[::1]:1/token", "http://localhost/t"]
        {
            assert!(new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "token",
            "/token",
            "https:///token",
            "http://oauth2.googleapis.com/token",
            "ftp://localhost/",
        ] {
            let error = new(bad).unwrap_err();
            assert_eq!(error.field(), Some("token_uri"), "{bad}");
        }
    }

    #[cfg(not(feature = "credential-files"))]
    #[test]
    fn without_an_http_client_the_feature_is_named() {
        let error = new(GOOGLE_TOKEN_URI).unwrap_err();
        assert!(error.to_string().contains("credential-files"), "{error}");
    }

    #[cfg(feature = "credential-files")]
    mod sockets {
        use tokio::net::TcpListener;

        use super::*;
        use crate::closed_port::ClosedPort;

        async fn endpoint(listener: &TcpListener) -> TokenEndpoint {
            let address = listener.local_addr().unwrap();
            new(&format!("http://{address}/token")).unwrap()
        }

        /// conf: A15
        #[tokio::test]
        async fn an_exchange_waits_for_a_free_connection_until_its_deadline() {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let endpoint = endpoint(&listener).await;
            let endpoint = std::sync::Arc::new(endpoint);
            let exchange = |time| {
                let endpoint = std::sync::Arc::clone(&endpoint);
                let grant = Grant::JwtBearer { assertion: "a.b.c" };
                async move { endpoint.exchange(grant, Instant::now() + time).await }
            };
            let mut hanging = tokio::task::JoinSet::new();
            for _ in 0..MAX_CONNECTIONS {
                hanging.spawn(exchange(Duration::from_secs(60)));
            }
            tokio::task::yield_now().await;
            let error = exchange(Duration::from_millis(100)).await.unwrap_err();
            assert!(error.is_transient() && error.is_retried(), "{error:?}");
            assert!(error.to_string().contains("all connections to 127.0.0.1 were busy"), "{error}");

            hanging.shutdown().await;
            let error = exchange(Duration::from_millis(100)).await.unwrap_err();
            assert!(error.to_string().contains("no reply from 127.0.0.1"), "{error}");
        }

        /// conf: M2, G66
        #[tokio::test]
        async fn an_endpoint_that_accepts_and_never_answers_is_left_at_the_deadline() {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let endpoint = endpoint(&listener).await;
            let start = Instant::now();
            let grant = Grant::JwtBearer { assertion: "a.b.c" };
            let error = endpoint.exchange(grant, start + Duration::from_millis(200)).await.unwrap_err();
            assert!(error.is_transient() && error.is_retried(), "{error:?}");
            assert!(error.to_string().contains("no reply from 127.0.0.1 within"), "{error}");
            assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        }

        /// conf: P24
        #[tokio::test]
        async fn an_endpoint_that_is_not_there_is_a_transient_error_that_names_the_host() {
            let closed = ClosedPort::new();
            let endpoint = new(&format!("http://{}/token", closed.address())).unwrap();
            let grant = Grant::JwtBearer { assertion: "a.b.c" };
            let error = endpoint.exchange(grant, Instant::now() + Duration::from_secs(20)).await.unwrap_err();
            assert!(error.is_transient() && error.is_retried(), "{error:?}");
            assert!(error.to_string().contains("can't connect to 127.0.0.1"), "{error}");
        }
    }
}
