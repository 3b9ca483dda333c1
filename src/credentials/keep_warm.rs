//! Refreshes that wait for nobody's call.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::{Credentials, Want};

/// How often the clocks are compared anew: a machine that slept has less time left than its timers
/// know of.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// The least time between two refreshes.
const LEAST_WAIT: Duration = Duration::from_secs(1);

/// Keeps a token ready until dropped: see [`Credentials::keep_warm`].
#[derive(Debug)]
#[must_use = "dropping the guard ends the refreshes"]
pub struct KeepWarm {
    task: Option<AbortHandle>,
}

impl KeepWarm {
    pub(super) fn start(credentials: Credentials) -> Self {
        let task = match Handle::try_current() {
            Ok(runtime) => Some(runtime.spawn(keep_warm(credentials)).abort_handle()),
            Err(_) => {
                tracing::warn!("keep_warm was called outside of a tokio runtime: nothing is kept warm");
                None
            }
        };
        Self { task }
    }

    /// Whether the refreshes go on: not where the guard was made outside of a tokio runtime, nor
    /// after its runtime has gone.
    pub fn is_running(&self) -> bool {
        self.task.as_ref().is_some_and(|task| !task.is_finished())
    }
}

impl Drop for KeepWarm {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn keep_warm(credentials: Credentials) {
    let shared = &credentials.shared;
    loop {
        let (reason, due_in) = shared.read(|state, now| {
            let due_in = state.due(now).map(|due| due.saturating_sub(now.mono));
            (state.reason(), due_in.unwrap_or(Duration::MAX))
        });
        if due_in.is_zero() {
            // The state keeps the failure, and says when to try again.
            let _ = shared.wait(Want::Fetched(reason), Credentials::patience()).await;
        }
        sleep(due_in.clamp(LEAST_WAIT, LOOK_INTERVAL)).await;
    }
}
