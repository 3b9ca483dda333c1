//! How an emulator is set up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use http::Uri;

use super::Emulator;
use crate::emulator::iam::policy::{Policy, PolicyError};
use crate::emulator::server::certificate::tls_identity;
use crate::emulator::server::listener::Running;
use crate::emulator::server::services::Services;
use crate::emulator::state::World;

/// The address that an emulator listens on unless told otherwise: loopback, any free port.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Sets up an [`Emulator`].
#[derive(Clone, Debug)]
pub struct EmulatorBuilder {
    address: SocketAddr,
    policy: Option<Policy>,
    tls: bool,
    public_url: Option<String>,
}

impl EmulatorBuilder {
    pub(crate) fn new() -> Self {
        Self { address: DEFAULT_ADDRESS, policy: None, tls: false, public_url: None }
    }

    /// Listens there; port 0 picks a free port. Default: [`DEFAULT_ADDRESS`].
    ///
    /// Off loopback everybody who can reach the port can have tokens and change policies; they are
    /// worth nothing outside of this emulator.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// How callers reach it, if not by the address it listens on: `http://emulator:8095` in a
    /// network of containers. Credential files, assertions and [`Emulator::endpoint`] go by it.
    ///
    /// Default: the address; loopback in place of an unspecified one.
    #[must_use]
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(url.into());
        self
    }

    /// Enforces this policy. Default: none, so any bearer is an all-powerful principal.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Speaks TLS, with a certificate whose authority is [`Emulator::ca_pem`]. Default: plaintext.
    ///
    /// The certificate is good for the address, for loopback and `localhost`, and for the names of
    /// Google's services that the emulator stands in for.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Starts the emulator: it answers once this returns.
    ///
    /// # Errors
    /// The policy or the public URL is wrong, or the address cannot be listened on.
    pub async fn start(self) -> Result<Emulator, EmulatorError> {
        self.start_blocking()
    }

    /// [`start`](Self::start) for callers outside async code.
    ///
    /// # Errors
    /// The policy or the public URL is wrong, or the address cannot be listened on.
    pub fn start_blocking(self) -> Result<Emulator, EmulatorError> {
        if let Some(policy) = &self.policy {
            policy.validate()?;
        }
        let failed = |cause| EmulatorError::Listen { address: self.address, cause: Arc::new(cause) };
        let listener = TcpListener::bind(self.address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "the emulator listens off loopback");
        }
        let endpoint = self.endpoint(address)?;
        let identity = match self.tls {
            true => Some(
                tls_identity(address.ip(), endpoint.host())
                    .map_err(|cause| EmulatorError::Key(cause.to_string()))?,
            ),
            false => None,
        };
        let ca_pem = identity.as_ref().map(|identity| identity.ca_pem.clone());
        let endpoint = endpoint.to_string().trim_end_matches('/').to_owned();
        let world = Arc::new(World::new(endpoint, ca_pem, self.policy));
        let tls = identity.map(|identity| identity.config);
        let running = Running::start(listener, tls, Services::new(Arc::clone(&world))).map_err(failed)?;
        Ok(Emulator { world, running })
    }

    /// Scheme and authority that callers use.
    fn endpoint(&self, address: SocketAddr) -> Result<Uri, EmulatorError> {
        let scheme = if self.tls { "https" } else { "http" };
        let reachable = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let own = format!("{scheme}://{}", SocketAddr::new(reachable, address.port()));
        let text = self.public_url.as_ref().unwrap_or(&own);
        let wrong = || EmulatorError::PublicUrl { url: text.clone(), scheme };
        let url: Uri = text.parse().map_err(|_| wrong())?;
        let bare = matches!(url.path(), "" | "/") && url.query().is_none();
        if url.scheme_str() == Some(scheme) && url.host().is_some() && bare { Ok(url) } else { Err(wrong()) }
    }
}

/// Why an emulator does not start, or cannot do what it is asked for.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmulatorError {
    /// The address cannot be listened on.
    #[error("the emulator cannot listen on {address}: {cause}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system says.
        cause: Arc<std::io::Error>,
    },
    /// The public URL is none.
    #[error("the public URL {url:?} is not of the form {scheme}://host:port")]
    PublicUrl {
        /// The URL asked for.
        url: String,
        /// The scheme that it needs.
        scheme: &'static str,
    },
    /// The policy is wrong.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A key or certificate could not be made or written.
    #[error("{0}")]
    Key(String),
    /// A credential file cannot be made of what was given.
    #[error("{0}")]
    Fixture(String),
}
