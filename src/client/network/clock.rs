//! The clocks and the jitter of a world.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::credentials::TimeSource;
use crate::random::Random;

/// A wall clock that goes with tokio's paused clock, and jitter from the world's seed.
#[derive(Clone)]
pub(super) struct Clock {
    start: Instant,
    wall: SystemTime,
    random: Arc<Mutex<Random>>,
}

impl Clock {
    pub(super) fn new(seed: u64) -> Self {
        let random = Arc::new(Mutex::new(Random::new(seed ^ 0x6a69_7474_6572)));
        Self { start: Instant::now(), wall: SystemTime::now(), random }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(super) fn instant(&self, at: Duration) -> Instant {
        self.start + at
    }
}

impl TimeSource for Clock {
    fn wall(&self) -> SystemTime {
        self.wall + self.elapsed()
    }

    fn jitter(&self) -> f64 {
        self.random.lock().unwrap().fraction()
    }
}
