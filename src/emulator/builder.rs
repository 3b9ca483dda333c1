//! How an emulator is set up.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use super::Emulator;
use super::router::Door;
use super::serve::Running;
use super::world::World;

/// The address that an emulator listens on unless told otherwise: loopback, any free port.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Sets up an [`Emulator`].
#[derive(Clone, Debug)]
pub struct EmulatorBuilder {
    address: SocketAddr,
}

impl EmulatorBuilder {
    pub(super) fn new() -> Self {
        Self { address: DEFAULT_ADDRESS }
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

    /// Starts the emulator: it answers once this returns.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(self) -> Result<Emulator, EmulatorError> {
        self.start_blocking()
    }

    /// [`start`](Self::start) for callers outside async code.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn start_blocking(self) -> Result<Emulator, EmulatorError> {
        let failed = |cause| EmulatorError::Listen { address: self.address, cause: Arc::new(cause) };
        let listener = TcpListener::bind(self.address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let world = Arc::new(World::new(format!("http://{address}")));
        let running = Running::start(listener, Door::new(Arc::clone(&world))).map_err(failed)?;
        Ok(Emulator { world, running })
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
    /// A key could not be made or written.
    #[error("{0}")]
    Key(String),
}
