//! How a client is made.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri, header};
use http_body::Body as HttpBody;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::Endpoint;
use tower::ServiceExt;

use super::call::{CallSettings, Caller};
use super::transport::{BoxError, BoxedService, Transport};
use super::{IamCredentialsClient, Inner};
use crate::environment::{EMULATOR_VARIABLE, QUOTA_VARIABLE, UNIVERSE_VARIABLE, variable};
use crate::headers::{self, API_CLIENT, USER_PROJECT};
use crate::host::{self, DEFAULT_UNIVERSE};
#[cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
use crate::tls::Roots;
use crate::{Credentials, Error, RetryPolicy, Token};

/// What the emulator gets for a bearer token.
const EMULATOR_TOKEN: &str = "emulator";

/// How long TCP may take to connect, and TLS to shake hands. tonic's own timeouts cover neither.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(8);

/// A connection that answers no ping while calls wait is given up inside one call's time.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// The versions that calls report, the language's, this crate's and its gRPC library's, and what
/// else is to be said.
macro_rules! api_client {
    ($more:literal) => {
        concat!("gl-rust/", env!("RUSTC_RELEASE"), " gapic/", env!("CARGO_PKG_VERSION"), " grpc/0.14", $more)
    };
}

const API_CLIENT_VALUE: &str = api_client!("");
/// For a token that impersonated credentials ask for.
pub(crate) const ACCESS_TOKEN_USAGE: &str = api_client!(" auth-request-type/at cred-type/imp");
pub(crate) const ID_TOKEN_USAGE: &str = api_client!(" auth-request-type/it cred-type/imp");

/// Makes an [`IamCredentialsClient`].
///
/// Nothing is read, checked or sent before [`build`](Self::build).
///
/// ```
/// use std::time::Duration;
/// use gcp_iam_credentials::{Credentials, IamCredentialsClient, RetryPolicy, Token};
///
/// let client = IamCredentialsClient::builder()
///     .credentials(Credentials::fixed(Token::new("from-elsewhere", None)?))
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
    root_certificates: Option<Vec<u8>>,
    client_identity: Option<(Vec<u8>, Vec<u8>)>,
    allow_plaintext: bool,
    settings: CallSettings,
    environment: fn(&str) -> Option<String>,
}

impl ClientBuilder {
    /// The time for a whole call by default.
    pub const TIMEOUT: Duration = Duration::from_secs(60);
    /// The time for one attempt by default.
    pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);

    pub(super) fn new() -> Self {
        Self {
            credentials: None,
            endpoint: None,
            universe_domain: None,
            quota_project: None,
            user_agent: None,
            root_certificates: None,
            client_identity: None,
            allow_plaintext: false,
            settings: CallSettings {
                timeout: Self::TIMEOUT,
                attempt_timeout: Self::ATTEMPT_TIMEOUT,
                retry: RetryPolicy::new(),
            },
            environment: variable,
        }
    }

    /// What calls authenticate with. Default: application default credentials.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Where calls go: a URL, or a host for https. Default: `https://iamcredentials.` and the
    /// universe domain. Plain `http` is taken for loopback hosts only, unless
    /// [`allow_plaintext`](Self::allow_plaintext) says otherwise.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// The universe to call: its domain. Default: the variable `GOOGLE_CLOUD_UNIVERSE_DOMAIN`,
    /// else `googleapis.com`. Credentials known to belong to another universe are an error.
    pub fn universe_domain(mut self, domain: impl Into<String>) -> Self {
        self.universe_domain = Some(domain.into());
        self
    }

    /// The project that all four RPCs are counted against (`x-goog-user-project`). Default: the
    /// variable `GOOGLE_CLOUD_QUOTA_PROJECT`, else the one that the credentials name, else none.
    pub fn quota_project(mut self, project: impl Into<String>) -> Self {
        self.quota_project = Some(project.into());
        self
    }

    /// Stands before the user agents of this crate and of tonic.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }

    /// The time for one attempt: credentials, connecting, the reply and its body. Default:
    /// [`ATTEMPT_TIMEOUT`](Self::ATTEMPT_TIMEOUT).
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.settings.attempt_timeout = timeout;
        self
    }

    /// The time for a whole call: all attempts, and the waits between them. Default:
    /// [`TIMEOUT`](Self::TIMEOUT).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// How failed attempts are repeated. Default: [`RetryPolicy::new`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.settings.retry = policy;
        self
    }

    /// The certificate authorities to trust, in PEM form, in place of the usual ones.
    pub fn root_certificates(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.root_certificates = Some(pem.as_ref().to_vec());
        self
    }

    /// A certificate and its key, in PEM form, to show to the server (mTLS). The default endpoint
    /// is then `https://iamcredentials.mtls.googleapis.com`.
    pub fn client_identity(mut self, cert_pem: impl AsRef<[u8]>, key_pem: impl AsRef<[u8]>) -> Self {
        self.client_identity = Some((cert_pem.as_ref().to_vec(), key_pem.as_ref().to_vec()));
        self
    }

    /// Lets tokens travel over plain `http` to hosts other than loopback: for a trusted proxy in
    /// the same pod, and the like.
    pub fn allow_plaintext(mut self) -> Self {
        self.allow_plaintext = true;
        self
    }

    /// Reads these in place of the process's variables.
    pub(crate) fn variables(mut self, variables: fn(&str) -> Option<String>) -> Self {
        self.environment = variables;
        self
    }

    /// Makes the client, with a connection of its own.
    ///
    /// # Errors
    ///
    /// Where a setting is wrong or two conflict ([`Error::field`] names it), or where no
    /// credentials are found. Nothing is sent, and no runtime is needed.
    pub fn build(self) -> Result<IamCredentialsClient, Error> {
        let emulator = self.emulator()?;
        let universe = self.universe()?;
        let origin = match &emulator {
            Some(origin) => origin.clone(),
            None => self.origin(&universe)?,
        };
        let credentials = match (&self.credentials, emulator.is_some()) {
            (Some(credentials), _) => credentials.clone(),
            (None, true) => Credentials::fixed(Token::new(EMULATOR_TOKEN, None)?),
            (None, false) => Credentials::builder().universe_domain(&universe).application_default()?,
        };
        check_universe(&credentials, &universe)?;
        if emulator.is_some() {
            tracing::warn!(endpoint = %origin, "{EMULATOR_VARIABLE} is set: calls go to an emulator");
        }
        let mut endpoint = Endpoint::from(origin.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(Some(TCP_KEEPALIVE))
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(false)
            .user_agent(self.user_agent_value()?)
            .map_err(|_| Error::invalid("user_agent", "may not stand in a header"))?;
        match origin.scheme_str() {
            Some("https") => endpoint = self.with_tls(endpoint)?,
            _ if self.has_tls_options() => {
                return Err(Error::invalid("endpoint", "is plain http, but TLS options are set"));
            }
            _ => {}
        }
        let headers = self.headers(&credentials)?;
        Ok(self.finish(Transport::channel(endpoint, origin), credentials, headers, universe))
    }

    /// Makes the client over a channel or any other tonic service: a balanced channel, a mock, a
    /// channel with layers of one's own. [`endpoint`](Self::endpoint) is then the origin of its
    /// requests.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build); besides, credentials must be given, and TLS options conflict:
    /// the service has its own.
    pub fn build_with<S>(self, service: S) -> Result<IamCredentialsClient, Error>
    where
        S: GrpcService<Body> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
        <S::ResponseBody as HttpBody>::Error: Into<BoxError>,
    {
        if self.has_tls_options() {
            return Err(Error::invalid(
                self.tls_field(),
                "conflicts with a service of one's own: set it up there",
            ));
        }
        let Some(credentials) = self.credentials.clone() else {
            return Err(Error::invalid(
                "credentials",
                "are missing: a service of one's own needs them given",
            ));
        };
        let universe = self.universe()?;
        check_universe(&credentials, &universe)?;
        let origin = self.origin(&universe)?;
        let mut headers = self.headers(&credentials)?;
        headers.insert(header::USER_AGENT, self.user_agent_value()?);
        let service = tower::util::BoxCloneSyncService::new(
            GrpcAsHttp(service)
                .map_response(|reply: http::Response<_>| reply.map(Body::new))
                .map_err(Into::into),
        );
        let service: BoxedService = service;
        Ok(self.finish(Transport::service(service, origin), credentials, headers, universe))
    }

    fn finish(
        self,
        transport: Transport,
        credentials: Credentials,
        headers: HeaderMap,
        universe: String,
    ) -> IamCredentialsClient {
        let caller = Caller::new(transport, credentials, headers, self.settings.attempt_timeout);
        let inner = Inner { caller, settings: self.settings, universe_domain: universe.into() };
        IamCredentialsClient { inner: Arc::new(inner) }
    }

    /// The emulator's origin, if the environment names one and nothing more specific is set.
    fn emulator(&self) -> Result<Option<Uri>, Error> {
        if self.endpoint.is_some() || self.universe_domain.is_some() {
            return Ok(None);
        }
        let Some(value) = (self.environment)(EMULATOR_VARIABLE) else { return Ok(None) };
        let text = if value.contains("://") { value } else { format!("http://{value}") };
        let origin = host::origin(&text, EMULATOR_VARIABLE)?;
        if self.credentials.is_some() && !host::is_loopback(&origin) {
            return Err(Error::invalid(
                EMULATOR_VARIABLE,
                "names a host that is not loopback, and credentials are given: a real token is not sent there",
            ));
        }
        Ok(Some(origin))
    }

    fn universe(&self) -> Result<String, Error> {
        let (text, field) = match (&self.universe_domain, (self.environment)(UNIVERSE_VARIABLE)) {
            (Some(domain), _) => (domain.clone(), "universe_domain"),
            (None, Some(domain)) => (domain, UNIVERSE_VARIABLE),
            (None, None) => (DEFAULT_UNIVERSE.to_owned(), "universe_domain"),
        };
        host::check_universe(&text, field)?;
        Ok(text)
    }

    fn origin(&self, universe: &str) -> Result<Uri, Error> {
        let text = match &self.endpoint {
            Some(endpoint) if endpoint.contains("://") => endpoint.clone(),
            Some(host) => format!("https://{host}"),
            None if self.client_identity.is_none() => format!("https://iamcredentials.{universe}"),
            None if universe == DEFAULT_UNIVERSE => format!("https://iamcredentials.mtls.{universe}"),
            None => {
                return Err(Error::invalid(
                    "client_identity",
                    "needs an endpoint: only googleapis.com has a known one for mTLS",
                ));
            }
        };
        let origin = host::origin(&text, "endpoint")?;
        if origin.scheme_str() == Some("http") && !host::is_loopback(&origin) && !self.allow_plaintext {
            let expectation =
                "must be https, got http on a host that isn't loopback: tokens would be unprotected";
            return Err(
                Error::invalid("endpoint", expectation).fix_by("use https, or call `allow_plaintext()`")
            );
        }
        Ok(origin)
    }

    fn headers(&self, credentials: &Credentials) -> Result<HeaderMap, Error> {
        // Room for what each attempt adds.
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(API_CLIENT, HeaderValue::from_static(API_CLIENT_VALUE));
        let quota = match (&self.quota_project, (self.environment)(QUOTA_VARIABLE)) {
            (Some(project), _) => Some((project.clone(), "quota_project")),
            (None, Some(project)) => Some((project, QUOTA_VARIABLE)),
            (None, None) => {
                credentials.info().quota_project().map(|project| (project.to_owned(), "quota_project"))
            }
        };
        if let Some((project, field)) = quota {
            headers.insert(USER_PROJECT, headers::quota_project(&project, field)?);
        }
        Ok(headers)
    }

    fn user_agent_value(&self) -> Result<HeaderValue, Error> {
        const OURS: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
        let text = match &self.user_agent {
            Some(own) => format!("{own} {OURS}"),
            None => OURS.to_owned(),
        };
        HeaderValue::try_from(text).map_err(|_| Error::invalid("user_agent", "may not stand in a header"))
    }

    fn has_tls_options(&self) -> bool {
        self.root_certificates.is_some() || self.client_identity.is_some()
    }

    fn tls_field(&self) -> &'static str {
        if self.root_certificates.is_some() { "root_certificates" } else { "client_identity" }
    }

    #[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc")))]
    fn with_tls(&self, _endpoint: Endpoint) -> Result<Endpoint, Error> {
        let _ = HANDSHAKE_TIMEOUT;
        Err(Error::invalid("endpoint", crate::tls::NOT_BUILT_IN))
    }

    #[cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
    fn with_tls(&self, endpoint: Endpoint) -> Result<Endpoint, Error> {
        use tonic::transport::{Certificate, ClientTlsConfig, Identity};

        let mut config = ClientTlsConfig::new().timeout(HANDSHAKE_TIMEOUT);
        if let Some((certificate, key)) = &self.client_identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        let unusable = |field: &'static str| {
            move |error: tonic::transport::Error| {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                Error::invalid(field, format!("cannot be used for TLS: {cause}"))
            }
        };
        if let Some(pem) = &self.root_certificates {
            if !pem.windows(PEM_CERTIFICATE.len()).any(|text| text == PEM_CERTIFICATE) {
                return Err(Error::invalid("root_certificates", "holds no certificate in PEM form"));
            }
            let config = config.ca_certificate(Certificate::from_pem(pem));
            return endpoint.tls_config(config).map_err(unusable(self.tls_field()));
        }
        let field = if self.client_identity.is_some() { "client_identity" } else { "root_certificates" };
        let outcome = Roots::first_usable(|roots| {
            let config = config.clone();
            let config = match roots {
                #[cfg(feature = "tls-native-roots")]
                Roots::Machine => config.with_native_roots(),
                #[cfg(feature = "tls-webpki-roots")]
                Roots::CompiledIn => config.with_webpki_roots(),
            };
            endpoint.clone().tls_config(config)
        });
        match outcome {
            Some(outcome) => outcome.map_err(unusable(field)),
            None => Err(Error::invalid(
                "root_certificates",
                "are missing: give some, or enable the feature tls-native-roots or tls-webpki-roots",
            )),
        }
    }
}

#[cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
const PEM_CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

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

/// Lets tower's combinators work on any tonic service.
#[derive(Clone)]
struct GrpcAsHttp<S>(S);

impl<S: GrpcService<Body>> tower_service::Service<http::Request<Body>> for GrpcAsHttp<S> {
    type Response = http::Response<S::ResponseBody>;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}

fn check_universe(credentials: &Credentials, universe: &str) -> Result<(), Error> {
    match credentials.info().universe_domain() {
        Some(theirs) if theirs != universe => Err(Error::invalid(
            "universe_domain",
            format!("is {universe:?}, but the credentials belong to {theirs:?}"),
        )),
        _ => Ok(()),
    }
}
