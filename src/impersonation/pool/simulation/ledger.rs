//! What the world sees of the pool, and the promises that this must keep.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::world::{Event, World};
use crate::{Error, ErrorKind, Token};

/// The window of the limit.
const WINDOW: Duration = Duration::from_secs(60);
/// How long a caller waits for a better token than the live one.
const REPLACEMENT_WAIT: Duration = Duration::from_secs(2);
/// How long a fetch may take.
const FETCH_LIMIT: Duration = Duration::from_secs(60);
/// How long a caller without a deadline waits at most.
const PATIENCE: Duration = Duration::from_secs(300);
/// For how long a failure may be replayed.
const REPLAY: Duration = Duration::from_secs(1);
/// The resolution of timers.
const TICK: Duration = Duration::from_millis(5);

pub(super) struct Ledger {
    per_minute: usize,
    at_once: usize,
    lifetime: Duration,
    /// Whether the world knows which token is cached: no identity was dropped to make room.
    knows_tokens: bool,
    /// Whether the world knows who is the next: nothing disturbs the line.
    knows_order: bool,
    recent: VecDeque<Instant>,
    open: HashMap<u64, Instant>,
    pub(super) requests: u64,
    live_until: HashMap<usize, Instant>,
    /// Whoever was the first to ask for an identity, in this order, if it waits patiently.
    line: Vec<(usize, Instant)>,
    /// Whoever was asked for, and whether its first fetch has started.
    asked: HashMap<usize, bool>,
    /// For how long everything stood still so far.
    stood_still: Duration,
    /// When the service got the last request that it fails, and which of them are open.
    failed: Option<Instant>,
    failing: HashSet<u64>,
    /// When fetches may have failed last: a request that fails ended, or everything or one runtime stood
    /// still until then, for longer than a fetch may take or a token lives.
    disturbed: Option<Instant>,
    pub(super) broken: Option<String>,
}

/// A caller that waits.
#[derive(Clone, Copy)]
pub(super) struct Caller {
    since: Instant,
    deadline: Option<Duration>,
    live_until: Option<Instant>,
    stood_still: Duration,
}

impl Ledger {
    pub(super) fn new(world: &World) -> Self {
        let disturbs = |event: &Event| {
            matches!(event, Event::StandStill(_) | Event::BlockedRuntime(..) | Event::Forget(_))
        };
        Self {
            per_minute: world.per_minute as usize,
            at_once: world.at_once,
            lifetime: world.lifetime,
            knows_tokens: world.capacity >= world.identities,
            knows_order: world.capacity >= world.identities && !world.events.iter().any(disturbs),
            recent: VecDeque::new(),
            open: HashMap::new(),
            requests: 0,
            live_until: HashMap::new(),
            line: Vec::new(),
            asked: HashMap::new(),
            stood_still: Duration::ZERO,
            failed: None,
            failing: HashSet::new(),
            disturbed: None,
            broken: None,
        }
    }

    pub(super) fn keep(&mut self, promise: bool, broken: impl FnOnce() -> String) {
        if !promise {
            self.broken.get_or_insert_with(|| format!("{} (at {:?})", broken(), Instant::now()));
        }
    }
}

/// The service.
impl Ledger {
    pub(super) fn request_begins(&mut self, identity: usize) -> u64 {
        let now = Instant::now();
        self.requests += 1;
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|&first| now.saturating_duration_since(first) > WINDOW) {
            self.recent.pop_front();
        }
        let (started, limit) = (self.recent.len(), self.per_minute);
        self.keep(limit == 0 || started <= limit, || format!("{started} starts in a minute of {limit}"));

        self.open.insert(self.requests, now);
        let open = self.open.values().filter(|since| now.saturating_duration_since(**since) <= FETCH_LIMIT);
        let (open, limit) = (open.count(), self.at_once);
        self.keep(open <= limit, || format!("{open} run at once, of {limit}"));
        self.check_order(identity, now);
        self.requests
    }

    fn check_order(&mut self, identity: usize, now: Instant) {
        let is_first = self.asked.insert(identity, true) == Some(false);
        let Some(place) = self.line.iter().position(|(other, _)| *other == identity) else { return };
        self.line.remove(place);
        let passed = self.line[..place].iter().filter(|(_, since)| now - *since < PATIENCE - TICK).count();
        self.keep(!is_first || !self.knows_order || passed == 0, || {
            format!("identity {identity} started before {passed} that came before it")
        });
    }

    pub(super) fn request_ends(&mut self, request: u64) {
        self.open.remove(&request);
        if self.failing.remove(&request) {
            self.is_disturbed();
        }
    }

    pub(super) fn token_is_sent(&mut self, request: u64, identity: usize) {
        let now = Instant::now();
        if let Some(&sent) = self.open.get(&request).filter(|sent| now - **sent < FETCH_LIMIT) {
            self.live_until.insert(identity, sent + self.lifetime);
        }
    }

    pub(super) fn fails(&mut self, request: u64) {
        self.failed = Some(Instant::now());
        self.failing.insert(request);
    }

    /// Takes in that fetches may fail now.
    pub(super) fn is_disturbed(&mut self) {
        self.disturbed = Some(Instant::now());
    }

    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    pub(super) fn stands_still(&mut self, time: Duration) {
        self.stood_still += time;
    }
}

/// The callers.
impl Ledger {
    /// Takes in that a caller asks, which waits no longer than until its deadline.
    pub(super) fn asks(&mut self, identity: usize, deadline: Option<Duration>, stays: bool) -> Caller {
        let since = Instant::now();
        if let Entry::Vacant(first) = self.asked.entry(identity) {
            first.insert(false);
            if deadline.is_none() && stays {
                self.line.push((identity, since));
            }
        }
        let live_until = self.live_until.get(&identity).copied().filter(|_| self.knows_tokens);
        Caller { since, deadline, live_until, stood_still: self.stood_still }
    }

    /// Takes in what the caller gets.
    pub(super) fn gets(&mut self, caller: Caller, outcome: &Result<Token, Error>) {
        let now = Instant::now();
        let waited = (now - caller.since).saturating_sub(self.stood_still - caller.stood_still);
        let lives_on =
            caller.live_until.is_some_and(|until| until > now.max(caller.since + REPLACEMENT_WAIT) + TICK);
        self.keep(!lives_on || (outcome.is_ok() && waited <= REPLACEMENT_WAIT + TICK), || {
            format!("a live token was withheld for {waited:?}: {outcome:?}")
        });
        let limit = caller.deadline.unwrap_or(PATIENCE);
        self.keep(waited <= limit + TICK, || format!("a caller waited for {waited:?} instead of {limit:?}"));

        let Err(error) = outcome else { return };
        let is_over =
            |last: Option<Instant>, after| last.is_none_or(|last| last + after + TICK < caller.since);
        let was_healthy = is_over(self.failed, FETCH_LIMIT) && is_over(self.disturbed, REPLAY);
        let stood_still = self.stood_still > caller.stood_still;
        self.keep(!was_healthy || waited + TICK >= limit || stood_still, || {
            format!("a caller failed after {waited:?} although all was healthy: {error}")
        });
        let text = error.to_string();
        if error.kind() == ErrorKind::Timeout && text.contains("turn") {
            let is_clear = text.contains("\nfix: ") && text.contains("max_");
            self.keep(is_clear, || format!("an error doesn't say what to do: {text}"));
        }
    }
}
