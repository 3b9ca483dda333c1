//! The options with which credentials are found or read.

#[cfg(feature = "credential-files")]
mod federation;

#[cfg(feature = "credential-files")]
pub(crate) use self::federation::FederationOptions;
use super::Credentials;
use super::network::Network;
use crate::environment::Environment;
use crate::host::HostPattern;
use crate::proxy::ProxyChoice;
use crate::tls::TlsOptions;

/// Finds credentials in the environment, or reads them from a file, with options.
///
/// [`Credentials::builder`] creates it. The options are checked, and the file is read, by
/// [`application_default`](Self::application_default), [`file`](Self::file) or
/// [`json`](Self::json).
///
/// All credentials of one builder and its clones share their connections: one to each token endpoint
/// that speaks HTTP/2, and one to the API. So a program that reads a thousand files clones one
/// builder for them.
///
/// ```
/// use gcp_iam_credentials::{Credentials, scopes};
///
/// let file = r#"{
///     "type": "authorized_user",
///     "client_id": "id",
///     "client_secret": "secret",
///     "refresh_token": "token",
///     "token_uri": "http://127.0.0.1:8095/token"
/// }"#;
/// let credentials = Credentials::builder()
///     .scopes([scopes::PUBSUB])
///     .quota_project("billing-project")
///     .json(file)?;
///
/// let info = credentials.info();
/// assert_eq!(info.scopes(), [scopes::PUBSUB]);
/// assert_eq!(info.quota_project(), Some("billing-project"));
/// # Ok::<(), gcp_iam_credentials::Error>(())
/// ```
#[must_use = "a builder does nothing until it reads"]
#[derive(Clone, Debug)]
pub struct CredentialsBuilder {
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) universe_domain: Option<String>,
    pub(crate) quota_project: Option<String>,
    pub(crate) allowed_hosts: Vec<HostPattern>,
    /// How servers are reached.
    pub(crate) network: Network,
    #[cfg(feature = "credential-files")]
    pub(crate) federation: FederationOptions,
    #[cfg(feature = "credential-files")]
    pub(crate) provider_description: Option<String>,
    /// `None` means the environment of the process.
    pub(crate) environment: Option<Environment>,
}

impl Credentials {
    /// Creates a builder, which finds or reads credentials with options.
    ///
    /// ```no_run
    /// use gcp_iam_credentials::{Credentials, scopes};
    ///
    /// let credentials =
    ///     Credentials::builder().scopes([scopes::PUBSUB]).application_default()?;
    /// println!("{}", credentials.explain());
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    pub fn builder() -> CredentialsBuilder {
        CredentialsBuilder {
            scopes: None,
            universe_domain: None,
            quota_project: None,
            allowed_hosts: Vec::new(),
            network: Network::default(),
            #[cfg(feature = "credential-files")]
            federation: FederationOptions::default(),
            #[cfg(feature = "credential-files")]
            provider_description: None,
            environment: None,
        }
    }
}

impl CredentialsBuilder {
    /// Sets the scopes of the tokens. Default: the scopes in an `impersonated_service_account`
    /// file, else [`CLOUD_PLATFORM`](crate::scopes::CLOUD_PLATFORM). Without this setting, a user's
    /// tokens have all scopes that the user consented to.
    ///
    /// They are the scopes of the final tokens: the source of an impersonation keeps its own. The
    /// metadata server and `gcloud` ignore them.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.scopes = Some(scopes.into_iter().map(|scope| scope.as_ref().to_owned()).collect());
        self
    }

    /// Sets the universe domain that a file may have, besides `googleapis.com`. Default: the
    /// variable `GOOGLE_CLOUD_UNIVERSE_DOMAIN`, else none.
    pub fn universe_domain(mut self, domain: impl Into<String>) -> Self {
        self.universe_domain = Some(domain.into());
        self
    }

    /// Sets the project that requests with the tokens are counted against
    /// (`x-goog-user-project`). Default: the variable `GOOGLE_CLOUD_QUOTA_PROJECT`, else the
    /// project in the file, else none.
    ///
    /// The source of an impersonation keeps its own.
    pub fn quota_project(mut self, project: impl Into<String>) -> Self {
        self.quota_project = Some(project.into());
        self
    }

    /// Allows the URLs in a file to name these hosts too, with https. Several calls add up.
    /// Default: only hosts under `googleapis.com` and under the
    /// [universe domain](Self::universe_domain), and loopback addresses.
    ///
    /// A pattern is a host name, or `*.` and a domain for all hosts under it.
    pub fn allow_hosts(mut self, patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.allowed_hosts.extend(patterns.into_iter().map(|pattern| HostPattern::new(pattern.as_ref())));
        self
    }

    /// Sets the certificate authorities to trust, in PEM form, for all servers that the credentials
    /// call: token endpoints, and the API if a file names an account to impersonate. Default: the
    /// roots that the Cargo features name (`tls-native-roots`, `tls-webpki-roots`). The given ones
    /// replace them.
    ///
    /// The metadata server is called without TLS, and `gcloud` has settings of its own.
    pub fn root_certificates(mut self, pem: impl AsRef<[u8]>) -> Self {
        let root_certificates = Some(pem.as_ref().to_vec());
        self.network = self.network.with_tls(|tls| TlsOptions { root_certificates, ..tls });
        self
    }

    /// Sets the certificate and private key, in PEM form, that the credentials show to servers that
    /// ask for one (mTLS). Default: none.
    ///
    /// With an identity, the API's default endpoint is
    /// `https://iamcredentials.mtls.googleapis.com`. Token endpoints are those in the file.
    pub fn client_identity(mut self, cert_pem: impl AsRef<[u8]>, key_pem: impl AsRef<[u8]>) -> Self {
        let client_identity = Some((cert_pem.as_ref().to_vec(), key_pem.as_ref().to_vec()));
        self.network = self.network.with_tls(|tls| TlsOptions { client_identity, ..tls });
        self
    }

    /// Sets the proxy for all connections to servers outside this machine:
    /// `http://proxy.corp.example:3128`, for example. The scheme is `http`, `https`, `socks5` or
    /// `socks5h`. A user and a password for the proxy are part of the URL, and are never shown.
    /// Default: the proxy that the environment variables `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`
    /// and `NO_PROXY` name, in upper or lower case.
    ///
    /// The metadata server is always called directly.
    ///
    /// ```
    /// use gcp_iam_credentials::Credentials;
    ///
    /// let builder =
    ///     Credentials::builder().proxy("http://user:password@proxy.example:3128");
    /// assert!(!format!("{builder:?}").contains("password@"));
    /// ```
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.network = self.network.with_proxy(ProxyChoice::At(url.into()));
        self
    }

    /// Connects directly, whatever the environment says about proxies.
    pub fn no_proxy(mut self) -> Self {
        self.network = self.network.with_proxy(ProxyChoice::Direct);
        self
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn in_environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }
}
