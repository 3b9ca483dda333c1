//! Refreshes that no call asks for.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::cache::Cache;
use super::deadline::Deadline;
use super::state::Demand;
use crate::timers::runtime_with_timers;

/// How often the clocks are read again. After a suspension of the machine, less time is left than
/// a timer that was set before knows.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// The least time between two refreshes.
const MIN_WAIT: Duration = Duration::from_secs(1);

/// Keeps a token cached until it is dropped: see
/// [`Credentials::keep_warm`](crate::Credentials::keep_warm).
///
/// ```
/// use gcp_iam_credentials::{Credentials, Token};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let credentials = Credentials::from_fn(|| async { Token::new("t", None) });
/// let guard = credentials.keep_warm();
/// assert!(guard.is_running());
/// drop(guard); // Ends the refreshes. The cached token stays.
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping the guard ends the refreshes"]
pub struct KeepWarm {
    task: Option<AbortHandle>,
}

impl KeepWarm {
    pub(super) fn start(cache: Arc<Cache>) -> Self {
        let task = match runtime_with_timers() {
            Ok(runtime) => Some(runtime.spawn(keep_warm(cache)).abort_handle()),
            Err(_) => {
                tracing::warn!("`keep_warm` needs a tokio runtime with timers, so it does nothing");
                None
            }
        };
        Self { task }
    }

    /// Returns whether the refreshes go on.
    ///
    /// They don't if the guard was made outside of a tokio runtime with timers, or if its runtime
    /// was shut down.
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

async fn keep_warm(cache: Arc<Cache>) {
    loop {
        let wait = cache
            .read(|state, now| state.next_unrequested_fetch(now).map(|next| next.saturating_sub(now.mono)));
        let wait = wait.unwrap_or(Duration::MAX);
        if wait.is_zero() {
            // The state keeps the failure, and knows when to try again.
            let _ = cache.wait(Demand::KeepWarm, Deadline::by_default()).await;
        }
        sleep(wait.clamp(MIN_WAIT, CHECK_INTERVAL)).await;
    }
}
