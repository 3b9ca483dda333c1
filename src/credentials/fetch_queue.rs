//! The line in which the fetches of many caches wait for their turn.

mod places;
mod quota;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use self::places::{Places, TimeLimits};
use self::quota::Quota;
use super::deadline::FETCH_LOST_AFTER;
use crate::Error;

/// Limits how many fetches start in any minute, and how many run at the same time.
///
/// * A fetch that somebody waits for starts before one that nobody waits for, such as a refresh
///   ahead. Within these two classes, the one that came first is the next. If somebody begins to
///   wait, the fetch gets the place that it would have had.
/// * A fetch that is given up leaves the line, or frees its slot.
/// * A turn that isn't taken within [`GRACE`](Self::GRACE), because its runtime is blocked, lapses.
///   So no runtime stops the fetches of others. If it goes on, the fetch is the next again.
///
/// No task is needed for it. Whoever has to wait gives the others their turns, too.
pub(crate) struct FetchQueue {
    /// The times of the places count from here.
    origin: Instant,
    /// No waker is woken or dropped while it is held.
    places: Mutex<Places>,
}

/// What a queue has done and contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueStats {
    pub(crate) waiting: usize,
    pub(crate) running: usize,
    pub(crate) started: u64,
}

/// The place of one fetch, in the line or among those that run.
pub(super) struct Turn {
    queue: Arc<FetchQueue>,
    ticket: u64,
}

/// The slot of a fetch that runs. Dropping it frees the slot.
pub(super) struct Slot(Arc<Turn>);

/// Somebody waits for the fetch, as long as this exists.
pub(super) struct Wanted(Arc<Turn>);

impl FetchQueue {
    /// The most that a fetch may be behind its turn.
    const GRACE: Duration = Duration::from_secs(1);

    /// Makes a queue for `per_minute` fetches in a minute, zero being no limit, of which `at_once` run
    /// at the same time.
    pub(crate) fn new(per_minute: u32, at_once: usize) -> Self {
        let quota = Quota::new(per_minute, Self::GRACE);
        let limits = TimeLimits { turn: Self::GRACE, run: FETCH_LOST_AFTER };
        let places = Mutex::new(Places::new(quota, at_once.max(1), limits));
        Self { origin: Instant::now(), places }
    }

    pub(crate) fn stats(&self) -> QueueStats {
        self.places().stats()
    }

    /// Takes the last place in the line.
    pub(super) fn enter(self: &Arc<Self>) -> Arc<Turn> {
        let ticket = self.places().enter();
        Arc::new(Turn { queue: Arc::clone(self), ticket })
    }

    /// Changes the places, and wakes those whose turn it has become.
    fn change<T>(&self, change: impl FnOnce(&mut Places) -> T) -> T {
        let now = self.now();
        let mut places = self.places();
        let result = change(&mut places);
        let woken = places.give_turns(now, None);
        drop(places);
        woken.into_iter().for_each(Waker::wake);
        result
    }

    fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.origin)
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Waits until the fetch may start. It must do so at once.
    pub(super) async fn taken(self: &Arc<Self>) -> Slot {
        let mut timer = pin!(sleep_until(Instant::now()));
        poll_fn(|cx| {
            while let Err(ask_again_at) = self.take(cx) {
                timer.as_mut().reset(ask_again_at);
                ready!(timer.as_mut().poll(cx));
            }
            Poll::Ready(())
        })
        .await;
        Slot(Arc::clone(self))
    }

    /// Takes the turn. If it hasn't come, returns when to ask again, unless woken before.
    fn take(&self, cx: &Context<'_>) -> Result<(), Instant> {
        let (waker, now) = (cx.waker().clone(), self.queue.now());
        let mut places = self.queue.places();
        let last_waker = places.wait(self.ticket, waker);
        let woken = places.give_turns(now, Some(self.ticket));
        let taken = places.take(self.ticket, now);
        drop(places);
        drop(last_waker);
        woken.into_iter().for_each(Waker::wake);
        taken.map_err(|ask_again_at| self.queue.origin + ask_again_at)
    }

    /// Says that somebody waits for the fetch.
    pub(super) fn want(self: &Arc<Self>) -> Wanted {
        self.queue.change(|places| places.want(self.ticket));
        Wanted(Arc::clone(self))
    }

    /// Returns the error of a caller whose time is over; `None` if the fetch has started.
    pub(super) fn too_late(&self) -> Option<Error> {
        let (waiting, limit) = self.queue.change(|places| {
            let is_waiting = places.is_waiting(self.ticket);
            is_waiting.then(|| (places.stats().waiting, places.limit()))
        })?;
        let message = format!(
            "no token within the time allowed: {waiting} fetches wait for their turns in the pool, {limit}"
        );
        Some(Error::timeout(message, None).fix_by(
            "call again, as the fetch keeps its place; if this lasts, use more processes with a project \
             each, or raise the limit if the project's quota is larger",
        ))
    }

    /// Gives the place in the line up. The others move up. Does nothing if the fetch runs.
    pub(super) fn leave_line(&self) {
        drop(self.queue.change(|places| {
            let is_waiting = places.is_waiting(self.ticket);
            is_waiting.then(|| places.leave(self.ticket))
        }));
    }

    fn leave(&self) {
        drop(self.queue.change(|places| places.leave(self.ticket)));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        let turn = &self.0;
        turn.queue.change(|places| places.unwant(turn.ticket));
    }
}
