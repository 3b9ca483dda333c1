//! Who is at the other end of a connection.

use std::fmt;

use super::policy::{Caller, Policy};

/// The other end of a connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) channel: Channel,
    /// What is known of it.
    pub(super) caller: Caller,
}

/// How a connection came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    /// A loopback address.
    Loopback,
    /// A Unix socket, from a process of the server's user or of another one.
    #[cfg(unix)]
    Unix { is_own: bool },
    /// TLS with a client certificate.
    #[cfg(feature = "_tls")]
    Tls,
    /// An address that others can reach.
    Open,
}

impl Peer {
    /// Returns whether it may say on whose behalf it asks. Whoever connects over TCP without a certificate may not, not
    /// even from loopback. A process of the server's own user may: it could read the server's memory.
    pub(super) fn may_claim(&self, policy: &Policy) -> bool {
        match self.channel {
            #[cfg(unix)]
            Channel::Unix { is_own } => is_own || policy.has_peer(&self.caller),
            #[cfg(feature = "_tls")]
            Channel::Tls => policy.has_peer(&self.caller),
            Channel::Loopback | Channel::Open => false,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.caller.fmt(f)
    }
}
