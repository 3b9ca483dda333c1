//! A wall clock and jitter that a test sets.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::time::Instant;

use super::TimeSource;

/// A wall clock that runs with tokio's clock until a test moves it, and jitter that a test
/// chooses. Clones share their settings.
#[derive(Clone, Debug)]
pub(crate) struct ManualTime(Arc<Mutex<Settings>>);

#[derive(Debug)]
struct Settings {
    /// The wall clock, and when it was set.
    wall: (SystemTime, Instant),
    wall_reads: usize,
    jitter: f64,
}

impl ManualTime {
    /// A clock that shows `wall` now, and jitter of zero.
    pub(crate) fn new(wall: SystemTime) -> Self {
        Self(Arc::new(Mutex::new(Settings { wall: (wall, Instant::now()), wall_reads: 0, jitter: 0.0 })))
    }

    /// Moves the wall clock alone, as the suspension of a machine or a correction of its clock does.
    pub(crate) fn jump(&self, jump: impl FnOnce(SystemTime) -> SystemTime) {
        let mut settings = self.settings();
        settings.wall = (jump(settings.wall()), Instant::now());
    }

    /// Sets what each later draw of jitter gives.
    pub(crate) fn set_jitter(&self, fraction: f64) {
        self.settings().jitter = fraction;
    }

    /// Returns how often the wall clock has been read.
    pub(crate) fn wall_reads(&self) -> usize {
        self.settings().wall_reads
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settings {
    fn wall(&self) -> SystemTime {
        self.wall.0 + self.wall.1.elapsed()
    }
}

impl TimeSource for ManualTime {
    fn wall(&self) -> SystemTime {
        let mut settings = self.settings();
        settings.wall_reads += 1;
        settings.wall()
    }

    fn jitter(&self) -> f64 {
        self.settings().jitter
    }
}
