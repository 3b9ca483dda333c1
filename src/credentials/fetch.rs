//! One fetch in a task of its own, so that each caller that waits for it can stop waiting.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

use super::failure::Failure;
use super::fetch_queue::{Slot, Turn, Wanted};
use crate::measurements::FetchMeasurement;
use crate::panics::catch_panic;
use crate::source::{FetchReason, FetchRequest};
use crate::{Error, Token, TokenSource};

/// A fetch that waits for its turn says this often that it isn't lost.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// What all who wait for one fetch get.
pub(super) type FetchResult = Result<Token, Error>;

/// Begins fetches and takes in their results.
pub(super) trait FetchOwner: Send + Sync {
    /// Takes in that fetch `id` still waits for its turn.
    fn waits(&self, id: u64);

    /// Takes in that the turn of fetch `id` has come, which it waited for. Returns the fetch's
    /// deadline; `None` if the fetch was given up.
    fn starts(&self, id: u64, waited: Duration) -> Option<Instant>;

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
    turn: Option<Arc<Turn>>,
    task: Option<AbortHandle>,
}

impl PendingFetch {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Returns a wait for the result of the fetch, which is lost at this instant.
    pub(super) fn waiter(&self, lost_at: Instant) -> FetchWaiter {
        FetchWaiter { result: self.result.clone(), lost_at, turn: self.turn.clone() }
    }

    /// The place in the line, if the fetch has one.
    pub(super) fn turn(&self) -> Option<&Arc<Turn>> {
        self.turn.as_ref()
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
        if let Some(turn) = &self.turn {
            // If the fetch runs, its slot is free when its task has ended.
            turn.leave_line();
        }
    }
}

/// A fetch in progress, as one caller sees it.
pub(super) struct FetchWaiter {
    result: watch::Receiver<Option<FetchResult>>,
    lost_at: Instant,
    turn: Option<Arc<Turn>>,
}

/// How a caller's wait for a fetch ended.
pub(super) enum Waited {
    Completed(FetchResult),
    /// The fetch's runtime is gone or blocked, so no result will come.
    Lost,
    DeadlinePassed,
}

impl FetchWaiter {
    /// Whether the fetch has, or had, to wait for its turn.
    pub(super) fn is_in_line(&self) -> bool {
        self.turn.is_some()
    }

    /// The same wait, for a caller that needs no token now: the fetch doesn't come earlier for it.
    pub(super) fn without_need(self) -> Self {
        Self { turn: None, ..self }
    }

    /// Waits for the result until `deadline`. The lock of the cache must not be held: it may wake
    /// fetches whose turn it becomes.
    pub(super) async fn wait(mut self, deadline: Instant) -> Waited {
        let _wanted: Option<Wanted> = self.turn.take().map(|turn| turn.want());
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
    /// The place in the line, if the fetch has to wait for its turn. The deadline counts from then.
    pub(super) turn: Option<Arc<Turn>>,
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
        let Self { source, reason, rejected, mut deadline, turn, guard } = self;
        let began = Instant::now();
        let mut measurement = FetchMeasurement::begin(reason, turn.is_some());
        let mut slot = None;
        if let Some(turn) = turn {
            slot = Some(guard.wait_for_slot(&turn).await);
            let waited = began.elapsed();
            measurement.turn_came(waited);
            match guard.starts(waited) {
                Some(its) => deadline = its,
                None => return,
            }
        }
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
        drop(slot);
        guard.complete(revision, result, measurement);
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
    pub(super) fn new(owner: Weak<dyn FetchOwner>, id: u64, turn: Option<Arc<Turn>>) -> (Self, PendingFetch) {
        let (sender, receiver) = watch::channel(None);
        let pending = PendingFetch { id, result: receiver, turn, task: None };
        (Self { owner, id, result: sender }, pending)
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Waits for the turn of the fetch.
    async fn wait_for_slot(&self, turn: &Arc<Turn>) -> Slot {
        loop {
            if let Ok(slot) = timeout(SIGN_OF_LIFE, turn.taken()).await {
                return slot;
            }
            if let Some(owner) = self.owner.upgrade() {
                owner.waits(self.id);
            }
        }
    }

    /// Returns the deadline of the fetch, which starts now; `None` if it was given up.
    fn starts(&self, waited: Duration) -> Option<Instant> {
        self.owner.upgrade()?.starts(self.id, waited)
    }

    fn complete(self, revision: u64, result: Result<Token, Failure>, measurement: FetchMeasurement) {
        if let Some(owner) = self.owner.upgrade() {
            let result = owner.complete(self.id, revision, result);
            if let Some(result) = &result {
                measurement.end(result.as_ref().err());
            }
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
