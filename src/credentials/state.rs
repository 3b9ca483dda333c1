//! The cache's state machine: no clock, no runtime, no randomness of its own.

use std::time::{Duration, SystemTime};

use super::cached_token::Held;
use crate::source::CacheHints;
use crate::source::FetchReason;
use crate::{Error, Token};

/// The wait after a first failed refresh, while the old token lives; it doubles with each failure.
pub(super) const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// The wait that no back-off passes.
pub(super) const LAST_BACKOFF: Duration = Duration::from_secs(30);
/// For how long a transient failure is handed out again where there is no token.
pub(super) const TRANSIENT_REPLAY: Duration = Duration::from_secs(1);
/// For how long a permanent failure is handed out again where there is no token.
pub(super) const PERMANENT_REPLAY: Duration = Duration::from_secs(5);
/// The least time between two refreshes that refused tokens start: an API that refuses every token
/// must not cause a storm.
pub(super) const REFUSAL_INTERVAL: Duration = Duration::from_secs(30);
/// After this long beyond its deadline a flight is taken for lost: its runtime stands still.
pub(super) const OVERDUE: Duration = Duration::from_secs(1);

/// One instant on both clocks. The monotonic one counts from any fixed point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) mono: Duration,
    pub(crate) wall: SystemTime,
}

/// What the cache is worth at some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The token is good.
    Fresh,
    /// The token is good, and due for a refresh.
    Stale,
    /// The token has expired, is about to, or was refused: wait for a new one.
    Expired,
    /// Asked a short while ago, without use: make do with the token if it lives, else with the
    /// error.
    BackedOff,
    /// There is no token.
    Empty,
}

/// How a fetch failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The source said so, or gave no answer in time.
    Told,
    /// The source panicked, and said nothing: the next call asks again.
    Panicked,
}

/// How long a token may be handed out without another look at the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) mono: Duration,
    pub(super) wall: Option<SystemTime>,
}

/// Whether an API refused the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Refusal {
    #[default]
    None,
    /// It did, and no refresh has seen to it yet.
    Pending,
    /// It did, and the source gave the same token again: further refusals change nothing.
    Spent,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    id: u64,
    reason: FetchReason,
    sent: Now,
    /// The monotonic instant from which the flight is taken for lost.
    lost_at: Duration,
}

/// What the cache knows.
#[derive(Debug, Default)]
pub(super) struct State {
    hints: CacheHints,
    held: Option<Held>,
    refusal: Refusal,
    in_flight: Option<InFlight>,
    /// No fetch before this monotonic instant while the token lives.
    retry_at: Duration,
    /// No fetch before this monotonic instant without a token.
    replay_until: Duration,
    /// No fetch for a refused token before this monotonic instant.
    refusals_from: Duration,
    /// The last failure; later successes leave it.
    error: Option<Error>,
    /// Failures since the last success.
    failures: u32,
    counts: Counts,
    refreshed_at: Option<SystemTime>,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) fetches: u64,
    pub(super) failures: u64,
    pub(super) refusals: u64,
}

impl State {
    pub(super) fn new(hints: CacheHints) -> Self {
        Self { hints, ..Self::default() }
    }

    pub(super) fn classify(&self, now: Now) -> Phase {
        let Some(held) = &self.held else {
            return if now.mono < self.replay_until { Phase::BackedOff } else { Phase::Empty };
        };
        let left = held.left(now);
        if left.is_zero() {
            return if now.mono < self.replay_until { Phase::BackedOff } else { Phase::Expired };
        }
        let backed_off = now.mono < self.retry_at;
        if self.refusal == Refusal::Pending && self.refusal_acts(now) {
            return if backed_off { Phase::BackedOff } else { Phase::Expired };
        }
        match left {
            _ if left > held.stale_margin() => Phase::Fresh,
            _ if backed_off => Phase::BackedOff,
            _ if left > held.hard_margin() => Phase::Stale,
            _ => Phase::Expired,
        }
    }

    /// Whether a refused token is replaced now, and not only when the interval has passed.
    fn refusal_acts(&self, now: Now) -> bool {
        self.in_flight.is_some() || now.mono >= self.refusals_from
    }

    /// The token, if it has not expired.
    pub(super) fn alive(&self, now: Now) -> Option<&Token> {
        self.held.as_ref().filter(|held| held.is_alive(now)).map(Held::token)
    }

    /// The token that may be handed out without waiting.
    pub(super) fn servable(&self, now: Now) -> Option<&Token> {
        match self.classify(now) {
            Phase::Fresh | Phase::Stale | Phase::BackedOff => self.alive(now),
            Phase::Expired | Phase::Empty => None,
        }
    }

    /// The held token, dead or alive.
    pub(super) fn token(&self) -> Option<&Token> {
        self.held.as_ref().map(Held::token)
    }

    /// Until when the token may be handed out with nothing else to do; `None` is not at all.
    pub(super) fn offer(&self, now: Now) -> Option<Offer> {
        let held = self.held.as_ref().filter(|held| held.is_alive(now))?;
        let (margin, cap) = match (self.classify(now), self.in_flight) {
            (Phase::Fresh, _) if self.refusal == Refusal::Pending => {
                (held.stale_margin(), self.refusals_from)
            }
            (Phase::Fresh, _) => (held.stale_margin(), Duration::MAX),
            (Phase::Stale, Some(flight)) => (held.hard_margin(), flight.lost_at),
            (Phase::BackedOff, _) => (Duration::ZERO, self.retry_at),
            _ => return None,
        };
        let (mono, wall) = held.before_end(margin);
        Some(Offer { mono: mono.min(cap), wall })
    }

    /// Why a fetch that starts now is made.
    pub(super) fn reason(&self) -> FetchReason {
        match (&self.held, self.refusal) {
            (None, _) => FetchReason::Empty,
            (Some(_), Refusal::Pending) => FetchReason::Rejected,
            (Some(_), _) => FetchReason::Expiring,
        }
    }

    /// Whether a fetch is under way.
    pub(super) fn is_fetching(&self) -> bool {
        self.in_flight.is_some()
    }

    /// When the fetch under way began.
    pub(super) fn sent(&self) -> Option<Now> {
        self.in_flight.map(|flight| flight.sent)
    }

    /// When the fetch under way is taken for lost.
    pub(super) fn lost_at(&self) -> Option<Duration> {
        self.in_flight.map(|flight| flight.lost_at)
    }

    /// A fetch starts, which may take `timeout`; returns its number.
    pub(super) fn start(&mut self, now: Now, reason: FetchReason, timeout: Duration) -> u64 {
        self.counts.fetches += 1;
        let id = self.counts.fetches;
        let lost_at = now.mono.saturating_add(timeout).saturating_add(OVERDUE);
        self.in_flight = Some(InFlight { id, reason, sent: now, lost_at });
        if reason == FetchReason::Rejected {
            self.refusals_from = now.mono.saturating_add(REFUSAL_INTERVAL);
        }
        id
    }

    /// Whether `id` is the fetch under way.
    pub(super) fn is_current(&self, id: u64) -> bool {
        self.in_flight.is_some_and(|flight| flight.id == id)
    }

    /// The fetch under way came to nothing, not even a failure: its task is gone.
    pub(super) fn abandon(&mut self) {
        self.in_flight = None;
    }

    /// The fetch under way gave a token. It fails all the same if the token has expired.
    pub(super) fn succeed(&mut self, now: Now, token: Token, jitter: f64) -> Result<(), Error> {
        let Some(flight) = self.in_flight else { return Ok(()) };
        let taken = Held::new(token, flight.sent, self.hints, jitter);
        let taken = taken.and_then(|held| match held.is_alive(now) {
            true => Ok(held),
            false => Err(Error::invalid_reply("the token expired before it arrived")),
        });
        let new = match taken {
            Ok(new) => new,
            Err(error) => {
                self.fail(now, error.clone(), Failure::Told, jitter);
                return Err(error);
            }
        };
        self.in_flight = None;
        self.failures = 0;
        self.retry_at = Duration::ZERO;
        self.replay_until = Duration::ZERO;
        self.refreshed_at = Some(now.wall);
        match &mut self.held {
            Some(held) if held.token().is_same(new.token()) => {
                held.came_again(&new);
                let told = flight.reason == FetchReason::Rejected;
                if told && self.refusal == Refusal::Pending {
                    self.refusal = Refusal::Spent;
                }
                // Where the source did not know of a refusal, it is asked again at once. Else each
                // further try comes when half of what is left has gone.
                if self.refusal != Refusal::Pending {
                    self.retry_at = now.mono.saturating_add(FIRST_BACKOFF.max(held.left(now) / 2));
                }
            }
            held => {
                *held = Some(new);
                self.refusal = Refusal::None;
            }
        }
        Ok(())
    }

    /// The fetch under way failed. The token, if there is one, stays.
    pub(super) fn fail(&mut self, now: Now, error: Error, failure: Failure, jitter: f64) {
        let flight = self.in_flight.take();
        // Between a half and the whole.
        let jittered = |wait: Duration| wait.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0);

        self.replay_until = match failure {
            Failure::Panicked => now.mono,
            Failure::Told if error.is_transient() => now.mono.saturating_add(jittered(TRANSIENT_REPLAY)),
            Failure::Told => now.mono.saturating_add(jittered(PERMANENT_REPLAY)),
        };
        let doubled = FIRST_BACKOFF.saturating_mul(1 << self.failures.min(10));
        let mut wait = jittered(doubled.min(LAST_BACKOFF));
        if let Some(held) = &self.held {
            // Nobody has to wait before the hard threshold, so that is a good moment to try.
            let untroubled = held.left(now).saturating_sub(held.hard_margin());
            if !untroubled.is_zero() {
                wait = wait.min(untroubled);
            }
        }
        self.retry_at = now.mono.saturating_add(wait);
        if flight.is_some_and(|flight| flight.reason == FetchReason::Rejected) {
            // The refusal has had no refresh yet: the retries after a failure are no new ones.
            self.refusals_from = self.retry_at;
        }
        self.failures = self.failures.saturating_add(1);
        self.counts.failures += 1;
        self.error = Some(error);
    }

    /// An API refused `token`. Whether that changed anything: only once for each token.
    pub(super) fn refuse(&mut self, token: &Token) -> bool {
        let held = self.held.as_ref().is_some_and(|held| held.token().is_same(token));
        let acts = held && self.refusal == Refusal::None;
        if acts {
            self.refusal = Refusal::Pending;
            self.counts.refusals += 1;
        }
        acts
    }

    /// Whether a refused token waits for a refresh that may start now, or is under way.
    pub(super) fn is_replaceable(&self, now: Now) -> bool {
        let may_start = now.mono >= self.refusals_from.max(self.retry_at);
        self.refusal == Refusal::Pending && (self.in_flight.is_some() || may_start)
    }

    /// When, on the monotonic clock, a fetch falls due; `None` is never.
    pub(super) fn due(&self, now: Now) -> Option<Duration> {
        let Some(held) = self.held.as_ref().filter(|held| held.is_alive(now)) else {
            return Some(self.replay_until.max(self.retry_at));
        };
        if self.refusal == Refusal::Pending {
            return Some(self.refusals_from.max(self.retry_at));
        }
        match held.left(now) {
            Duration::MAX => None,
            left => {
                let stale_at = now.mono.saturating_add(left.saturating_sub(held.stale_margin()));
                Some(stale_at.max(self.retry_at))
            }
        }
    }

    /// The last failure, if no success has come since.
    pub(super) fn present_error(&self) -> Option<&Error> {
        self.error.as_ref().filter(|_| self.failures > 0)
    }

    pub(super) fn last_error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    pub(super) fn refreshed_at(&self) -> Option<SystemTime> {
        self.refreshed_at
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }
}

#[cfg(test)]
mod tests;
