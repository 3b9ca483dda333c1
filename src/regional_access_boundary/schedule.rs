//! When a boundary is looked up, and how long it is used. Pure: the caller brings the clock.

use std::time::Duration;

use super::moment::Moment;

/// How long a boundary is used, counted from when its lookup began. Google's libraries use the same
/// times.
pub(super) const LIFETIME: Duration = Duration::from_secs(6 * 3600);
/// How long before its end a boundary is looked up again.
pub(super) const REFRESH_AHEAD: Duration = Duration::from_secs(3600);
/// The pause after the first failure. It doubles with each further one.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// The longest pause after a failure.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);
/// The pause after a lookup whose runtime ended before the reply came.
const PAUSE_IF_LOST: Duration = Duration::from_secs(1);
/// How long a lookup may take. After that, its runtime is blocked or gone.
pub(super) const LOST_AFTER: Duration = Duration::from_secs(61);

/// The state of one identity's lookups.
#[derive(Debug)]
pub(super) struct Schedule {
    /// When a lookup is due. `None` while the identity isn't current any more.
    due: Option<Duration>,
    pause: Duration,
    lookup: Option<InFlight>,
    /// When the boundary isn't used any more, if one is known.
    end: Option<Moment>,
    lookups: u64,
}

/// A lookup without an outcome.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    id: u64,
    began: Moment,
}

impl Schedule {
    /// A lookup is due at once.
    pub(super) fn new() -> Self {
        Self { due: Some(Duration::ZERO), pause: FIRST_PAUSE, lookup: None, end: None, lookups: 0 }
    }

    /// Returns when [`begin`](Self::begin) may begin a lookup at the earliest, if no clock is changed.
    pub(super) fn due(&self) -> Duration {
        match (self.due, self.lookup) {
            (None, _) => Duration::MAX,
            (Some(_), Some(lookup)) => lookup.began.mono.saturating_add(LOST_AFTER),
            (Some(due), None) => due,
        }
    }

    /// Begins a lookup if one is due, and returns its number.
    pub(super) fn begin(&mut self, now: Moment) -> Option<u64> {
        // After a suspension of the machine, the boundary has ended by the wall clock before a lookup is
        // due by the other one. It is due now, if the last one didn't fail.
        if self.forget_ended(now) && self.pause == FIRST_PAUSE {
            self.due = self.due.map(|due| due.min(now.mono));
        }
        if now.mono < self.due() {
            return None;
        }
        self.lookups += 1;
        self.lookup = Some(InFlight { id: self.lookups, began: now });
        Some(self.lookups)
    }

    /// Takes in that lookup `id` brought a boundary. Returns when that ends; `None` if the lookup was
    /// given up, or took too long.
    pub(super) fn succeed(&mut self, id: u64, now: Moment) -> Option<Moment> {
        let began = self.finish(id)?.began;
        let end = began.after(LIFETIME);
        self.pause = FIRST_PAUSE;
        self.due = self.due.map(|_| end.mono.saturating_sub(REFRESH_AHEAD));
        self.end = Some(end).filter(|end| !end.is_past(now));
        self.end
    }

    /// Takes in that lookup `id` failed. Returns the pause until the next one; `None` if it was given up.
    pub(super) fn fail(&mut self, id: u64, now: Moment) -> Option<Duration> {
        self.finish(id)?;
        let pause = self.pause;
        self.pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        self.due = self.due.map(|_| now.mono.saturating_add(pause));
        self.forget_ended(now);
        Some(pause)
    }

    /// Takes in that lookup `id` ended without an outcome.
    pub(super) fn abandon(&mut self, id: u64, now: Moment) {
        if self.finish(id).is_some() {
            self.due = self.due.map(|_| now.mono.saturating_add(PAUSE_IF_LOST));
        }
    }

    /// Begins no lookup from now on. A known boundary is used until its end.
    pub(super) fn close(&mut self) {
        self.due = None;
        self.lookup = None;
    }

    /// Whether lookup `id` has no outcome yet, and wasn't given up.
    pub(super) fn is_in_flight(&self, id: u64) -> bool {
        self.lookup.is_some_and(|lookup| lookup.id == id)
    }

    /// Whether a boundary is known that may be used.
    pub(super) fn has_boundary(&self, now: Moment) -> bool {
        self.end.is_some_and(|end| !end.is_past(now))
    }

    /// Forgets the boundary if it has ended. Returns whether it has.
    fn forget_ended(&mut self, now: Moment) -> bool {
        let has_ended = self.end.is_some_and(|end| end.is_past(now));
        if has_ended {
            self.end = None;
        }
        has_ended
    }

    fn finish(&mut self, id: u64) -> Option<InFlight> {
        let lookup = self.lookup.filter(|lookup| lookup.id == id)?;
        self.lookup = None;
        Some(lookup)
    }
}
