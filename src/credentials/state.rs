//! What the cache decides: a pure function of what it knows, what a caller asks, and the time.
//!
//! [`State::decide`] is the whole decision. Everything else that depends on time is derived from
//! it: how long a token may be served without asking again, and when the next fetch is due.
//! Nothing here reads a clock, draws jitter or waits; `cache.rs` carries the decisions out.

mod events;
mod rejections;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

pub(super) use self::events::REPLACEMENT_WAIT;
use self::rejections::{NO_REJECTIONS, Rejections};
use super::cached_token::CachedToken;
use super::instant::{Limit, Now};
use crate::source::{CacheHints, FetchReason};
use crate::{Error, Token};

/// What a caller asks of the cache.
#[derive(Clone, Copy, Debug)]
pub(super) enum Demand<'a> {
    /// A good token, or else the last failure if it is recent.
    Token,
    /// The same for a caller that retries by itself: a transient failure isn't replayed to it.
    TokenForRetry,
    /// A good token other than this one, which an API rejected.
    OtherThan(&'a Token),
    /// The result of a fetch, whatever is cached.
    Refresh,
    /// The result of the fetch that has become due, for a task that keeps the token warm.
    KeepWarm,
}

impl Demand<'_> {
    /// Whether the caller can't use this token.
    pub(super) fn excludes(self, token: &Token) -> bool {
        matches!(self, Self::OtherThan(rejected) if token.is_same(rejected))
    }
}

/// What the cache does for a caller.
#[derive(Clone, Copy, Debug)]
pub(super) enum Decision<'a> {
    /// Serves the token.
    Serve(&'a Token),
    /// Serves the token and begins a fetch in the background.
    ServeAndFetch(&'a Token, FetchReason),
    /// Begins a fetch and waits for its result.
    Fetch(FetchReason),
    /// Waits for the result of the fetch in progress.
    Join,
    /// Fails with the last fetch's error.
    Fail(&'a Error),
    /// Says that there is no token other than the rejected one, or that no refresh is due.
    NoOther,
}

/// What the cached token is good for at some instant.
#[derive(Clone, Copy, Debug)]
enum Phase<'a> {
    /// The token is good.
    Fresh(&'a Token),
    /// The token is good and due for replacement.
    Stale(&'a Token),
    /// The token is live, but it ends soon or was rejected: a caller waits for another one, but not
    /// for long.
    Doubtful(&'a Token),
    /// The token has ended: a caller waits for another one.
    Expired,
    /// A replacement is due, but the source was asked a short while ago. The token is served if it
    /// is live, else the failure is.
    BackedOff(Option<&'a Token>),
    /// There has been no token so far.
    Empty,
}

/// The fetch in progress. Its instants are on the monotonic clock.
#[derive(Clone, Copy, Debug)]
struct Fetch {
    id: u64,
    reason: FetchReason,
    began: Now,
    /// From then on, callers that wait get a live token instead of the fetch's result.
    overdue_at: Duration,
    /// From then on, the fetch is lost: no result will come.
    lost_at: Duration,
    /// Whether so many fetches were due together that this one had to wait for its turn.
    was_in_crowd: bool,
}

/// What the cache knows. All instants are on the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct State {
    hints: CacheHints,
    cached: Option<CachedToken>,
    /// Counts the different tokens that arrived, so that one can be named without a reference to it.
    generation: u64,
    // What most caches don't have most of the time is in boxes: there may be 100,000 of them.
    /// `None` before the first rejection.
    rejections: Option<Box<Rejections>>,
    fetch: Option<Box<Fetch>>,
    /// `None` before the first failure.
    failures: Option<Box<Failures>>,
    refreshed_at: Option<SystemTime>,
    counts: Counts,
}

/// What is known about failed fetches.
#[derive(Debug, Default)]
struct Failures {
    /// While a token is live, no fetch begins before this.
    retry_at: Duration,
    /// While there is no token, no fetch begins before this.
    replay_until: Duration,
    /// The last failure. A later success doesn't clear it.
    last_error: Option<Error>,
    /// The number of failures since the last success.
    in_a_row: u32,
    /// The source's revision before the fetch that failed last.
    revision: u64,
}

static NO_FAILURES: Failures = Failures {
    retry_at: Duration::ZERO,
    replay_until: Duration::ZERO,
    last_error: None,
    in_a_row: 0,
    revision: 0,
};

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) fetches: u64,
    pub(super) failures: u64,
    pub(super) invalidations: u64,
}

/// The decision, and what is derived from it.
impl State {
    pub(super) fn new(hints: CacheHints) -> Self {
        Self { hints, ..Self::default() }
    }

    /// Decides what a caller gets now.
    pub(super) fn decide(&self, demand: Demand<'_>, now: Now) -> Decision<'_> {
        let reason = self.fetch_reason(demand);
        let fetch = if self.is_fetching(now) { Decision::Join } else { Decision::Fetch(reason) };

        match (demand, self.phase(now)) {
            // An explicit refresh bypasses the cached token and every pause. Nobody waits for a fetch
            // that keeps the token warm, so it bypasses nothing.
            (Demand::KeepWarm, _) if !self.is_unrequested_fetch_due(now) => Decision::NoOther,
            (Demand::Refresh | Demand::KeepWarm, _) => fetch,

            // A caller whose token was rejected waits only if a fetch can bring another one.
            (Demand::OtherThan(token), phase) if self.is_live(now) && self.is_cached(token) => match phase {
                Phase::Stale(_) | Phase::Doubtful(_) => fetch,
                _ if self.is_fetching(now) => fetch,
                _ => Decision::NoOther,
            },

            // A live token is served: while it is fresh, while one refresh runs, while the source
            // gets a pause, and if the fetch of a better one takes too long.
            (_, Phase::Fresh(token) | Phase::BackedOff(Some(token))) => Decision::Serve(token),
            (_, Phase::Stale(token)) if self.is_fetching(now) => Decision::Serve(token),
            (_, Phase::Stale(token)) => Decision::ServeAndFetch(token, reason),
            (_, Phase::Doubtful(token)) if self.is_overdue(now) => Decision::Serve(token),

            // Without a token, a recent failure is replayed.
            (_, Phase::BackedOff(None)) => self.replay(demand).map_or(fetch, Decision::Fail),

            (_, Phase::Doubtful(_) | Phase::Expired | Phase::Empty) => fetch,
        }
    }

    fn phase(&self, now: Now) -> Phase<'_> {
        let Some(cached) = self.live(now) else {
            return match self.cached {
                _ if now.mono < self.failures().replay_until => Phase::BackedOff(None),
                Some(_) => Phase::Expired,
                None => Phase::Empty,
            };
        };
        let (token, left) = (cached.token(), cached.left(now));
        let is_rejected = self.rejections().is_due(now.mono, self.is_fetching(now));
        match is_rejected || left <= cached.hard_margin() {
            false if left > cached.stale_margin() => Phase::Fresh(token),
            _ if now.mono < self.failures().retry_at => Phase::BackedOff(Some(token)),
            false => Phase::Stale(token),
            true => Phase::Doubtful(token),
        }
    }

    fn replay(&self, demand: Demand<'_>) -> Option<&Error> {
        let retries = matches!(demand, Demand::TokenForRetry);
        self.last_error().filter(|error| !(retries && error.is_transient()))
    }

    /// Returns what a caller gets whose fetch failed or takes too long: a live token is better than
    /// an error.
    pub(super) fn fall_back(&self, demand: Demand<'_>, now: Now) -> Option<&Token> {
        match demand {
            Demand::Refresh | Demand::KeepWarm => None,
            _ => self.live(now).map(CachedToken::token).filter(|token| !demand.excludes(token)),
        }
    }

    /// Returns until when a caller waits for the fetch in progress before it falls back to a live
    /// token, half of whose remaining life is over then at most; `None` if there is none for it.
    pub(super) fn patience(&self, demand: Demand<'_>, now: Now) -> Option<Duration> {
        let fetch = self.fall_back(demand, now).and(self.fetch.as_deref())?;
        let left = self.live(now)?.left(now);
        Some(fetch.overdue_at.min(now.mono.saturating_add(left / 2)))
    }

    /// Returns the token that may be served without waiting.
    pub(super) fn servable(&self, now: Now) -> Option<&Token> {
        match self.decide(Demand::Token, now) {
            Decision::Serve(token) | Decision::ServeAndFetch(token, _) => Some(token),
            _ => None,
        }
    }

    /// Returns the token that may be served with nothing else to do, and until when.
    pub(super) fn servable_until(&self, now: Now) -> Option<(&Token, Limit)> {
        match self.decide(Demand::Token, now) {
            Decision::Serve(token) => Some((token, self.next_limit(now))),
            _ => None,
        }
    }

    /// Returns the earliest time at which a use needs a fetch; `None` is never.
    pub(super) fn next_fetch(&self, now: Now) -> Option<Duration> {
        let needs_fetch = |at| !matches!(self.phase(at), Phase::Fresh(_) | Phase::BackedOff(_));
        let mut changes = std::iter::successors(Some(now), |&at| at.at(self.next_limit(at)));
        changes.find(|&at| needs_fetch(at)).map(|at| at.mono)
    }

    /// The same for a task that keeps the token warm. No caller waits for that fetch, so it backs
    /// off even if there is no token.
    pub(super) fn next_unrequested_fetch(&self, now: Now) -> Option<Duration> {
        self.next_fetch(now).map(|next| next.max(self.failures().retry_at))
    }

    fn is_unrequested_fetch_due(&self, now: Now) -> bool {
        self.next_unrequested_fetch(now).is_some_and(|next| next <= now.mono)
    }

    /// Until when a decision stays the same if nothing happens: on each clock, the next instant
    /// that [`decide`](Self::decide) compares the present with.
    fn next_limit(&self, now: Now) -> Limit {
        let failures = self.failures();
        let pauses = [failures.retry_at, failures.replay_until].into_iter().chain(self.rejections().limits());
        let fetch = self.fetch.iter().flat_map(|fetch| [fetch.overdue_at, fetch.lost_at]);
        let mono = pauses.chain(fetch).map(Limit::mono);
        let life = self.cached.iter().flat_map(CachedToken::limits);
        Limit::next_of(mono.chain(life), now)
    }
}

/// What the cache reports about itself.
impl State {
    /// Returns the cached token, even if it has expired.
    pub(super) fn token(&self) -> Option<&Token> {
        self.cached.as_ref().map(CachedToken::token)
    }

    /// Returns the number of the cached token. It stays the same if the source returns or extends
    /// that token.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether a token is cached that hasn't expired.
    pub(super) fn is_live(&self, now: Now) -> bool {
        self.live(now).is_some()
    }

    fn live(&self, now: Now) -> Option<&CachedToken> {
        self.cached.as_ref().filter(|cached| cached.is_live(now))
    }

    fn is_cached(&self, token: &Token) -> bool {
        self.token().is_some_and(|cached| cached.is_same(token))
    }

    /// Whether a fetch is in progress that isn't lost.
    pub(super) fn is_fetching(&self, now: Now) -> bool {
        self.fetch.as_ref().is_some_and(|fetch| now.mono < fetch.lost_at)
    }

    /// Returns when the fetch in progress is lost.
    pub(super) fn fetch_is_lost_at(&self) -> Option<Duration> {
        self.fetch.as_ref().map(|fetch| fetch.lost_at)
    }

    /// Whether a fetch is in progress that takes too long to make callers wait for it.
    fn is_overdue(&self, now: Now) -> bool {
        self.is_fetching(now) && self.fetch.as_ref().is_some_and(|fetch| now.mono >= fetch.overdue_at)
    }

    /// Returns for how long the fetch in progress has been running.
    pub(super) fn fetching_for(&self, now: Now) -> Option<Duration> {
        self.fetch.as_ref().map(|fetch| now.mono.saturating_sub(fetch.began.mono))
    }

    /// Returns the reason of a fetch that begins now for a caller with this demand.
    fn fetch_reason(&self, demand: Demand<'_>) -> FetchReason {
        match (&self.cached, demand) {
            (Some(_), _) if self.rejections().is_rejected() => FetchReason::Rejected,
            (_, Demand::Refresh) => FetchReason::Requested,
            (None, _) => FetchReason::Empty,
            (Some(_), _) => FetchReason::Expiring,
        }
    }

    /// Returns the last failure if no success came after it.
    pub(super) fn present_error(&self) -> Option<&Error> {
        self.last_error().filter(|_| self.failures().in_a_row > 0)
    }

    pub(super) fn last_error(&self) -> Option<&Error> {
        self.failures().last_error.as_ref()
    }

    fn failures(&self) -> &Failures {
        self.failures.as_deref().unwrap_or(&NO_FAILURES)
    }

    fn rejections(&self) -> &Rejections {
        self.rejections.as_deref().unwrap_or(&NO_REJECTIONS)
    }

    pub(super) fn refreshed_at(&self) -> Option<SystemTime> {
        self.refreshed_at
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }
}
