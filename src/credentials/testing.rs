//! The wall clock and the jitter of tests, for what runs on the test's own thread.

use std::cell::Cell;
use std::time::SystemTime;

use tokio::time::Instant;

thread_local! {
    static WALL: Cell<Option<(SystemTime, Instant)>> = const { Cell::new(None) };
    static WALL_READS: Cell<usize> = const { Cell::new(0) };
    static JITTER: Cell<Option<f64>> = const { Cell::new(None) };
}

/// Makes the wall clock of this thread stand at `wall`, and go on with tokio's clock.
pub(crate) fn set_wall(wall: SystemTime) {
    WALL.set(Some((wall, Instant::now())));
}

/// Moves the wall clock of this thread alone, as a suspended machine or a mended clock does.
pub(crate) fn jump_wall(jump: impl FnOnce(SystemTime) -> SystemTime) {
    set_wall(jump(wall().unwrap_or_else(SystemTime::now)));
}

/// Makes chance on this thread come out as `fraction`.
pub(crate) fn set_jitter(fraction: f64) {
    JITTER.set(Some(fraction));
}

/// How often the wall clock was read on this thread.
pub(crate) fn wall_reads() -> usize {
    WALL_READS.get()
}

pub(super) fn wall() -> Option<SystemTime> {
    WALL_READS.set(WALL_READS.get() + 1);
    WALL.get().map(|(wall, since)| wall + Instant::now().saturating_duration_since(since))
}

pub(super) fn jitter() -> Option<f64> {
    JITTER.get()
}
