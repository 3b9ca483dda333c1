//! One fetch under way, in a task of its own: whoever waits for it may leave.

use std::sync::{Arc, Weak};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::Shared;
use super::state::Failure;
use crate::panics::catch_panic;
use crate::source::{FetchReason, FetchRequest};
use crate::{Error, Token, TokenSource};

pub(super) type Outcome = Result<Token, Error>;

/// What the cache keeps of the fetch under way.
pub(super) struct Flight {
    outcome: watch::Receiver<Option<Outcome>>,
    task: Option<AbortHandle>,
}

impl Flight {
    pub(super) fn outcome(&self) -> watch::Receiver<Option<Outcome>> {
        self.outcome.clone()
    }

    pub(super) fn set_task(&mut self, task: AbortHandle) {
        self.task = Some(task);
    }

    pub(super) fn abort(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// A fetch that is about to take off.
pub(super) struct Launch {
    source: Arc<dyn TokenSource>,
    reason: FetchReason,
    rejected: Option<Token>,
    deadline: Instant,
    landing: Landing,
}

impl Launch {
    pub(super) fn new(
        shared: &Arc<Shared>,
        id: u64,
        reason: FetchReason,
        rejected: Option<Token>,
        deadline: Instant,
    ) -> (Self, Flight) {
        let (outcome, receiver) = watch::channel(None);
        let landing = Landing { shared: Arc::downgrade(shared), id, outcome };
        let source = Arc::clone(&shared.source);
        let flight = Flight { outcome: receiver, task: None };
        (Self { source, reason, rejected, deadline, landing }, flight)
    }

    pub(super) fn id(&self) -> u64 {
        self.landing.id
    }

    /// Not to be called under the cache's lock: a runtime that is shutting down drops the task at
    /// once, and its landing takes the lock.
    pub(super) fn spawn(self, runtime: &Handle) -> AbortHandle {
        let span = tracing::debug_span!(parent: None, "fetch_token", reason = ?self.reason);
        runtime.spawn(self.run().instrument(span)).abort_handle()
    }

    async fn run(self) {
        let Self { source, reason, rejected, deadline, landing } = self;
        let fetched = {
            let request = FetchRequest::new(reason).with_deadline(deadline);
            let request = match &rejected {
                Some(token) => request.with_rejected(token),
                None => request,
            };
            // `fetch` itself is called inside, for it may panic as well.
            let fetch = async { timeout_at(deadline, source.fetch(request)).await };
            catch_panic(fetch).await
        };
        match fetched {
            Ok(Ok(outcome)) => landing.land(outcome, Failure::Told),
            Ok(Err(_)) => landing.land(Err(no_answer()), Failure::Told),
            Err(_panic) => landing.land(Err(panicked()), Failure::Panicked),
        }
    }
}

/// Brings the outcome home. Dropped without one, it says that the flight is lost, so that the next
/// caller starts another.
struct Landing {
    shared: Weak<Shared>,
    id: u64,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Landing {
    fn land(self, outcome: Outcome, failure: Failure) {
        if let Some(shared) = self.shared.upgrade() {
            let outcome = shared.land(self.id, outcome, failure);
            self.outcome.send_replace(outcome);
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.abandon(self.id);
        }
    }
}

fn no_answer() -> Error {
    Error::timeout("the source gave no token in time", None)
}

fn panicked() -> Error {
    Error::credentials("the source panicked", true)
}
