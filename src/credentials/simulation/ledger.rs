//! What the world sees of the cache, and the promises that this must keep.
//!
//! The ledger knows the promises of [`Credentials`](crate::Credentials), not how the cache keeps
//! them: it sees what callers ask and get, and what the source is asked and returns.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::clocks::Clocks;
use super::fetches::{Demanded, FETCH_LIMIT, FailureKind, Fetches, LOST_AFTER, REJECTION_PAUSE, TICK};
use super::known::Known;
use super::source::REVISION;
use crate::source::CacheHints;
use crate::{Error, Token};

/// How long a caller waits for a better token than the live one.
const REPLACEMENT_WAIT: Duration = Duration::from_secs(2);

/// What a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ask {
    Token,
    TokenForRetry,
    /// A token without waiting.
    Now,
    Refresh,
    /// Another token than this one.
    OtherThan(u32),
}

/// A caller that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    ask: Ask,
    since: Duration,
    deadline: Duration,
    /// Whether a live token was cached when it asked.
    was_live: bool,
    /// The cached token when it asked, if that was rejected and had to be replaced at once.
    replaces: Option<u32>,
    /// Whether it runs on a runtime that doesn't go on.
    is_stuck: bool,
    /// The source's revision when it asked.
    revision: u64,
}

pub(super) struct Ledger {
    pub(super) clocks: Clocks,
    hints: CacheHints,
    pub(super) fetches: Fetches,
    known: HashMap<u32, Known>,
    current: Option<u32>,
    callers: HashMap<u64, Caller>,
    next_caller: u64,
    /// When the last fetch ended with a result.
    completed: Option<Duration>,
    refresh_asked: Option<Duration>,
    retry_asked: Option<Duration>,
    /// How often the source was replaced.
    pub(super) revision: u64,
    /// Since when a runtime is blocked whose fetch the world can't see.
    pub(super) blocked: Option<Duration>,
    /// The first promise that was broken.
    pub(super) broken: Option<String>,
}

impl Ledger {
    pub(super) fn new(hints: CacheHints, jitter: f64) -> Self {
        Self {
            clocks: Clocks::new(jitter),
            hints,
            fetches: Fetches::default(),
            known: HashMap::new(),
            current: None,
            callers: HashMap::new(),
            next_caller: 0,
            completed: None,
            refresh_asked: None,
            retry_asked: None,
            revision: 0,
            blocked: None,
            broken: None,
        }
    }

    fn keep(&mut self, promise: Result<(), String>) {
        if let Err(broken) = promise {
            let at = self.clocks.mono();
            self.broken.get_or_insert_with(|| format!("{broken} (at {at:?})"));
        }
    }

    pub(super) fn current(&self) -> Option<&Known> {
        self.known.get(&self.current?)
    }

    /// Whether a token is cached that is live by every clock.
    fn is_live(&self) -> bool {
        self.current().is_some_and(|known| known.left_range(&self.clocks).0 > 2 * TICK)
    }
}

/// The source.
impl Ledger {
    /// Takes in that the source is asked. Returns the fetch's id.
    pub(super) fn fetch_begins(&mut self, told: bool, stuck: bool) -> u64 {
        let now = Some(self.clocks.mono());
        let waits = |ask| self.callers.values().any(|caller| caller.ask == ask);
        let demanded = Demanded {
            refresh: waits(Ask::Refresh) || self.refresh_asked == now,
            retry: waits(Ask::TokenForRetry) || self.retry_asked == now,
        };
        let current = self.current.and_then(|number| self.known.get(&number));
        let begun = self.fetches.begin(told, stuck, self.revision, demanded, current, &self.clocks);
        let id = self.fetches.count;
        self.keep(begun.map(|_| ()));
        id
    }

    pub(super) fn fetch_returns(&mut self, id: u64, number: u32, expires_at: Option<SystemTime>) {
        let Some(fetch) = self.fetches.active.filter(|fetch| fetch.id == id) else { return };
        let Some(known) = Known::new(expires_at, fetch.sent, self.hints, &self.clocks) else {
            // If the source doesn't say that it has ended, the next token may arrive in time.
            let reported = expires_at.map(|end| end.duration_since(fetch.sent.wall).unwrap_or_default());
            let waited = self.clocks.mono().saturating_sub(fetch.sent.mono);
            let kind = match reported.is_none_or(|life| life > waited) {
                true => FailureKind::Transient,
                false => FailureKind::Permanent,
            };
            return self.fetch_fails(id, kind);
        };
        self.completed = Some(self.clocks.mono());
        let now = self.clocks.mono();
        if self.current == Some(number) {
            let kept = self.known.get_mut(&number).expect("known");
            kept.returned_again(known, &self.clocks);
            if fetch.told {
                kept.returned = Some((kept.returned.map_or(1, |(times, _)| times + 1), now));
            }
        } else {
            self.known.insert(number, known);
            self.current = Some(number);
        }
        let promise = self.fetches.succeeded();
        self.keep(promise);
    }

    pub(super) fn fetch_fails(&mut self, id: u64, kind: FailureKind) {
        if let Some(fetch) = self.fetches.active.filter(|fetch| fetch.id == id) {
            // After the failure of a source that was replaced meanwhile, callers wait for the next fetch.
            if fetch.revision == self.revision {
                self.completed = Some(self.clocks.mono());
            }
            let current = self.current.and_then(|number| self.known.get(&number));
            self.fetches.failed(kind, current, &self.clocks);
        }
    }

    /// Takes in that a fetch was dropped: at its time limit, or with its runtime.
    pub(super) fn fetch_dropped(&mut self, id: u64) {
        let Some(fetch) = self.fetches.active.filter(|fetch| fetch.id == id) else { return };
        match !fetch.stuck && self.clocks.mono() >= fetch.sent.mono + FETCH_LIMIT {
            true => self.fetch_fails(id, FailureKind::Transient),
            false => self.fetches.abandoned(),
        }
    }
}

/// The callers.
impl Ledger {
    pub(super) fn asks(&mut self, ask: Ask, deadline: Option<Duration>, is_stuck: bool) -> u64 {
        let since = self.clocks.mono();
        match ask {
            Ask::Refresh => self.refresh_asked = Some(since),
            Ask::TokenForRetry => self.retry_asked = Some(since),
            Ask::Token | Ask::Now | Ask::OtherThan(_) => {}
        }
        let deadline = since + deadline.unwrap_or(LOST_AFTER);
        let (was_live, replaces, revision) = (self.is_live(), self.replaceable(), self.revision);
        let caller = Caller { ask, since, deadline, was_live, replaces, is_stuck, revision };
        self.next_caller += 1;
        self.callers.insert(self.next_caller, caller);
        self.next_caller
    }

    /// Returns the cached token if it was rejected, and nothing explains why it isn't replaced.
    fn replaceable(&self) -> Option<u32> {
        let known = self.current()?;
        let has_time = known.left_range(&self.clocks).0 > 3 * REPLACEMENT_WAIT;
        let is_new = known.rejected && known.returned.is_none();
        self.current.filter(|_| is_new && has_time && self.fetches.allow_a_rejection(&self.clocks))
    }

    /// Takes in that a caller was dropped, if it hasn't got anything.
    pub(super) fn leaves(&mut self, id: u64) {
        self.callers.remove(&id);
    }

    pub(super) fn gets(&mut self, id: u64, outcome: &Result<Option<Token>, Error>) {
        let Some(caller) = self.callers.remove(&id) else { return };
        let promises = [
            self.check_token(caller, outcome),
            self.check_wait(caller),
            self.check_live(caller, outcome),
            self.check_replaced(caller, outcome),
            check_revision(caller, outcome),
        ];
        promises.into_iter().for_each(|promise| self.keep(promise));
    }

    /// No token is handed out after its end, nor to the caller that can't use it.
    fn check_token(&self, caller: Caller, outcome: &Result<Option<Token>, Error>) -> Result<(), String> {
        let Ok(Some(token)) = outcome else { return Ok(()) };
        let number = number_of(token);
        if caller.ask == Ask::OtherThan(number) {
            return Err(format!("a caller got the token that it rejected: {caller:?}"));
        }
        match self.known.get(&number) {
            None => Err(format!("token {number} was never received")),
            Some(known) if known.left_range(&self.clocks).1.is_zero() => {
                Err(format!("a token after its end: {known:?}"))
            }
            Some(_) => Ok(()),
        }
    }

    /// Each wait ends in its time: at the deadline, and with the fetch.
    fn check_wait(&self, caller: Caller) -> Result<(), String> {
        let now = self.clocks.mono();
        if now > caller.deadline + TICK {
            return Err(format!("a caller waited past its deadline: {caller:?}"));
        }
        let is_over = |completed| completed > caller.since && now > completed + TICK;
        if self.completed.is_some_and(is_over) && !matches!(caller.ask, Ask::OtherThan(_)) {
            return Err(format!("a caller waited on after the fetch had ended: {caller:?}"));
        }
        Ok(())
    }

    /// A live token is never withheld from a caller that can use it.
    fn check_live(&self, caller: Caller, outcome: &Result<Option<Token>, Error>) -> Result<(), String> {
        let wants_any = matches!(caller.ask, Ask::Token | Ask::TokenForRetry | Ask::Now);
        if !wants_any || !caller.was_live || self.clocks.jumped_since(caller.since) {
            return Ok(());
        }
        let waited = self.clocks.mono() - caller.since;
        match outcome {
            Err(error) => Err(format!("a live token was withheld: {caller:?} got {error}")),
            Ok(_) if waited > REPLACEMENT_WAIT + TICK => {
                Err(format!("a live token was withheld for {waited:?}: {caller:?}"))
            }
            Ok(_) => Ok(()),
        }
    }

    /// A rejected token is replaced at once, if the source has another one in time.
    fn check_replaced(&self, caller: Caller, outcome: &Result<Option<Token>, Error>) -> Result<(), String> {
        let now = self.clocks.mono() + TICK;
        let has_waited = now >= caller.deadline || now >= caller.since + REPLACEMENT_WAIT;
        let is_explained = self.completed.is_some_and(|completed| completed >= caller.since)
            || self.clocks.jumped_since(caller.since)
            || matches!(caller.ask, Ask::Now | Ask::Refresh);
        match outcome {
            Ok(Some(token)) if caller.replaces == Some(number_of(token)) && !has_waited && !is_explained => {
                Err(format!("a rejected token wasn't replaced at once: {caller:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Takes in that a caller reports a rejection.
    pub(super) fn rejects(&mut self, token: &Token) {
        let current = self.current.filter(|current| *current == number_of(token));
        if let Some(known) = current.and_then(|number| self.known.get_mut(&number)) {
            known.rejected = true;
        }
    }

    /// Checks what must hold whenever everything that can happen has happened.
    pub(super) fn check(&mut self) {
        let now = self.clocks.mono();
        let overdue =
            self.fetches.active.filter(|fetch| !fetch.stuck && now > fetch.sent.mono + FETCH_LIMIT + TICK);
        if let Some(fetch) = overdue {
            self.keep(Err(format!("a fetch outlived its time limit: {fetch:?}")));
        }
        let is_blocked = self.blocked.is_some_and(|since| now <= since + LOST_AFTER + TICK);
        let stuck = self.fetches.active.is_some_and(|fetch| now > fetch.sent.mono + LOST_AFTER + TICK);
        let idle = self.fetches.active.is_none() || stuck;
        let waits = self.callers.values().find(|caller| !caller.is_stuck);
        if let Some(caller) = waits.filter(|_| idle && !is_blocked) {
            self.keep(Err(format!("nobody fetches what a caller waits for: {caller:?}")));
        }
    }

    /// Returns how long the cache may take to have a good token once everything is healthy.
    pub(super) fn recovery(&self) -> Duration {
        let current = self.current();
        let is_live = current.is_some_and(|known| !known.left_range(&self.clocks).1.is_zero());
        let is_fetching = self.fetches.active.is_some() || self.blocked.is_some();
        // The fetch in progress may return the rejected token once more.
        let returned = current.and_then(|known| known.returned).map_or(0, |(times, _)| times);
        let returned = returned + u32::from(is_fetching);
        let pause = match is_live || is_fetching {
            true => REJECTION_PAUSE * (1 << returned.saturating_sub(1).min(4)),
            false => Duration::from_secs(5),
        };
        let fetch = if is_fetching { LOST_AFTER } else { Duration::ZERO };
        fetch + pause.min(Duration::from_secs(300)) + Duration::from_secs(4)
    }
}

/// No caller gets the failure of a source that was replaced before it asked.
fn check_revision(caller: Caller, outcome: &Result<Option<Token>, Error>) -> Result<(), String> {
    let Err(error) = outcome else { return Ok(()) };
    let text = error.to_string();
    let revision = text.strip_prefix(REVISION).and_then(|revision| revision.parse::<u64>().ok());
    match revision.filter(|failed| *failed < caller.revision) {
        Some(failed) => Err(format!("a failure of a replaced source, revision {failed}: {caller:?}")),
        None => Ok(()),
    }
}

pub(super) fn number_of(token: &Token) -> u32 {
    token.secret()[1..].parse().expect("a token of this world")
}
