//! How a client is made.

mod fixed_headers;
mod origin;
mod proxy;
#[cfg(test)]
mod tests;
mod with_credentials;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Uri, header};
use http_body::Body as HttpBody;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::Endpoint;

use self::origin::check_universe;
pub(super) use self::with_credentials::with_credentials;
use super::call::{CallExecutor, CallSettings};
use super::trace_context::{TraceContext, TraceOption};
use super::transport::{
    BoxError, CONNECT_TIMEOUT, ChannelIdentity, Connect, Transport, boxed_service, with_tls,
};
use super::{IamCredentialsClient, Inner};
use crate::environment::{EMULATOR_VARIABLE, variable};
use crate::http_client::HttpClient;
use crate::proxy::{Proxies, ProxyChoice};
use crate::retry::{Jitter, random_fraction};
use crate::tls::{ChangingIdentity, TlsOptions};
use crate::{Credentials, Error, RetryPolicy, Token};

/// The bearer token that is sent to an emulator if no credentials are given.
const EMULATOR_TOKEN: &str = "emulator";

/// With these, a connection that answers no ping while calls wait is dropped within the timeout of
/// one call.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Makes an [`IamCredentialsClient`].
///
/// Nothing is read, checked or sent before [`build`](Self::build).
///
/// ```
/// use std::time::Duration;
/// use gcp_iam_credentials::{Credentials, IamCredentialsClient, RetryPolicy};
/// use gcp_iam_credentials::Token;
///
/// let token = Token::new("from-elsewhere", None)?;
/// let client = IamCredentialsClient::builder()
///     .credentials(Credentials::fixed(token))
///     .endpoint("http://127.0.0.1:8095")
///     .quota_project("billing-project")
///     .timeout(Duration::from_secs(30))
///     .retry(RetryPolicy::new().max_attempts(3))
///     .build()?;
/// # Ok::<(), gcp_iam_credentials::Error>(())
/// ```
#[must_use = "a builder does nothing until it builds"]
#[derive(Clone)]
pub struct ClientBuilder {
    credentials: Option<Credentials>,
    endpoint: Option<String>,
    universe_domain: Option<String>,
    quota_project: Option<String>,
    user_agent: Option<String>,
    tls: TlsOptions,
    /// Replaces the client identity of `tls`.
    identity: Option<Arc<dyn ChangingIdentity>>,
    proxy: ProxyChoice,
    allow_plaintext: bool,
    settings: CallSettings,
    environment: fn(&str) -> Option<String>,
}

impl ClientBuilder {
    /// The default time for a whole call: 60 s.
    pub const TIMEOUT: Duration = Duration::from_secs(60);
    /// The default time for one attempt: 20 s.
    pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);

    pub(super) fn new() -> Self {
        Self {
            credentials: None,
            endpoint: None,
            universe_domain: None,
            quota_project: None,
            user_agent: None,
            tls: TlsOptions::default(),
            identity: None,
            proxy: ProxyChoice::default(),
            allow_plaintext: false,
            settings: CallSettings {
                timeout: Self::TIMEOUT,
                attempt_timeout: Self::ATTEMPT_TIMEOUT,
                retry: RetryPolicy::new(),
                trace: TraceOption::None,
            },
            environment: variable,
        }
    }

    /// Sets the credentials that calls authenticate with. Default:
    /// [application default credentials](Credentials::application_default).
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Sets the server that calls go to: a URL, or a host name that is called with https. Default:
    /// `https://iamcredentials.` followed by the universe domain.
    ///
    /// Plain `http` is accepted for loopback hosts only, unless
    /// [`allow_plaintext`](Self::allow_plaintext) is set.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Sets the domain of the universe to call. Default: the environment variable
    /// `GOOGLE_CLOUD_UNIVERSE_DOMAIN`; if it isn't set, `googleapis.com`.
    ///
    /// Credentials that are known to belong to another universe are refused.
    pub fn universe_domain(mut self, domain: impl Into<String>) -> Self {
        self.universe_domain = Some(domain.into());
        self
    }

    /// Sets the quota project: the project that all four RPCs are counted against
    /// (`x-goog-user-project`). Default: the environment variable `GOOGLE_CLOUD_QUOTA_PROJECT`; if
    /// it isn't set, the project that the credentials name, or none.
    pub fn quota_project(mut self, project: impl Into<String>) -> Self {
        self.quota_project = Some(project.into());
        self
    }

    /// Sets the program's user agent: `my-app/1.2`, for example. The user agents of this crate and
    /// of tonic follow it. Default: only these two.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }

    /// Sets the time for one attempt: fetching credentials, connecting, and the complete reply.
    /// Default: [`ATTEMPT_TIMEOUT`](Self::ATTEMPT_TIMEOUT).
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.settings.attempt_timeout = timeout;
        self
    }

    /// Sets the time for a whole call: all attempts, and the waits between them. Default:
    /// [`TIMEOUT`](Self::TIMEOUT).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Sets how failed attempts are retried. Default: [`RetryPolicy::new`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.settings.retry = policy;
        self
    }

    /// Sets a provider of W3C trace contexts, which is asked once when a call begins, inside the call's
    /// span. Default: none, so no trace context is sent.
    ///
    /// If it returns `None` or panics, the call is made without a trace context. A call with a trace
    /// context [of its own](crate::call::SignBlob::trace_context) doesn't ask the provider.
    ///
    /// Credentials fetch each token in a task of its own, because many callers may wait for it. So the
    /// fetch isn't part of any caller's trace: the provider is asked in that task, inside the span
    /// `fetch_token`. The page [`tracing`](crate::guide::tracing) shows a provider for OpenTelemetry.
    ///
    /// ```
    /// use gcp_iam_credentials::{Credentials, IamCredentialsClient, Token};
    /// use gcp_iam_credentials::call::TraceContext;
    ///
    /// tokio::task_local! {
    ///     /// The headers of the request that this task serves.
    ///     static SERVED: http::HeaderMap;
    /// }
    ///
    /// let client = IamCredentialsClient::builder()
    ///     .credentials(Credentials::fixed(Token::new("from-elsewhere", None)?))
    ///     .trace_context(|| SERVED.try_with(TraceContext::from_headers).ok().flatten())
    ///     .build()?;
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    pub fn trace_context(
        mut self,
        provider: impl Fn() -> Option<TraceContext> + Send + Sync + 'static,
    ) -> Self {
        self.settings.trace = TraceOption::Ask(Arc::new(provider));
        self
    }

    /// Sets the certificate authorities to trust, in PEM form. Default: the roots that the Cargo
    /// features name (`tls-native-roots`, `tls-webpki-roots`).
    ///
    /// They replace the default roots in all connections of the client, also in those to the token
    /// endpoint that [subjects](crate::Impersonation::subject) need.
    pub fn root_certificates(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.tls.root_certificates = Some(pem.as_ref().to_vec());
        self
    }

    /// Sets the certificate and private key, in PEM form, that the client shows to the server
    /// (mTLS). Default: none.
    ///
    /// With an identity, the default endpoint is `https://iamcredentials.mtls.googleapis.com`.
    pub fn client_identity(mut self, cert_pem: impl AsRef<[u8]>, key_pem: impl AsRef<[u8]>) -> Self {
        self.tls.client_identity = Some((cert_pem.as_ref().to_vec(), key_pem.as_ref().to_vec()));
        self
    }

    /// Sets the proxy for all connections of the client: `http://proxy.corp.example:3128`, for
    /// example. The scheme is `http`, `https`, `socks5` or `socks5h`. A user and a password for the
    /// proxy are part of the URL, and are never shown. Default: the proxy that the environment
    /// variables `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name, in upper or lower
    /// case.
    ///
    /// The proxy opens a tunnel, in which TLS ends at Google's server. The proxy resolves the
    /// server's name. Connections to this machine, to the metadata server and to an emulator never
    /// use a proxy.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = ProxyChoice::At(url.into());
        self
    }

    /// Connects directly, whatever the environment says about proxies.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = ProxyChoice::Direct;
        self
    }

    /// Allows tokens to be sent unencrypted, over plain `http`, to hosts other than loopback: to a
    /// trusted proxy in the same pod, for example. Default: not allowed.
    pub fn allow_plaintext(mut self) -> Self {
        self.allow_plaintext = true;
        self
    }

    /// Sets how all connections are made.
    pub(crate) fn network(mut self, tls: TlsOptions, proxy: ProxyChoice) -> Self {
        (self.tls, self.proxy) = (tls, proxy);
        self
    }

    /// Sets the client identity for connections, which may change at any time.
    pub(crate) fn changing_identity(mut self, identity: Option<Arc<dyn ChangingIdentity>>) -> Self {
        self.identity = identity;
        self
    }

    /// Reads these variables instead of the process's.
    pub(crate) fn variables(mut self, variables: fn(&str) -> Option<String>) -> Self {
        self.environment = variables;
        self
    }

    /// Makes the client, with its own connection. Sends nothing and needs no runtime: the
    /// connection is made when it is first needed.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](crate::ErrorKind::InvalidInput) if a setting is invalid or two
    /// conflict ([`Error::field`] names one), or if no usable credentials are found.
    pub fn build(self) -> Result<IamCredentialsClient, Error> {
        self.build_over(None, Box::new(random_fraction))
    }

    /// Makes the client over connections that `connect` makes, or else over the usual ones, with this
    /// jitter between attempts.
    pub(super) fn build_over(
        self,
        connect: Option<Connect>,
        jitter: Jitter,
    ) -> Result<IamCredentialsClient, Error> {
        let emulator = self.emulator()?;
        let universe = self.universe()?;
        let origin = match &emulator {
            Some(origin) => origin.clone(),
            None => self.origin(&universe)?,
        };
        let credentials = match (&self.credentials, emulator.is_some()) {
            (Some(credentials), _) => credentials.clone(),
            (None, true) => Credentials::fixed(Token::new(EMULATOR_TOKEN, None)?),
            (None, false) => crate::adc::of_client(&universe)?,
        };
        check_universe(&credentials, &universe)?;
        if emulator.is_some() {
            tracing::warn!(endpoint = %origin, "{EMULATOR_VARIABLE} is set: calls go to an emulator");
        }
        let endpoint = self.channel_endpoint(&origin)?;
        let proxies = match emulator {
            Some(_) => Proxies::none(),
            None => self.proxy.proxies(self.environment)?,
        };
        let connect = connect.map_or_else(|| self.connect(&origin, &proxies), Ok)?;
        let headers = self.fixed_headers(&credentials)?;
        let identity = self.channel_identity(&origin);
        let transport = Transport::channel(endpoint, connect, identity, origin);
        let http = HttpClient::new(self.tls.clone(), proxies);
        let mut inner = self.finish(transport, credentials, headers, universe, jitter);
        inner.is_emulator = emulator.is_some();
        inner.http = http;
        Ok(IamCredentialsClient { inner: Arc::new(inner) })
    }

    /// Makes the client over a channel or any other tonic service: a balanced channel, a channel
    /// with more layers, a mock. [`endpoint`](Self::endpoint) is then the origin of its requests.
    ///
    /// # Errors
    ///
    /// Like [`build`](Self::build). Also returns
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if no credentials are set, or if a TLS
    /// option is: TLS is up to the service.
    ///
    /// ```
    /// use gcp_iam_credentials::{Credentials, IamCredentialsClient, Token};
    /// use tonic::transport::Endpoint;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), gcp_iam_credentials::Error> {
    /// let channel = Endpoint::from_static("http://127.0.0.1:8095").connect_lazy();
    /// let token = Token::new("from-elsewhere", None)?;
    /// let client = IamCredentialsClient::builder()
    ///     .credentials(Credentials::fixed(token))
    ///     .build_with(channel)?;
    /// # let _ = client;
    /// # Ok(())
    /// # }
    /// ```
    pub fn build_with<S>(self, service: S) -> Result<IamCredentialsClient, Error>
    where
        S: GrpcService<Body> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
        <S::ResponseBody as HttpBody>::Error: Into<BoxError>,
    {
        if self.tls.is_set() {
            let error = Error::invalid(self.tls.field(), "must not be set for a given service");
            return Err(error.fix_by("configure TLS where the service is made"));
        }
        let Some(credentials) = self.credentials.clone() else {
            return Err(Error::invalid("credentials", "must be set for a given service"));
        };
        let universe = self.universe()?;
        check_universe(&credentials, &universe)?;
        if let ProxyChoice::At(_) = self.proxy {
            let error = Error::invalid("proxy", "must not be set for a given service");
            return Err(error.fix_by("configure the proxy where the service is made"));
        }
        let origin = self.origin(&universe)?;
        let mut headers = self.fixed_headers(&credentials)?;
        headers.insert(header::USER_AGENT, self.user_agent_value()?);
        let transport = Transport::service(boxed_service(service), origin);
        let inner = self.finish(transport, credentials, headers, universe, Box::new(random_fraction));
        Ok(IamCredentialsClient { inner: Arc::new(inner) })
    }

    fn channel_endpoint(&self, origin: &Uri) -> Result<Endpoint, Error> {
        let endpoint = Endpoint::from(origin.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(Some(TCP_KEEPALIVE))
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(false)
            .user_agent(self.user_agent_value()?)
            .map_err(|_| fixed_headers::invalid_user_agent())?;
        match origin.scheme_str() {
            Some("https") => with_tls(endpoint, &self.tls),
            _ if self.tls.is_set() => {
                Err(Error::invalid("endpoint", "must be https if TLS options are set, got http"))
            }
            _ => Ok(endpoint),
        }
    }

    fn channel_identity(&self, origin: &Uri) -> Option<ChannelIdentity> {
        let identity = self.identity.clone().filter(|_| origin.scheme_str() == Some("https"))?;
        Some(ChannelIdentity { identity, tls: self.tls.clone() })
    }

    fn finish(
        self,
        transport: Transport,
        credentials: Credentials,
        headers: HeaderMap,
        universe: String,
        jitter: Jitter,
    ) -> Inner {
        let attempt_timeout = self.settings.attempt_timeout;
        let has_own_quota_project = self.own_quota_project().is_some();
        let executor = CallExecutor::new(transport, credentials, headers, attempt_timeout, jitter);
        Inner {
            executor,
            settings: self.settings,
            universe_domain: universe.into(),
            is_emulator: false,
            has_own_quota_project,
            http: HttpClient::shared(),
            assertion_endpoint: Arc::default(),
        }
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("credentials", &self.credentials)
            .field("endpoint", &self.endpoint)
            .field("universe_domain", &self.universe_domain)
            .field("quota_project", &self.quota_project)
            .finish_non_exhaustive()
    }
}
