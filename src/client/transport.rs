//! What carries the calls: a channel that is made when it is first needed, or a service that the
//! caller gave.

mod boxed_service;
mod lazy_channel;
mod observed;

use std::sync::Arc;

use http::Uri;
use tonic::transport::Endpoint;

pub(crate) use self::boxed_service::{BoxError, BoxedService, boxed_service};
use self::lazy_channel::{ActiveChannel, LazyChannel};
use self::observed::Observed;
pub(crate) use self::observed::ReplyHead;
use crate::Error;

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
    pub(crate) fn channel(endpoint: Endpoint, origin: Uri) -> Self {
        Self { kind: Kind::Channel(Box::new(LazyChannel::new(endpoint))), origin }
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

    /// Drops the channel of an attempt that timed out, if no reply at all has arrived over it since
    /// the attempt began. The next attempt makes a new channel.
    pub(crate) fn drop_if_silent(&self, connection: &Connection<'_>) {
        let (Kind::Channel(lazy), Connection::Channel { channel, replies }) = (&self.kind, connection) else {
            return;
        };
        if channel.replies() == *replies {
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
    /// Returns a service for one request. It records the head of the reply in `head`.
    pub(crate) fn observe<'a>(&'a self, head: &'a ReplyHead) -> Observed<'a> {
        match self {
            Self::Channel { channel, .. } => Observed::over_channel(channel, head),
            Self::Service(service) => Observed::over_service((*service).clone(), head),
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
