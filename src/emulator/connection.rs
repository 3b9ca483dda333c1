//! One connection of a client, and how a fault ends it.

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

/// How a fault ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionEnd {
    /// A TCP reset.
    Reset,
    /// An HTTP/2 GOAWAY, then a close.
    GoAway,
}

/// One connection, identified by its number.
#[derive(Debug)]
pub(crate) struct Connection {
    number: u64,
    end: OnceLock<ConnectionEnd>,
    ended: Notify,
}

impl Connection {
    /// Returns the connection of that number; the first one is 1.
    pub(crate) fn new(number: u64) -> Arc<Self> {
        Arc::new(Self { number, end: OnceLock::new(), ended: Notify::new() })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Asks the server to end the connection. The first request decides how.
    pub(crate) fn end(&self, end: ConnectionEnd) {
        let _ = self.end.set(end);
        self.ended.notify_one();
    }

    /// Returns how the connection must end, if a fault asked for its end.
    pub(crate) fn requested_end(&self) -> Option<ConnectionEnd> {
        self.end.get().copied()
    }

    /// Waits until a fault asks for the end of the connection.
    pub(crate) async fn ended(&self) -> ConnectionEnd {
        loop {
            if let Some(end) = self.requested_end() {
                return end;
            }
            self.ended.notified().await;
        }
    }
}
