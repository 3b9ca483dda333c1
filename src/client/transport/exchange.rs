//! What is known about one request and the head of its reply.

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};

use http::{HeaderMap, StatusCode, header};

use crate::headers::{GRPC_CONTENT_TYPE, GRPC_STATUS};

/// One request and the head of its reply, as far as they have come.
#[derive(Default)]
pub(crate) struct Exchange {
    /// Whether a service has taken the request to send it.
    sent: AtomicBool,
    /// The same for a channel, which queues the request first. Shared with the request's body.
    sent_by_channel: OnceLock<Arc<AtomicBool>>,
    /// The HTTP status of the reply; 0 until the head has arrived.
    status: AtomicU16,
    is_not_grpc: AtomicBool,
}

impl Exchange {
    /// Records that a service takes the request.
    pub(super) fn record_sent(&self) {
        self.sent.store(true, Ordering::Relaxed);
    }

    /// Returns the flag to be set when a connection of a channel sends the request.
    pub(super) fn sent_by_channel(&self) -> &Arc<AtomicBool> {
        self.sent_by_channel.get_or_init(Arc::default)
    }

    pub(crate) fn record_head(&self, status: StatusCode, headers: &HeaderMap) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
        let is_grpc = match headers.get(header::CONTENT_TYPE) {
            Some(kind) => kind.as_bytes().starts_with(GRPC_CONTENT_TYPE.as_bytes()),
            None => headers.contains_key(GRPC_STATUS),
        };
        self.is_not_grpc.store(!is_grpc, Ordering::Relaxed);
    }

    /// Returns whether a connection has sent the request. If not, the server can't have seen it.
    pub(crate) fn is_sent(&self) -> bool {
        self.sent_by_channel.get().map_or(&self.sent, AsRef::as_ref).load(Ordering::Relaxed)
    }

    /// Returns the HTTP status of a reply that isn't gRPC.
    pub(crate) fn non_grpc_status(&self) -> Option<u16> {
        self.is_not_grpc.load(Ordering::Relaxed).then(|| self.status.load(Ordering::Relaxed))
    }
}
