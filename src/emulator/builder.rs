//! Configures and starts an emulator.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use http::Uri;

use super::Emulator;
use super::certificate_authority::CertificateAuthority;
use super::control::commands::Commands;
use super::control::handle::EmulatorError;
use super::iam::key_pool::KeyPool;
use super::iam::policy::Policy;
use super::server::running::RunningServer;
use super::server::services::Services;
use super::server_certificate::server_config;
use super::state::EmulatorState;
use crate::own_hosts::OwnHosts;

/// The address that an emulator listens on by default: `127.0.0.1` and any free port.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Configures and starts an [`Emulator`].
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use gcp_iam_credentials::emulator::{Emulator, Policy, Role};
///
/// let email = "sa@p.iam.gserviceaccount.com";
/// let policy = Policy::new()
///     .token("alice-token", "user:alice@example.com")
///     .grant("user:alice@example.com", Role::TOKEN_CREATOR, email);
/// let emulator = Emulator::builder().policy(policy).start().await?;
/// assert!(emulator.endpoint().starts_with("http://127.0.0.1:"));
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct EmulatorBuilder {
    address: SocketAddr,
    policy: Option<Policy>,
    tls: bool,
    authority: Option<CertificateAuthority>,
    public_url: Option<String>,
    allowed_hosts: Vec<String>,
}

impl EmulatorBuilder {
    pub(super) fn new() -> Self {
        Self {
            address: DEFAULT_ADDRESS,
            policy: None,
            tls: false,
            authority: None,
            public_url: None,
            allowed_hosts: Vec::new(),
        }
    }

    /// Sets the address to listen on. Port 0 picks a free port. Default: [`DEFAULT_ADDRESS`].
    ///
    /// If the address isn't loopback, everyone who can reach the port can get tokens and change the
    /// policy. The tokens are valid only for this emulator.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Sets the URL that clients use, if it differs from the address: for example
    /// `http://emulator:8095` in a network of containers. Its scheme is `http` or `https`.
    /// [`Emulator::endpoint`] returns it, and credential files contain it.
    ///
    /// Default: the address, or the loopback address if the address is unspecified (`0.0.0.0`), with the
    /// scheme `http`, or `https` after [`tls`](Self::tls).
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(url.into());
        self
    }

    /// Adds a host under which clients reach the emulator: a DNS name or an IP address, without a port.
    ///
    /// The control pages refuse requests for other hosts, and requests of other hosts' web pages. So a
    /// page in a browser on this machine can't control the emulator. Self-signed JWTs may also have these
    /// hosts in their audience. Default: loopback names and addresses, the [`address`](Self::address), and
    /// the host of the [`public_url`](Self::public_url).
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        self.allowed_hosts.push(host.into());
        self
    }

    /// Sets the policy. Default: none, so any bearer token has all permissions.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Gives [`Emulator::endpoint`] the scheme `https`, so that credential files contain an `https` URL.
    /// Default: `http`. Has no effect if there is a [`public_url`](Self::public_url).
    ///
    /// With or without it, the port serves both plaintext and TLS. Clients over TLS must trust
    /// [`Emulator::ca_pem`]. The certificate is valid for loopback, for the hosts of the control pages
    /// ([`allow_host`](Self::allow_host)), and for the names of the Google services that the emulator
    /// replaces.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Sets the certificate authority. Default: one that the emulator generates when it starts.
    pub fn certificate_authority(mut self, authority: CertificateAuthority) -> Self {
        self.authority = Some(authority);
        self
    }

    /// Starts the emulator. It accepts requests as soon as this returns.
    ///
    /// Any executor can run this future: the emulator has its own thread and runtime.
    ///
    /// # Errors
    ///
    /// Returns an [`EmulatorError`] if the policy, the public URL or an allowed host is invalid, if the
    /// emulator can't listen on the address, or if it can't generate a certificate.
    pub async fn start(self) -> Result<Emulator, EmulatorError> {
        if let Some(policy) = &self.policy {
            policy.validate()?;
        }
        let failed = |cause| EmulatorError::Listen { address: self.address, cause: Arc::new(cause) };
        KeyPool::shared().prepare();
        let listener = TcpListener::bind(self.address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "the emulator listens on an address that is not loopback");
        }
        let url = self.url(address)?;
        let own_hosts = self.own_hosts(address, &url)?;
        let authority = self.authority.map_or_else(CertificateAuthority::generate, Ok)?;
        let tls = server_config(&authority, own_hosts.added())
            .map_err(|cause| EmulatorError::Key(cause.to_string()))?;
        let endpoint = url.to_string().trim_end_matches('/').to_owned();
        let ca_pem = authority.certificate_pem().to_owned();
        let state = Arc::new(EmulatorState::new(endpoint, own_hosts, ca_pem, self.policy));
        let server =
            RunningServer::start(listener, tls, Services::new(Arc::clone(&state))).map_err(failed)?;
        Ok(Emulator { commands: Commands::new(state), server })
    }

    /// Returns the hosts under which clients reach the emulator.
    fn own_hosts(&self, address: SocketAddr, url: &Uri) -> Result<OwnHosts, EmulatorError> {
        let mut hosts = OwnHosts::default();
        hosts.add(&address.ip().to_string());
        // A public URL may have any host that `Uri` accepts. One that no client could send isn't added.
        hosts.add(url.host().unwrap_or_default());
        match self.allowed_hosts.iter().find(|host| !hosts.add(host)) {
            None => Ok(hosts),
            Some(host) => Err(EmulatorError::AllowedHost { host: host.clone() }),
        }
    }

    /// Returns the scheme and authority that clients use.
    fn url(&self, address: SocketAddr) -> Result<Uri, EmulatorError> {
        let scheme = if self.tls { "https" } else { "http" };
        let reachable = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let own = format!("{scheme}://{}", SocketAddr::new(reachable, address.port()));
        let text = self.public_url.as_ref().unwrap_or(&own);
        let invalid = || EmulatorError::PublicUrl { url: text.clone() };
        let url: Uri = text.parse().map_err(|_| invalid())?;
        let bare = matches!(url.path(), "" | "/") && url.query().is_none();
        let is_http = matches!(url.scheme_str(), Some("http" | "https"));
        if is_http && url.host().is_some() && bare { Ok(url) } else { Err(invalid()) }
    }
}
