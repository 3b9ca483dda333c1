//! What all clones of one handle share: the state under its lock, the snapshot in front of it, and
//! the wait for a flight.

use std::panic::catch_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::fetch::{Flight, Launch, Outcome};
use super::snapshot::Snapshot;
use super::state::{Failure, Phase, State};
use super::{Clock, Credentials, Now};
use crate::retry::random_fraction;
use crate::source::FetchReason;
use crate::{Error, Token, TokenSource};

/// How many flights one call waits for, should they get lost with their runtimes.
const MAX_FLIGHTS: u32 = 4;

pub(super) struct Shared {
    pub(super) source: Arc<dyn TokenSource>,
    /// Boxed, for most handles have none.
    pub(super) clock: Clock,
    /// The token, while there is nothing to do but hand it out.
    snapshot: ArcSwapOption<Snapshot>,
    /// Never held across an await, nor while a task is spawned.
    inner: Mutex<Inner>,
}

struct Inner {
    state: State,
    /// Counts the tokens that came, so that one can be named without being held.
    generation: u64,
    /// There exactly while the state says that a fetch is under way. Boxed, for most handles have
    /// none.
    flight: Option<Box<Flight>>,
}

/// What a caller takes for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Want<'a> {
    /// A token that is good, or the failure of a short while ago.
    Good,
    /// A token that is good; a transient failure is not handed out again.
    Anew,
    /// A good token that is not this one, which an API refused.
    OtherThan(&'a Token),
    /// The outcome of a fetch, whatever the cache holds.
    Fetched(FetchReason),
}

impl Want<'_> {
    /// A token that is due for replacement is better than an error, as long as it lives.
    fn instead(self, error: Error, alive: Option<&Token>) -> Result<Token, Error> {
        let alive = match self {
            Self::Good | Self::Anew => alive,
            Self::OtherThan(refused) => alive.filter(|token| !token.is_same(refused)),
            Self::Fetched(_) => None,
        };
        alive.cloned().ok_or(error)
    }
}

enum Step {
    Serve(Token),
    Fail(Error),
    /// The refused token is all there is for now.
    NoOther,
    /// Until then: past it the flight is lost.
    Wait(watch::Receiver<Option<Outcome>>, Instant),
}

enum Verdict {
    Done(Step),
    /// Hand the token out, and see to the next one.
    ServeAndFetch(Token),
    Fetch(FetchReason),
}

impl Shared {
    pub(super) fn new(source: Arc<dyn TokenSource>) -> Self {
        let state = State::new(source.cache_hints());
        Self {
            source,
            clock: Clock::start(),
            snapshot: ArcSwapOption::empty(),
            inner: Mutex::new(Inner { state, generation: 0, flight: None }),
        }
    }

    /// The token, if it may be handed out now, without a lock and with one clock read.
    #[inline]
    pub(super) fn fresh(&self) -> Option<Token> {
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_deref()?;
        snapshot.is_good(self.clock.nanos()).then(|| snapshot.token().clone())
    }

    /// Shows the token to `stamp` and says its generation, where [`fresh`](Self::fresh) would hand
    /// it out: without counting another reference to it.
    #[inline]
    pub(super) fn show_fresh(&self, stamp: impl FnOnce(&Token)) -> Option<u64> {
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_deref().filter(|snapshot| snapshot.is_good(self.clock.nanos()))?;
        stamp(snapshot.token());
        Some(snapshot.generation())
    }

    /// The same after a look at the wall clock.
    fn fresh_by_both_clocks(&self) -> Option<Token> {
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_deref()?;
        snapshot.is_good_by_both(self.clock.now()).then(|| snapshot.token().clone())
    }

    /// The token, if it may be handed out now; nothing is started.
    #[cold]
    pub(super) fn servable(&self) -> Option<Token> {
        self.fresh_by_both_clocks().or_else(|| self.read(|state, now| state.servable(now).cloned()))
    }

    /// The token, if it may be handed out now; a fetch is started where one is due.
    #[cold]
    pub(super) fn poll_slow(self: &Arc<Self>) -> Option<Token> {
        if let Some(token) = self.fresh_by_both_clocks() {
            return Some(token);
        }
        match self.step(Want::Good) {
            Ok(Step::Serve(token)) => Some(token),
            _ => None,
        }
    }

    /// Waits for what is wanted; `None` only for [`Want::OtherThan`]. Leaves at `deadline`, and
    /// leaves the flight to the others.
    pub(super) async fn wait(
        self: &Arc<Self>,
        want: Want<'_>,
        deadline: Instant,
    ) -> Result<Option<Token>, Error> {
        for _ in 0..MAX_FLIGHTS {
            let (mut outcome, lost_at) = match self.step(want)? {
                Step::Serve(token) => return Ok(Some(token)),
                Step::Fail(error) => return Err(error),
                Step::NoOther => return Ok(None),
                Step::Wait(outcome, lost_at) => (outcome, lost_at),
            };
            let landed = timeout_at(deadline.min(lost_at), outcome.wait_for(Option::is_some)).await;
            let landed = landed.map(|landed| landed.ok().and_then(|outcome| outcome.clone()));
            match (landed, want) {
                // It may have taken off before the refusal: then the next one is told.
                (Ok(Some(Ok(token))), Want::OtherThan(refused)) if token.is_same(refused) => {}
                (Ok(Some(Ok(token))), _) => return Ok(Some(token)),
                (Ok(Some(Err(error))), want) => return self.instead(error, want),
                (Err(_), want) if Instant::now() >= deadline => {
                    let before = self.read(|state, _| state.present_error().cloned());
                    return self.instead(Error::timeout("no token within the time allowed", before), want);
                }
                // The flight was lost with its runtime, or stands still with it.
                (Ok(None) | Err(_), _) => {}
            }
        }
        Err(Error::credentials("the tokio runtime that fetches the token goes away each time", true))
    }

    fn instead(&self, error: Error, want: Want<'_>) -> Result<Option<Token>, Error> {
        self.read(|state, now| want.instead(error, state.alive(now))).map(Some)
    }

    /// Looks at the state, and starts or joins a fetch where one is wanted.
    fn step(self: &Arc<Self>, want: Want<'_>) -> Result<Step, Error> {
        let mut inner = self.lock();
        let now = self.clock.now();
        if inner.state.lost_at().is_some_and(|lost_at| lost_at <= now.mono) {
            inner.land();
            inner.state.abandon();
            self.publish(&inner, now);
        }
        let (reason, token) = match inner.state.verdict(want, now) {
            Verdict::Done(step) => return Ok(step),
            Verdict::ServeAndFetch(token) => (inner.state.reason(), Some(token)),
            Verdict::Fetch(reason) => (reason, None),
        };
        if inner.flight.is_some()
            && let Some(token) = token
        {
            return Ok(Step::Serve(token));
        }
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            // Nothing can be fetched here, so the old one must do.
            Err(error) => return want.instead(error, inner.state.alive(now)).map(Step::Serve),
        };
        let launch = match inner.flight {
            Some(_) => None,
            None => Some(inner.take_off(self, reason, now)),
        };
        if launch.is_some() {
            self.publish(&inner, now);
        }
        let wait = inner.flight.as_ref().zip(inner.state.lost_at());
        let wait = wait.map(|(flight, lost_at)| Step::Wait(flight.outcome(), self.clock.instant(lost_at)));
        drop(inner);
        if let Some(launch) = launch {
            let id = launch.id();
            let task = launch.spawn(&runtime);
            let mut inner = self.lock();
            if inner.state.is_current(id)
                && let Some(flight) = &mut inner.flight
            {
                flight.set_task(task);
            }
        }
        match (token, wait) {
            (Some(token), _) => Ok(Step::Serve(token)),
            (None, Some(wait)) => Ok(wait),
            (None, None) => Err(Error::credentials("the flight got lost", true)),
        }
    }

    /// Takes in what a flight brought. `None` where the flight had been given up.
    pub(super) fn land(&self, id: u64, outcome: Outcome, failure: Failure) -> Option<Outcome> {
        let jitter = jitter();
        let mut inner = self.lock();
        if !inner.state.is_current(id) {
            return None;
        }
        let now = self.clock.now();
        let sent = inner.state.sent();
        let outcome = match outcome {
            Ok(token) => {
                inner.generation += 1;
                inner.state.succeed(now, token.clone(), jitter).map(|()| token)
            }
            Err(error) => {
                inner.state.fail(now, error.clone(), failure, jitter);
                Err(error)
            }
        };
        inner.land();
        self.publish(&inner, now);
        let due = inner.state.due(now);
        let still_alive = inner.state.alive(now).is_some();
        drop(inner);

        let took = sent.map(|sent| now.mono.saturating_sub(sent.mono));
        let next_in = due.map(|due| due.saturating_sub(now.mono));
        let info = self.source.info();
        let principal = info.principal();
        match &outcome {
            Ok(_) => tracing::debug!(principal, ?took, ?next_in, "token fetched"),
            Err(error) => {
                tracing::warn!(principal, ?took, ?next_in, still_alive, error = %error.in_one_line(), "no token fetched")
            }
        }
        Some(outcome)
    }

    /// The flight's task is gone, with no outcome.
    pub(super) fn abandon(&self, id: u64) {
        let mut inner = self.lock();
        if inner.state.is_current(id) {
            inner.land();
            inner.state.abandon();
            let now = self.clock.now();
            self.publish(&inner, now);
        }
    }

    /// An API refused `token`.
    pub(super) fn refuse(&self, token: &Token) {
        let mut inner = self.lock();
        if inner.state.refuse(token) {
            let now = self.clock.now();
            self.publish(&inner, now);
        }
    }

    /// As [`refuse`](Self::refuse), for the token of this generation.
    pub(super) fn refuse_generation(&self, generation: u64) {
        let current = {
            let inner = self.lock();
            (inner.generation == generation).then(|| inner.state.token().cloned()).flatten()
        };
        if let Some(token) = current {
            self.refuse(&token);
        }
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&State, Now) -> T) -> T {
        let inner = self.lock();
        look(&inner.state, self.clock.now())
    }

    /// To be called under the lock, after every change of the state.
    fn publish(&self, inner: &Inner, now: Now) {
        let offered = inner.state.offer(now).zip(inner.state.token());
        let snapshot = offered
            .map(|(offer, token)| Arc::new(Snapshot::new(token.clone(), inner.generation, offer, now)));
        self.snapshot.store(snapshot);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    /// Nobody is left to use what the flight would bring.
    fn drop(&mut self) {
        let inner = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = &inner.flight {
            flight.abort();
        }
    }
}

impl Inner {
    fn take_off(&mut self, shared: &Arc<Shared>, reason: FetchReason, now: Now) -> Launch {
        let rejected = (reason == FetchReason::Rejected).then(|| self.state.token().cloned()).flatten();
        let id = self.state.start(now, reason, Credentials::FETCH_TIMEOUT);
        let deadline = shared.clock.instant(now.mono.saturating_add(Credentials::FETCH_TIMEOUT));
        let (launch, flight) = Launch::new(shared, id, reason, rejected, deadline);
        self.flight = Some(Box::new(flight));
        launch
    }

    /// The flight is over, or is given up.
    fn land(&mut self) {
        if let Some(flight) = self.flight.take() {
            flight.abort();
        }
    }
}

impl State {
    fn verdict(&self, want: Want<'_>, now: Now) -> Verdict {
        let phase = self.classify(now);
        match want {
            Want::Fetched(FetchReason::Requested) if self.reason() == FetchReason::Rejected => {
                return Verdict::Fetch(FetchReason::Rejected);
            }
            Want::Fetched(reason) => return Verdict::Fetch(reason),
            Want::OtherThan(refused) if self.token().is_some_and(|token| token.is_same(refused)) => {
                return match self.is_replaceable(now) {
                    true => Verdict::Fetch(FetchReason::Rejected),
                    false => Verdict::Done(Step::NoOther),
                };
            }
            Want::OtherThan(_) | Want::Good | Want::Anew => {}
        }
        match (phase, self.alive(now)) {
            (Phase::Fresh | Phase::BackedOff, Some(token)) => Verdict::Done(Step::Serve(token.clone())),
            (Phase::Stale, Some(token)) => Verdict::ServeAndFetch(token.clone()),
            (Phase::BackedOff, None) => match self.last_error() {
                Some(error) if !(error.is_transient() && matches!(want, Want::Anew)) => {
                    Verdict::Done(Step::Fail(error.clone()))
                }
                _ => Verdict::Fetch(self.reason()),
            },
            _ => Verdict::Fetch(self.reason()),
        }
    }
}

/// The runtime that a fetch can be spawned on and waited for.
fn runtime() -> Result<Handle, Error> {
    let Ok(runtime) = Handle::try_current() else {
        return Err(Error::credentials(
            "no token is cached, and outside of a tokio runtime none can be fetched",
            false,
        ));
    };
    // tokio has no other way to ask: making a timer panics where they are not enabled.
    match catch_unwind(|| drop(sleep(Duration::ZERO))) {
        Ok(()) => Ok(runtime),
        Err(_) => {
            Err(Error::credentials("the tokio runtime has no timers: build it with `enable_time`", false))
        }
    }
}

fn jitter() -> f64 {
    #[cfg(test)]
    if let Some(fixed) = super::testing::jitter() {
        return fixed;
    }
    random_fraction()
}
