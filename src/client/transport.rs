//! What carries the calls: a channel that is made when it is first needed, or a service that the
//! caller gave.

mod boxed_service;
mod channel_identity;
mod exchange;
mod lazy_channel;
mod observed;
#[cfg(test)]
mod tests;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use tonic::transport::Endpoint;

pub(crate) use self::boxed_service::{BoxError, BoxedService, boxed_service};
pub(crate) use self::channel_identity::ChannelIdentity;
pub(crate) use self::exchange::Exchange;
pub(crate) use self::lazy_channel::Connect;
use self::lazy_channel::{ActiveChannel, LazyChannel};
use self::observed::Observed;
pub(crate) use self::tls::with_tls;
use crate::Error;
use crate::tls::ChangingIdentity;

/// The time for making a TCP connection. tonic's call timeouts don't cover it.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);
/// The time for the TLS handshake. tonic's other timeouts don't cover it.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(8);
/// The longest time in which a connection is made, if it can be made at all.
const SETUP_TIME: Duration = CONNECT_TIMEOUT.saturating_add(HANDSHAKE_TIMEOUT);

/// The destination of all calls of a client: its own channel, or a service that the caller gave.
pub(crate) struct Transport {
    kind: Kind,
    /// Scheme and authority of every request. A channel adds its own.
    origin: Uri,
}

enum Kind {
    Channel(Box<LazyChannel>),
    Service(BoxedService),
}

impl Transport {
    /// A channel with an `identity` is made again when that changes.
    pub(crate) fn channel(
        endpoint: Endpoint,
        connect: Connect,
        identity: Option<ChannelIdentity>,
        origin: Uri,
    ) -> Self {
        Self { kind: Kind::Channel(Box::new(LazyChannel::new(endpoint, connect, identity))), origin }
    }

    pub(crate) fn service(service: BoxedService, origin: Uri) -> Self {
        Self { kind: Kind::Service(service), origin }
    }

    pub(crate) fn origin(&self) -> &Uri {
        &self.origin
    }

    /// Returns the origin that requests must contain: a channel needs none.
    pub(crate) fn request_origin(&self) -> Uri {
        match self.kind {
            Kind::Channel(_) => Uri::default(),
            Kind::Service(_) => self.origin.clone(),
        }
    }

    /// Returns the identity that connections show, if it may change.
    pub(crate) fn changing_identity(&self) -> Option<&dyn ChangingIdentity> {
        match &self.kind {
            Kind::Channel(lazy) => lazy.identity(),
            Kind::Service(_) => None,
        }
    }

    /// Returns a connection for one attempt. Must be called inside a runtime.
    pub(crate) fn connection(&self) -> Connection<'_> {
        match &self.kind {
            Kind::Channel(lazy) => {
                let channel = lazy.get_or_connect();
                let replies = channel.replies();
                Connection::Channel { channel, replies }
            }
            Kind::Service(service) => Connection::Service(service),
        }
    }

    /// Drops the channel of an attempt that timed out after it had `waited` for this connection, if
    /// no reply at all arrived meanwhile and either of these is true:
    ///
    /// * The connection could have been made in that time. So a short attempt doesn't drop a
    ///   connection that is still being made, or one whose server is slow.
    /// * The runtime of the channel has come to a standstill.
    ///
    /// The next attempt makes a new channel.
    pub(crate) fn drop_if_silent(&self, connection: &Connection<'_>, waited: Duration) {
        let (Kind::Channel(lazy), Connection::Channel { channel, replies }) = (&self.kind, connection) else {
            return;
        };
        let silent = channel.replies() == *replies;
        if silent && (waited > SETUP_TIME || channel.is_at_standstill()) {
            lazy.retire(channel);
        }
    }
}

/// What one attempt sends its request over.
pub(crate) enum Connection<'a> {
    Channel {
        channel: Arc<ActiveChannel>,
        /// How many replies had arrived when the attempt began.
        replies: u64,
    },
    Service(&'a BoxedService),
}

impl Connection<'_> {
    /// Returns a service for one request. It records in `exchange` what becomes of the request.
    pub(crate) fn observe<'a>(&'a self, exchange: &'a Exchange) -> Observed<'a> {
        match self {
            Self::Channel { channel, .. } => Observed::over_channel(channel, exchange),
            Self::Service(service) => Observed::over_service((*service).clone(), exchange),
        }
    }
}

/// Checks that a tokio runtime is there: calls need its timers and tasks.
pub(crate) fn require_runtime() -> Result<(), Error> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::invalid("runtime", "calls must be awaited inside a tokio runtime")),
    }
}
