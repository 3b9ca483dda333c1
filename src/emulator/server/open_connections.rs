//! The connections that are open.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};

use crate::emulator::connection::{Connection, ConnectionEnd};

/// The connections that are open, with the task of each.
#[derive(Debug, Default)]
pub(super) struct OpenConnections {
    tasks: JoinSet<()>,
    by_task: HashMap<Id, Arc<Connection>>,
}

impl OpenConnections {
    /// Adds a connection, and runs the future that serves it.
    pub(super) fn add(
        &mut self,
        connection: Arc<Connection>,
        served: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = self.tasks.spawn(served);
        self.by_task.insert(task.id(), connection);
    }

    /// Waits until a connection has closed, and removes it. Waits forever if none is open.
    pub(super) async fn closed(&mut self) {
        let task = match self.tasks.join_next_with_id().await {
            Some(Ok((task, ()))) => task,
            // The panic of a task has already been printed. It ends one connection.
            Some(Err(error)) => error.id(),
            None => return std::future::pending().await,
        };
        self.by_task.remove(&task);
    }

    /// Lets every connection send its last replies and close. Returns when all have closed, or after
    /// `patience`.
    pub(super) async fn drain(mut self, patience: Duration) {
        for connection in self.by_task.values() {
            connection.end(ConnectionEnd::Drain);
        }
        let all_closed = async {
            while !self.tasks.is_empty() {
                self.closed().await;
            }
        };
        // The connections that are left end with the runtime.
        let _ = tokio::time::timeout(patience, all_closed).await;
    }
}
