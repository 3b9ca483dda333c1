//! One fetch in a task of its own, so that each caller that waits for it can stop waiting.

use std::pin::pin;
use std::sync::{Arc, Weak};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::failure::Failure;
use crate::panics::catch_panic;
use crate::source::{FetchReason, FetchRequest};
use crate::{Error, Token, TokenSource};

/// What all who wait for one fetch get.
pub(super) type FetchResult = Result<Token, Error>;

/// Begins fetches and takes in their results.
pub(super) trait FetchOwner: Send + Sync {
    /// Takes in the result of fetch `id`, before which the source had this revision. Returns what
    /// those who wait for it get; `None` if the fetch was given up.
    fn complete(&self, id: u64, revision: u64, result: Result<Token, Failure>) -> Option<FetchResult>;

    /// Takes in that the task of fetch `id` ended without a result.
    fn abandon(&self, id: u64);
}

/// A fetch in progress, as the cache sees it. Dropping it aborts the task.
pub(super) struct PendingFetch {
    id: u64,
    result: watch::Receiver<Option<FetchResult>>,
    lost_at: Instant,
    task: Option<AbortHandle>,
}

impl PendingFetch {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn waiter(&self) -> FetchWaiter {
        FetchWaiter { result: self.result.clone(), lost_at: self.lost_at }
    }

    pub(super) fn set_task(&mut self, task: AbortHandle) {
        self.task = Some(task);
    }
}

impl Drop for PendingFetch {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// A fetch in progress, as one caller sees it.
pub(super) struct FetchWaiter {
    result: watch::Receiver<Option<FetchResult>>,
    lost_at: Instant,
}

/// How a caller's wait for a fetch ended.
pub(super) enum Waited {
    Completed(FetchResult),
    /// The fetch's runtime is gone or blocked, so no result will come.
    Lost,
    DeadlinePassed,
}

impl FetchWaiter {
    /// Waits for the result until `deadline`.
    pub(super) async fn wait(mut self, deadline: Instant) -> Waited {
        let result = self.result.wait_for(Option::is_some);
        match timeout_at(deadline.min(self.lost_at), result).await {
            Ok(result) => match result.ok().and_then(|result| result.clone()) {
                Some(result) => Waited::Completed(result),
                None => Waited::Lost,
            },
            Err(_) if Instant::now() >= deadline => Waited::DeadlinePassed,
            Err(_) => Waited::Lost,
        }
    }
}

/// A fetch that is ready to be spawned.
pub(super) struct FetchTask {
    pub(super) source: Arc<dyn TokenSource>,
    pub(super) reason: FetchReason,
    /// The token to be replaced, if an API rejected it.
    pub(super) rejected: Option<Token>,
    pub(super) deadline: Instant,
    pub(super) guard: FetchGuard,
}

impl FetchTask {
    /// Spawns the fetch. The cache's lock must not be held: a runtime that is shutting down drops
    /// the task at once, and its guard takes the lock.
    pub(super) fn spawn(self, runtime: &Handle) -> AbortHandle {
        let span = tracing::debug_span!(parent: None, "fetch_token", reason = ?self.reason);
        runtime.spawn(self.run().instrument(span)).abort_handle()
    }

    async fn run(self) {
        let Self { source, reason, rejected, deadline, guard } = self;
        let request = FetchRequest::new(reason).with_deadline(deadline);
        let request = match &rejected {
            Some(token) => request.with_rejected(token),
            None => request,
        };
        let mut revision = 0;
        let fetched = {
            // The source is called inside the future, since the calls themselves can panic too.
            let fetch = pin!(async {
                revision = source.revision();
                timeout_at(deadline, source.fetch(request)).await
            });
            catch_panic(fetch).await
        };
        let result = match fetched {
            Ok(Ok(result)) => result.map_err(Failure::Reported),
            Ok(Err(_)) => Err(Failure::TimedOut),
            // The panic's message may contain a secret.
            Err(_) => Err(Failure::Panicked),
        };
        guard.complete(revision, result);
    }
}

/// Delivers the result of a fetch. If it is dropped without one, the fetch is abandoned, and the
/// next caller begins another.
pub(super) struct FetchGuard {
    owner: Weak<dyn FetchOwner>,
    id: u64,
    result: watch::Sender<Option<FetchResult>>,
}

impl FetchGuard {
    pub(super) fn new(owner: Weak<dyn FetchOwner>, id: u64, lost_at: Instant) -> (Self, PendingFetch) {
        let (sender, receiver) = watch::channel(None);
        let pending = PendingFetch { id, result: receiver, lost_at, task: None };
        (Self { owner, id, result: sender }, pending)
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    fn complete(self, revision: u64, result: Result<Token, Failure>) {
        if let Some(owner) = self.owner.upgrade() {
            let result = owner.complete(self.id, revision, result);
            self.result.send_replace(result);
        }
    }
}

impl Drop for FetchGuard {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.upgrade() {
            owner.abandon(self.id);
        }
    }
}
