//! An OAuth token endpoint: a grant goes in, a token comes out.

mod http_client;
mod reply;

use std::fmt;
use std::time::{Duration, SystemTime};

use http::Uri;
use tokio::time::{Instant, sleep, timeout_at};

use self::http_client::HttpClient;
use crate::host;
use crate::retry::random_fraction;
use crate::{Error, RetryPolicy, Token};

/// Where Google exchanges grants for tokens.
pub(crate) const GOOGLE_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// How often a grant is sent at most: this is the innermost place that retries.
const RETRY: RetryPolicy = RetryPolicy::new().max_attempts(3);

/// The time for one attempt, if the deadline leaves that much.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// One endpoint. Meant to be shared: exchanges that follow each other share connections.
pub(crate) struct TokenEndpoint {
    uri: Uri,
    http: HttpClient,
}

/// What is exchanged for a token.
#[derive(Clone, Copy)]
pub(crate) enum Grant<'a> {
    /// A JWT that the principal, or somebody in its name, has signed.
    JwtBearer { assertion: &'a str },
    /// A user's consent of earlier. `scope` narrows it; `None` takes all that was consented to.
    RefreshToken {
        client_id: &'a str,
        client_secret: &'a str,
        refresh_token: &'a str,
        scope: Option<&'a str>,
    },
}

impl TokenEndpoint {
    /// The endpoint at `url`, which leads to a host that may have the grant's secrets: see
    /// [`host::check_credential_url`].
    ///
    /// # Errors
    ///
    /// Where `url` is no URL, or is plain http and leads to another machine, or this build has no
    /// HTTP client for it. They name `field`.
    pub(crate) fn new(url: &str, field: &'static str) -> Result<Self, Error> {
        let uri: Uri = url.parse().map_err(|_| Error::invalid(field, "is not a URL"))?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(Error::invalid(field, "has no host"));
        }
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if host::is_loopback(&uri) => {}
            _ => return Err(Error::invalid(field, "must begin with https:// (or http:// on loopback)")),
        }
        let http = HttpClient::new(&uri).map_err(|problem| Error::invalid(field, problem))?;
        Ok(Self { uri, http })
    }

    /// Exchanges `grant` for a token; gives up at `deadline`.
    ///
    /// # Errors
    ///
    /// Transient where the endpoint cannot be reached, does not answer in time, is overloaded or
    /// broken; permanent where it refuses the grant. All count as retried.
    pub(crate) async fn exchange(&self, grant: Grant<'_>, deadline: Instant) -> Result<Token, Error> {
        let form = grant.form();
        let mut retries = RETRY.start();
        let mut last = None;
        loop {
            let sent = SystemTime::now();
            let now = Instant::now();
            let limit = deadline.min(now + ATTEMPT_TIMEOUT);
            let failure = match timeout_at(limit, self.attempt(&form, grant, sent)).await {
                Ok(Ok(token)) => return Ok(token),
                Ok(Err(failure)) => failure,
                Err(_elapsed) => {
                    let allowed = limit.saturating_duration_since(now);
                    let message = format!("no answer from {} within {allowed:.1?}", self.host());
                    Failure { error: Error::timeout(message, last.take()), again: true, delay: None }
                }
            };
            let Failure { error, again, delay } = failure;
            tracing::debug!(host = self.host(), attempt = retries.attempts(), error = %error.in_one_line(), "no token from the endpoint");
            let wait = retries.backoff(random_fraction(), delay);
            let in_time = Instant::now().checked_add(wait).is_some_and(|next| next < deadline);
            if !again || !in_time || !retries.begin_attempt() {
                return Err(error.retried());
            }
            last = Some(error);
            sleep(wait).await;
        }
    }

    async fn attempt(&self, form: &str, grant: Grant<'_>, sent: SystemTime) -> Result<Token, Failure> {
        let reply = self.http.post(&self.uri, form.to_owned()).await?;
        reply::token(&reply, self.host(), grant, sent)
    }

    pub(crate) fn uri(&self) -> String {
        self.uri.to_string()
    }

    pub(crate) fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }
}

impl fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenEndpoint").field(&self.host()).finish()
    }
}

/// A failed attempt, and what it says about the next one.
#[derive(Debug)]
struct Failure {
    error: Error,
    /// Whether another attempt makes sense now.
    again: bool,
    /// The least wait before it, by the endpoint's word.
    delay: Option<Duration>,
}

impl Failure {
    /// One that stays as it is for now.
    fn last(error: Error) -> Self {
        Self { error, again: false, delay: None }
    }
}

impl<'a> Grant<'a> {
    fn form(self) -> String {
        let mut form = String::new();
        let mut field = |name: &str, value: &str| {
            if !form.is_empty() {
                form.push('&');
            }
            form.push_str(name);
            form.push('=');
            encode(value, &mut form);
        };
        match self {
            Self::JwtBearer { assertion } => {
                field("grant_type", JWT_BEARER);
                field("assertion", assertion);
            }
            Self::RefreshToken { client_id, client_secret, refresh_token, scope } => {
                field("grant_type", "refresh_token");
                field("client_id", client_id);
                field("client_secret", client_secret);
                field("refresh_token", refresh_token);
                if let Some(scope) = scope {
                    field("scope", scope);
                }
            }
        }
        form
    }

    /// What to do about a refusal, where that is for the one who reads it to do.
    fn advice(self, code: &str) -> Option<&'static str> {
        match (self, code) {
            (Self::RefreshToken { .. }, "invalid_grant") => Some(
                "the user's login has ended: run `gcloud auth application-default login` \
                 again",
            ),
            _ => None,
        }
    }

    /// What must not come back in an error.
    fn secrets(self) -> [&'a str; 2] {
        match self {
            Self::JwtBearer { assertion } => [assertion, ""],
            Self::RefreshToken { client_secret, refresh_token, .. } => [client_secret, refresh_token],
        }
    }
}

/// Appends `value` as `application/x-www-form-urlencoded` wants it.
fn encode(value: &str, form: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => form.push(byte as char),
            b' ' => form.push('+'),
            _ => {
                form.push('%');
                form.push(HEX[usize::from(byte >> 4)] as char);
                form.push(HEX[usize::from(byte & 15)] as char);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_written_as_a_form() {
        let form = Grant::JwtBearer { assertion: "a.b-c_d.e" }.form();
        assert_eq!(
            form,
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b-c_d.e"
        );
        let grant = Grant::RefreshToken {
            client_id: "i d",
            client_secret: "s&c=r",
            refresh_token: "1//0gé",
            scope: None,
        };
        assert_eq!(
            grant.form(),
            "grant_type=refresh_token&client_id=i+d&client_secret=s%26c%3Dr&refresh_token=1%2F%2F0g%C3%A9"
        );
    }

    #[cfg(all(feature = "gcp-auth", any(feature = "tls-ring", feature = "tls-aws-lc")))]
    #[test]
    fn an_endpoint_is_https_or_on_this_machine() {
        for good in
            [GOOGLE_TOKEN_URI, "http://127.0.0.1:1/token", "http://[::1]:1/token", "http://localhost/t"]
        {
            assert!(TokenEndpoint::new(good, "token_uri").is_ok(), "{good}");
        }
        for bad in [
            "",
            "token",
            "/token",
            "https:///token",
            "http://oauth2.googleapis.com/token",
            "ftp://localhost/",
        ] {
            let error = TokenEndpoint::new(bad, "token_uri").unwrap_err();
            assert_eq!(error.field(), Some("token_uri"), "{bad}");
        }
    }

    #[cfg(not(feature = "gcp-auth"))]
    #[test]
    fn without_an_http_client_the_feature_is_named() {
        let error = TokenEndpoint::new(GOOGLE_TOKEN_URI, "token_uri").unwrap_err();
        assert!(error.to_string().contains("gcp-auth"), "{error}");
    }

    #[cfg(feature = "gcp-auth")]
    mod sockets {
        use tokio::net::TcpListener;

        use super::*;

        async fn endpoint(listener: &TcpListener) -> TokenEndpoint {
            let address = listener.local_addr().unwrap();
            TokenEndpoint::new(&format!("http://{address}/token"), "token_uri").unwrap()
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
            assert!(error.to_string().contains("no answer from 127.0.0.1 within"), "{error}");
            assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        }

        /// conf: P24
        #[tokio::test]
        async fn an_endpoint_that_is_not_there_is_a_transient_error_that_names_the_host() {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let endpoint = endpoint(&listener).await;
            drop(listener);
            let grant = Grant::JwtBearer { assertion: "a.b.c" };
            let error = endpoint.exchange(grant, Instant::now() + Duration::from_secs(20)).await.unwrap_err();
            assert!(error.is_transient() && error.is_retried(), "{error:?}");
            assert!(error.to_string().contains("cannot connect to 127.0.0.1"), "{error}");
        }
    }
}
