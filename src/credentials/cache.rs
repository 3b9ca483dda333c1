//! The cache that all clones of one handle share: it carries out what the state decides.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::clock::{Clock, TimeSource};
use super::deadline::{Deadline, FETCH_LOST_AFTER};
use super::failure::{Failure, warn_of_failure};
use super::fetch::{FetchGuard, FetchOwner, FetchResult, FetchTask, FetchWaiter, PendingFetch, Waited};
use super::fetch_queue::FetchQueue;
use super::instant::Now;
use super::registry::{Registered, Registration, SentToken};
use super::snapshot::Snapshot;
use super::state::{Decision, Demand, REPLACEMENT_WAIT, State};
use super::status::CacheStatus;
use crate::measurements::{RequestMeasurement, report_hits};
use crate::source::{FetchReason, FetchRequest};
use crate::timers::runtime_with_timers;
use crate::{Error, Token, TokenSource};

/// How many fetches one caller begins, if they are lost or return a rejected token.
const MAX_FETCHES: usize = 4;
/// How many fetches one caller waits for. Others may have begun them, on runtimes that end.
const MAX_WAITS: usize = 100;

pub(super) struct Cache {
    pub(super) source: Arc<dyn TokenSource>,
    pub(super) registration: Registration,
    clock: Clock,
    /// The queue in which fetches wait for their turns; `None` if they don't have to.
    queue: Option<Arc<FetchQueue>>,
    /// The token, as long as there is nothing to do but serve it.
    snapshot: ArcSwapOption<Snapshot>,
    /// Never held across an await, nor while code runs that isn't the cache's own: sources,
    /// subscribers and runtimes.
    inner: Mutex<Inner>,
}

struct Inner {
    state: State,
    /// The fetch that the state knows of. Boxed, since most handles have none.
    fetch: Option<Box<PendingFetch>>,
    /// What the source reported after the last fetch.
    identity_change: Option<Box<str>>,
}

/// What a caller gets at once.
enum Answer {
    Token(Token),
    /// There is no token other than the rejected one.
    NoOther,
    /// Nothing so far: there is a fetch to wait for.
    Wait(Wait),
}

/// A caller's wait for a fetch.
struct Wait {
    fetch: FetchWaiter,
    /// Whether the caller began the fetch.
    began: bool,
    /// If a live token is cached that the caller can use: until when the caller waits for a better one.
    patience: Option<Instant>,
}

impl Cache {
    pub(super) fn new(
        source: Arc<dyn TokenSource>,
        time: impl TimeSource + 'static,
        queue: Option<Arc<FetchQueue>>,
    ) -> Self {
        let state = State::new(source.cache_hints());
        Self {
            source,
            registration: Registration::default(),
            clock: Clock::new(time),
            queue,
            snapshot: ArcSwapOption::empty(),
            inner: Mutex::new(Inner { state, fetch: None, identity_change: None }),
        }
    }

    /// Returns the token if it is fresh. Takes no lock and reads one clock.
    #[inline]
    pub(super) fn fresh(&self) -> Option<Token> {
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_deref()?;
        snapshot.is_good(self.clock.mono_nanos()).then(|| snapshot.token().clone())
    }

    /// Shows the token to `stamp` and returns its generation if it is fresh. Does the same as
    /// [`fresh`](Self::fresh), without counting another reference to the token.
    #[inline]
    pub(super) fn show_fresh(&self, stamp: impl FnOnce(&Token)) -> Option<u64> {
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_deref()?;
        if !snapshot.is_good(self.clock.mono_nanos()) && !self.is_good_by_both_clocks(snapshot) {
            return None;
        }
        stamp(snapshot.token());
        Some(snapshot.generation())
    }

    fn fresh_by_both_clocks(&self) -> Option<Token> {
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_deref().filter(|snapshot| self.is_good_by_both_clocks(snapshot))?;
        Some(snapshot.token().clone())
    }

    /// Reads the wall clock too. While the token is fresh, that is needed once a second.
    #[cold]
    fn is_good_by_both_clocks(&self, snapshot: &Snapshot) -> bool {
        report_hits();
        snapshot.check_both_clocks(self.clock.now())
    }

    /// Returns the token if it may be served now. Begins no fetch.
    #[cold]
    pub(super) fn servable(&self) -> Option<Token> {
        self.fresh_by_both_clocks().or_else(|| self.read(|state, now| state.servable(now).cloned()))
    }

    /// Returns the token if it may be served now. Begins a fetch if one is due.
    #[cold]
    pub(super) fn poll(self: &Arc<Self>) -> Option<Token> {
        if let Some(token) = self.fresh_by_both_clocks() {
            return Some(token);
        }
        match self.answer(Demand::Token) {
            Ok(Answer::Token(token)) => Some(token),
            _ => None,
        }
    }

    /// Returns what a caller gets who can't wait: a live token, even if others wait for a better one.
    /// Begins a fetch if one is due.
    #[cold]
    pub(super) fn token_without_waiting(self: &Arc<Self>) -> Result<Token, Error> {
        match self.answer(Demand::Token)? {
            Answer::Token(token) => Ok(token),
            Answer::NoOther | Answer::Wait(_) => self.fall_back(
                Demand::Token,
                Error::credentials("no token is cached, and the caller can't wait for one", true),
            ),
        }
    }

    /// Waits for what is demanded, no longer than until `deadline`, and no longer than
    /// [`REPLACEMENT_WAIT`] while a live token is cached that the caller can use. The fetch goes on
    /// for others. Returns `None` only for [`Demand::OtherThan`] and [`Demand::KeepWarm`].
    pub(super) async fn wait(
        self: &Arc<Self>,
        demand: Demand<'_>,
        deadline: impl Into<Deadline>,
    ) -> Result<Option<Token>, Error> {
        let until = deadline.into();
        let patience_ends = Instant::now() + REPLACEMENT_WAIT;
        let mut began = 0;
        let mut measurement = RequestMeasurement::begin(!matches!(demand, Demand::KeepWarm));
        for _ in 0..MAX_WAITS {
            let wait = match self.answer(demand)? {
                Answer::Token(token) => return Ok(measurement.answered_at_once(token)),
                Answer::NoOther => return Ok(None),
                Answer::Wait(wait) => wait,
            };
            measurement.waits();
            began += usize::from(wait.began);
            let deadline = if wait.fetch.is_in_line() { until.in_line } else { until.at };
            let until = wait.patience.map_or(deadline, |end| end.min(patience_ends).min(deadline));
            match wait.fetch.wait(until).await {
                // The fetch may have begun before the rejection. The next one is told of it.
                Waited::Completed(Ok(token)) if demand.excludes(&token) => {}
                Waited::Completed(Ok(token)) => return Ok(Some(token)),
                Waited::Completed(Err(error)) => {
                    // If the source was replaced, the failure is that of what it had before.
                    if began == MAX_FETCHES || !self.is_source_replaced() {
                        return self.fall_back(demand, error).map(Some);
                    }
                }
                Waited::DeadlinePassed => match self.live(demand) {
                    Some(token) => return Ok(Some(token)),
                    None if until < deadline => {}
                    None => return Err(self.timeout()),
                },
                Waited::Lost => {}
            }
            if began == MAX_FETCHES {
                break;
            }
        }
        let error = "each tokio runtime that fetched the token was shut down or blocked";
        self.fall_back(demand, Error::credentials(error, true)).map(Some)
    }

    /// Takes in that an API rejected `token`.
    pub(super) fn reject(&self, token: &Token) {
        let mut inner = self.lock();
        if inner.state.reject(token) {
            self.publish(&inner, self.clock.now());
        }
        drop(inner);
        self.is_source_replaced();
    }

    /// Shows the state to `look`, which must not run foreign code.
    pub(super) fn read<T>(&self, look: impl FnOnce(&State, Now) -> T) -> T {
        let inner = self.lock();
        look(&inner.state, self.clock.now())
    }

    pub(super) fn status(&self) -> CacheStatus {
        let inner = self.lock();
        CacheStatus::new(&inner.state, self.clock.now(), inner.identity_change.as_deref())
    }

    /// Decides what a caller gets, and begins a fetch if one is needed.
    fn answer(self: &Arc<Self>, demand: Demand<'_>) -> Result<Answer, Error> {
        match self.answer_without_fetch(demand) {
            // What would be returned again is the failure of what the source had before.
            Some(Err(_) | Ok(Answer::NoOther)) if self.is_source_replaced() => {}
            Some(answer) => return answer,
            None => {}
        }
        match runtime_with_timers() {
            Ok(runtime) => self.answer_with_fetch(demand, &runtime),
            Err(error) => self.fall_back(demand, error).map(Answer::Token),
        }
    }

    /// Answers if no fetch is needed, neither a new one nor the one in progress.
    fn answer_without_fetch(&self, demand: Demand<'_>) -> Option<Result<Answer, Error>> {
        let inner = self.lock();
        let now = self.clock.now();
        match inner.state.decide(demand, now) {
            Decision::Serve(token) => {
                let token = token.clone();
                self.publish(&inner, now);
                Some(Ok(Answer::Token(token)))
            }
            Decision::Fail(error) => Some(Err(error.clone())),
            Decision::NoOther => Some(Ok(Answer::NoOther)),
            Decision::ServeAndFetch(..) | Decision::Fetch(_) | Decision::Join => None,
        }
    }

    /// Whether the source was replaced since its last failure, if no success came after that. The
    /// pauses after the failure end then.
    pub(super) fn is_source_replaced(&self) -> bool {
        if self.read(|state, _| state.present_error().is_none()) {
            return false;
        }
        // The source's code runs without the lock.
        let revision = self.source.revision();
        let mut inner = self.lock();
        let is_replaced = inner.state.source_is_at(revision);
        if is_replaced {
            self.publish(&inner, self.clock.now());
        }
        is_replaced
    }

    /// Decides again, since others may have acted in the meantime, and begins or joins a fetch.
    fn answer_with_fetch(self: &Arc<Self>, demand: Demand<'_>, runtime: &Handle) -> Result<Answer, Error> {
        let mut inner = self.lock();
        let now = self.clock.now();
        let (served, reason) = match inner.state.decide(demand, now) {
            Decision::Serve(token) => return Ok(Answer::Token(token.clone())),
            Decision::Fail(error) => return Err(error.clone()),
            Decision::NoOther => return Ok(Answer::NoOther),
            Decision::Join => return self.join(&inner, demand, now, false),
            Decision::ServeAndFetch(token, reason) => (Some(token.clone()), reason),
            Decision::Fetch(reason) => (None, reason),
        };
        let (task, lost) = self.begin_fetch(&mut inner, reason, now);
        let answer = match served {
            Some(token) => Ok(Answer::Token(token)),
            None => self.join(&inner, demand, now, true),
        };
        drop(inner);
        drop(lost);
        self.spawn(task, runtime);
        answer
    }

    fn join(&self, inner: &Inner, demand: Demand<'_>, now: Now, began: bool) -> Result<Answer, Error> {
        let fetch = inner.fetch.as_ref().zip(inner.state.fetch_is_lost_at());
        let fetch = fetch.map(|(fetch, lost_at)| fetch.waiter(self.clock.instant(lost_at)));
        let fetch = fetch.ok_or_else(|| Error::credentials("no fetch is in progress", true))?;
        let is_needed = !matches!(demand, Demand::KeepWarm);
        let fetch = if is_needed { fetch } else { fetch.without_need() };
        let patience = inner.state.patience(demand, now).map(|end| self.clock.instant(end));
        Ok(Answer::Wait(Wait { fetch, began, patience }))
    }

    /// Begins a fetch. Also returns the one that it replaces, if that is lost. To be dropped without
    /// the lock, because that ends a task.
    fn begin_fetch(
        self: &Arc<Self>,
        inner: &mut Inner,
        reason: FetchReason,
        now: Now,
    ) -> (FetchTask, Option<Box<PendingFetch>>) {
        let rejected = (reason == FetchReason::Rejected).then(|| inner.state.token().cloned()).flatten();
        let deadline = self.clock.instant(now.mono.saturating_add(FetchRequest::TIME_LIMIT));
        let owner: Weak<dyn FetchOwner> = Arc::downgrade(self) as _;
        let id = inner.state.begin_fetch(now, reason, FETCH_LOST_AFTER);
        let turn = self.queue.as_ref().map(FetchQueue::enter);
        let (guard, pending) = FetchGuard::new(owner, id, turn.clone());
        let lost = inner.fetch.replace(Box::new(pending));
        self.publish(inner, now);
        (FetchTask { source: Arc::clone(&self.source), reason, rejected, deadline, turn, guard }, lost)
    }

    fn spawn(&self, task: FetchTask, runtime: &Handle) {
        let id = task.guard.id();
        let handle = task.spawn(runtime);
        let mut inner = self.lock();
        if let Some(fetch) = inner.fetch.as_mut().filter(|fetch| fetch.id() == id) {
            fetch.set_task(handle);
        }
    }

    fn fall_back(&self, demand: Demand<'_>, error: Error) -> Result<Token, Error> {
        self.live(demand).ok_or(error)
    }

    /// Returns the token if it is live and the caller can use it.
    fn live(&self, demand: Demand<'_>) -> Option<Token> {
        self.read(|state, now| state.fall_back(demand, now).cloned())
    }

    fn timeout(&self) -> Error {
        let (turn, last) = {
            let inner = self.lock();
            let turn = inner.fetch.as_ref().and_then(|fetch| fetch.turn().cloned());
            (turn, inner.state.present_error().cloned())
        };
        if let Some(error) = turn.and_then(|turn| turn.too_late()) {
            return error;
        }
        Error::timeout("no token within the time allowed", last)
    }

    /// Publishes what readers may serve without the lock. To be called under the lock after each
    /// change of the state.
    fn publish(&self, inner: &Inner, now: Now) {
        let snapshot = inner.state.servable_until(now).map(|(token, until)| {
            Arc::new(Snapshot::new(token.clone(), inner.state.generation(), until, now))
        });
        self.snapshot.store(snapshot);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registered for Cache {
    fn take_rejection(&self, token: &SentToken) {
        match token {
            SentToken::Token(token) => self.reject(token),
            SentToken::Generation(sent) => {
                let current =
                    self.read(|state, _| state.token().filter(|_| state.generation() == *sent).cloned());
                if let Some(token) = current {
                    self.reject(&token);
                }
            }
        }
    }
}

impl FetchOwner for Cache {
    fn waits(&self, id: u64) {
        let mut inner = self.lock();
        let now = self.clock.now();
        inner.state.fetch_waits(id, now, FETCH_LOST_AFTER);
        self.publish(&inner, now);
    }

    fn starts(&self, id: u64, waited: Duration) -> Option<Instant> {
        let mut inner = self.lock();
        let now = self.clock.now();
        let is_in_progress = inner.state.fetch_starts(id, now, waited, FETCH_LOST_AFTER);
        self.publish(&inner, now);
        is_in_progress.then(|| self.clock.instant(now.mono.saturating_add(FetchRequest::TIME_LIMIT)))
    }

    fn complete(&self, id: u64, revision: u64, result: Result<Token, Failure>) -> Option<FetchResult> {
        let jitter = self.clock.jitter();
        let mut inner = self.lock();
        let now = self.clock.now();
        let took = inner.state.fetching_for(now);
        // Kept until the lock is released, like `result`: dropping a source's error runs its code.
        let _last_error = inner.state.last_error().cloned();
        let result = inner.state.complete(id, now, revision, &result, jitter)?;
        let fetch = inner.fetch.take();
        self.publish(&inner, now);
        let next_in = inner.state.next_fetch(now).map(|next| next.saturating_sub(now.mono));
        let still_alive = inner.state.is_live(now);
        drop(inner);

        drop(fetch);
        let info = self.source.info();
        if let Some(change) = info.identity_change() {
            self.lock().identity_change = Some(change.into());
        }
        let principal = info.principal();
        let took = took.as_ref().map(milliseconds);
        match &result {
            Ok(_) => tracing::debug!(principal, took, ?next_in, "token fetched"),
            Err(error) => warn_of_failure(error, principal, took, next_in, still_alive),
        }
        Some(result)
    }

    fn abandon(&self, id: u64) {
        let mut inner = self.lock();
        if inner.state.abandon(id) {
            let fetch = inner.fetch.take();
            self.publish(&inner, self.clock.now());
            drop(inner);
            drop(fetch);
        }
    }
}

fn milliseconds(duration: &Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
