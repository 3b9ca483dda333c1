//! One connection of a client, and how it is ended.

use std::sync::Arc;

use tokio::sync::watch;

/// How the server ends a connection, from the gentlest way to the hardest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ConnectionEnd {
    /// An HTTP/2 GOAWAY, then a close after the last reply.
    Drain,
    /// An HTTP/2 GOAWAY, then a close.
    GoAway,
    /// A TCP reset.
    Reset,
}

/// One connection, identified by its number.
#[derive(Debug)]
pub(crate) struct Connection {
    number: u64,
    end: watch::Sender<Option<ConnectionEnd>>,
}

impl Connection {
    /// Returns the connection of that number; the first one is 1.
    pub(crate) fn new(number: u64) -> Arc<Self> {
        Arc::new(Self { number, end: watch::Sender::new(None) })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Asks the server to end the connection. Has no effect if a harder end was asked for before.
    pub(crate) fn end(&self, end: ConnectionEnd) {
        self.end.send_if_modified(|current| {
            let is_harder = Some(end) > *current;
            if is_harder {
                *current = Some(end);
            }
            is_harder
        });
    }

    /// Returns how the connection must end, if it must.
    pub(crate) fn requested_end(&self) -> Option<ConnectionEnd> {
        *self.end.borrow()
    }

    /// Waits until the connection must end, in a harder way than `known`.
    pub(crate) async fn ended(&self, known: Option<ConnectionEnd>) -> ConnectionEnd {
        let mut end = self.end.subscribe();
        match end.wait_for(|end| *end > known).await.map(|end| *end) {
            Ok(Some(end)) => end,
            // The sender lives as long as `self`, and `None` is less than everything.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}
