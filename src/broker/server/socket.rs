//! Where a server listens.

use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;

#[cfg(feature = "_tls")]
use crate::broker::tls::ServerTls;
use crate::{Error, ServiceAccountName};

/// A socket that a [`BrokerServer`](super::BrokerServer) listens on.
///
/// ```no_run
/// use gcp_iam_credentials::broker::{Broker, BrokerServer, Socket};
///
/// # async fn serve(broker: Broker) -> Result<(), Box<dyn std::error::Error>> {
/// let server = BrokerServer::builder(broker)
///     .listen(Socket::unix("/run/iamcreds/broker.sock").for_all_users())
///     .listen(Socket::loopback("127.0.0.1:8097".parse()?).acting_as("shop@project.iam.gserviceaccount.com"))
///     .listen(Socket::operations("0.0.0.0:9096".parse()?))
///     .start()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Socket {
    pub(super) place: Place,
    target: Option<String>,
    is_for_all_users: bool,
}

/// The place of a socket.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Loopback(SocketAddr),
    #[cfg(unix)]
    Unix(PathBuf),
    #[cfg(feature = "_tls")]
    Tls(SocketAddr, ServerTls),
    Operations(SocketAddr),
}

impl Socket {
    /// Returns a loopback address, for processes of this machine. Port 0 picks a free port.
    pub fn loopback(address: SocketAddr) -> Self {
        Self::at(Place::Loopback(address))
    }

    /// Returns a Unix socket that only processes of the server's own user can open.
    #[cfg(unix)]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::at(Place::Unix(path.into()))
    }

    /// Returns an address for clients with certificates.
    #[cfg(feature = "_tls")]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))))]
    pub fn tls(address: SocketAddr, tls: ServerTls) -> Self {
        Self::at(Place::Tls(address, tls))
    }

    /// Returns an address that only has `/healthz`, `/readyz` and `/metrics`. It may be one that other machines can
    /// reach.
    pub fn operations(address: SocketAddr) -> Self {
        Self::at(Place::Operations(address))
    }

    /// Lets the clients of a loopback address or a Unix socket act as one account only, if the policy lets them. So a
    /// library that knows no paths can choose its account by the socket.
    pub fn acting_as(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Lets processes of all users open a Unix socket, if they can reach its folder. The policy decides what they get.
    #[cfg(unix)]
    pub fn for_all_users(mut self) -> Self {
        self.is_for_all_users = true;
        self
    }

    fn at(place: Place) -> Self {
        Self { place, target: None, is_for_all_users: false }
    }

    /// Returns the only account of its clients, after a check of all options.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if an option can't be used with this socket, or is invalid.
    pub(super) fn target(&self) -> Result<Option<String>, Error> {
        let (has_users, has_accounts) = match &self.place {
            Place::Loopback(address) if !address.ip().is_loopback() => {
                let problem = format!("must be a loopback address, got {}", address.ip());
                return Err(Error::invalid("address", problem));
            }
            Place::Loopback(_) => (false, true),
            #[cfg(unix)]
            Place::Unix(_) => (true, true),
            #[cfg(feature = "_tls")]
            Place::Tls(..) => (false, false),
            Place::Operations(_) => (false, false),
        };
        if self.is_for_all_users && !has_users {
            return Err(Error::invalid("for_all_users", "must not be set: only a Unix socket has users"));
        }
        let Some(target) = &self.target else { return Ok(None) };
        if !has_accounts {
            return Err(Error::invalid("acting_as", "must not be set: no account belongs to this socket"));
        }
        ServiceAccountName::parse_field(target, "acting_as").map(|name| Some(name.account().to_owned()))
    }

    /// Returns the mode of the file of a Unix socket.
    #[cfg(unix)]
    pub(super) fn mode(&self) -> u32 {
        match self.is_for_all_users {
            true => 0o666,
            false => 0o600,
        }
    }
}
