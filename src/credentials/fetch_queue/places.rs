//! Who is where in the line: plain data, without a clock or a lock.

use std::collections::{BTreeSet, HashMap};
use std::task::Waker;
use std::time::Duration;

use super::QueueStats;
use super::quota::Quota;

/// The places in the line and the slots of those that run. All times count from a fixed point.
pub(super) struct Places {
    quota: Option<Quota>,
    at_once: usize,
    limits: TimeLimits,
    places: HashMap<u64, Place>,
    /// Those that wait, by ticket, in the order in which they get their turns.
    wanted: BTreeSet<u64>,
    unwanted: BTreeSet<u64>,
    /// Those whose turn it is, and those that run, each with the time since then.
    turns: BTreeSet<(Duration, u64)>,
    running: BTreeSet<(Duration, u64)>,
    /// Who asks again at which time, to give the next turn.
    watch: Option<(u64, Duration)>,
    next_ticket: u64,
    started: u64,
}

/// For how long a place may be occupied.
pub(super) struct TimeLimits {
    /// Until a turn that isn't taken lapses.
    pub(super) turn: Duration,
    /// Until a fetch is lost.
    pub(super) run: Duration,
}

struct Place {
    stage: Stage,
    /// How many callers wait for the fetch.
    callers: usize,
    /// `None` before the fetch has asked for its turn.
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    /// It may start, since then.
    Turn(Duration),
    /// It didn't start in time, or it is lost: it is neither in the line nor in a slot.
    Lapsed,
    Running(Duration),
}

impl Places {
    /// The longest time after which one that waits asks again, and gives others their turns.
    const PATROL: Duration = Duration::from_secs(30);

    /// A line that was longer than this gives its memory back.
    const KEPT_CAPACITY: usize = 1024;

    pub(super) fn new(quota: Option<Quota>, at_once: usize, limits: TimeLimits) -> Self {
        Self {
            quota,
            at_once,
            limits,
            places: HashMap::new(),
            wanted: BTreeSet::new(),
            unwanted: BTreeSet::new(),
            turns: BTreeSet::new(),
            running: BTreeSet::new(),
            watch: None,
            next_ticket: 0,
            started: 0,
        }
    }

    pub(super) fn stats(&self) -> QueueStats {
        let running = self.running.len();
        let waiting = self.wanted.len() + self.unwanted.len() + self.turns.len();
        QueueStats { waiting, running, started: self.started }
    }

    /// Adds a place at the end of the line. Returns its ticket.
    pub(super) fn enter(&mut self) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.places.insert(ticket, Place { stage: Stage::Lapsed, callers: 0, waker: None });
        self.set(ticket, Stage::Waiting);
        ticket
    }

    /// Removes a place. What it returns is to be dropped without the lock.
    pub(super) fn leave(&mut self, ticket: u64) -> Option<Waker> {
        self.set(ticket, Stage::Lapsed);
        let place = self.places.remove(&ticket)?;
        if self.places.is_empty() && self.places.capacity() > Self::KEPT_CAPACITY {
            self.places.shrink_to_fit();
        }
        place.waker
    }

    /// Takes in that one more caller waits for the fetch.
    pub(super) fn want(&mut self, ticket: u64) {
        self.change_callers(ticket, |callers| callers + 1);
    }

    /// Takes in that one caller fewer waits for the fetch.
    pub(super) fn unwant(&mut self, ticket: u64) {
        self.change_callers(ticket, |callers| callers.saturating_sub(1));
    }

    fn change_callers(&mut self, ticket: u64, change: impl FnOnce(usize) -> usize) {
        let Some(place) = self.places.get_mut(&ticket) else { return };
        let stage = std::mem::replace(&mut place.stage, Stage::Lapsed);
        self.unlist(ticket, stage);
        if let Some(place) = self.places.get_mut(&ticket) {
            place.callers = change(place.callers);
        }
        self.set(ticket, stage);
    }

    /// Takes in that the fetch is there and waits, also one whose turn has lapsed. Returns its last
    /// waker, to be dropped without the lock.
    pub(super) fn wait(&mut self, ticket: u64, waker: Waker) -> Option<Waker> {
        let place = self.places.get_mut(&ticket)?;
        let last = place.waker.replace(waker);
        if place.stage == Stage::Lapsed {
            self.set(ticket, Stage::Waiting);
        }
        last
    }

    /// Starts the fetch if it is its turn. If it isn't, returns when to ask again.
    pub(super) fn take(&mut self, ticket: u64, now: Duration) -> Result<(), Duration> {
        let stage = self.places.get(&ticket).map(|place| place.stage);
        if !matches!(stage, Some(Stage::Turn(_))) {
            let again_at = self.ask_again_at(ticket, now);
            if self.first() == Some(ticket) {
                self.watch = Some((ticket, again_at));
            }
            return Err(again_at);
        }
        self.started += 1;
        self.set(ticket, Stage::Running(now));
        Ok(())
    }

    /// Gives all their turns that may start now. Returns whom to wake: them, and the first of those
    /// that still wait if it doesn't know when it is the next. `asking` is awake.
    pub(super) fn give_turns(&mut self, now: Duration, asking: Option<u64>) -> Vec<Waker> {
        self.end_overdue(now);
        let mut woken = Vec::new();
        while let Some(first) = self.first().filter(|_| self.has_slot()) {
            if !self.quota.as_mut().is_none_or(|quota| quota.take(now)) {
                break;
            }
            self.set(first, Stage::Turn(now));
            woken.extend(self.places.get_mut(&first).and_then(|place| place.waker.take()));
        }
        if let Some(first) = self.first().filter(|first| self.has_slot() && !self.is_watched_by(*first)) {
            let place = self.places.get(&first).filter(|_| asking != Some(first));
            woken.extend(place.and_then(|place| place.waker.clone()));
        }
        woken
    }

    /// Whether this one asks again as soon as the next fetch may start.
    fn is_watched_by(&self, ticket: u64) -> bool {
        let next = self.quota.map_or(Duration::ZERO, |quota| quota.next());
        self.watch.is_some_and(|(watcher, at)| watcher == ticket && at <= next)
    }

    /// Whether the fetch hasn't started.
    pub(super) fn is_waiting(&self, ticket: u64) -> bool {
        self.places.get(&ticket).is_some_and(|place| !matches!(place.stage, Stage::Running(_)))
    }

    /// Which limit lets fetches wait now.
    pub(super) fn limit(&self) -> String {
        match self.quota {
            Some(quota) if self.has_slot() => {
                format!("since at most {} start in any minute (`max_fetches_per_minute`)", quota.limit())
            }
            _ => format!("since at most {} run at the same time (`max_in_flight`)", self.at_once),
        }
    }

    /// Whoever didn't take a turn, or runs for too long, has no place any more.
    fn end_overdue(&mut self, now: Duration) {
        let overdue = |set: &BTreeSet<(Duration, u64)>, limit| {
            set.first().filter(|(since, _)| now.saturating_sub(*since) > limit).map(|(_, ticket)| *ticket)
        };
        while let Some(ticket) = overdue(&self.turns, self.limits.turn) {
            self.set(ticket, Stage::Lapsed);
        }
        while let Some(ticket) = overdue(&self.running, self.limits.run) {
            self.set(ticket, Stage::Lapsed);
        }
    }

    fn first(&self) -> Option<u64> {
        self.wanted.first().or(self.unwanted.first()).copied()
    }

    fn has_slot(&self) -> bool {
        self.turns.len() + self.running.len() < self.at_once
    }

    /// When one that waits asks again, if nobody wakes it: the first one for its turn, the others
    /// somewhat after theirs, in case that the ones before them don't run.
    fn ask_again_at(&self, ticket: u64, now: Duration) -> Duration {
        let patrol = now + Self::PATROL;
        match self.quota {
            Some(quota) if self.has_slot() && self.first() == Some(ticket) => quota.next().min(patrol),
            Some(quota) => {
                let before = u32::try_from(self.wanted.len() + self.unwanted.len()).unwrap_or(u32::MAX);
                let turn = quota.next().max(now) + quota.spacing().saturating_mul(before);
                (turn + self.limits.turn).min(patrol)
            }
            None => patrol,
        }
    }

    fn set(&mut self, ticket: u64, stage: Stage) {
        let Some(place) = self.places.get_mut(&ticket) else { return };
        let last = std::mem::replace(&mut place.stage, stage);
        self.unlist(ticket, last);
        match stage {
            Stage::Waiting => self.line_of(ticket).insert(ticket),
            Stage::Turn(since) => self.turns.insert((since, ticket)),
            Stage::Running(since) => self.running.insert((since, ticket)),
            Stage::Lapsed => false,
        };
    }

    fn unlist(&mut self, ticket: u64, stage: Stage) {
        match stage {
            Stage::Waiting => self.line_of(ticket).remove(&ticket),
            Stage::Turn(since) => self.turns.remove(&(since, ticket)),
            Stage::Running(since) => self.running.remove(&(since, ticket)),
            Stage::Lapsed => false,
        };
    }

    fn line_of(&mut self, ticket: u64) -> &mut BTreeSet<u64> {
        match self.places.get(&ticket) {
            Some(place) if place.callers > 0 => &mut self.wanted,
            _ => &mut self.unwanted,
        }
    }
}
