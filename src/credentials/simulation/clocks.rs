//! The clocks of a world: the issuer's, the local one, and the one that never jumps.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::credentials::clock::manual::ManualTime;

const EPOCH: Duration = Duration::from_secs(1_780_000_000);
/// The cache may trust a reading of the local clock for so long.
const READING_LASTS: Duration = Duration::from_secs(1);

pub(super) struct Clocks {
    began: Instant,
    /// What the cache reads.
    local: ManualTime,
    /// How far the local clock is off now, in milliseconds, and how far it was until when.
    off: i64,
    earlier: Vec<(Duration, SystemTime)>,
    suspended: Duration,
}

impl Clocks {
    pub(super) fn new(jitter: f64) -> Self {
        let local = ManualTime::new(SystemTime::UNIX_EPOCH + EPOCH);
        local.set_jitter(jitter);
        Self { began: Instant::now(), local, off: 0, earlier: Vec::new(), suspended: Duration::ZERO }
    }

    pub(super) fn manual(&self) -> ManualTime {
        self.local.clone()
    }

    /// The clock that never jumps, and stands still while the machine is suspended.
    pub(super) fn mono(&self) -> Duration {
        self.began.elapsed()
    }

    /// The issuer's clock, which is always right.
    pub(super) fn issuer(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + EPOCH + self.mono() + self.suspended
    }

    /// The local clock.
    pub(super) fn wall(&self) -> SystemTime {
        shift(self.issuer(), self.off)
    }

    /// What the cache may take for the local time: the present, and what the clock would show if it
    /// hadn't jumped within the last second.
    pub(super) fn walls(&self) -> impl Iterator<Item = SystemTime> + '_ {
        let now = self.mono();
        let trusted = self.earlier.iter().filter(move |(until, _)| now <= *until + READING_LASTS);
        let earlier = trusted.map(move |(until, wall)| *wall + (now - *until));
        earlier.chain([self.wall()])
    }

    /// Whether a wall clock has jumped since this instant.
    pub(super) fn jumped_since(&self, instant: Duration) -> bool {
        self.earlier.last().is_some_and(|(at, _)| *at >= instant)
    }

    /// How far the local clock is ahead; negative if it is behind. In milliseconds.
    pub(super) fn off(&self) -> i64 {
        self.off
    }

    pub(super) fn jump(&mut self, by: i64) {
        self.remember();
        self.off += by;
        self.local.jump(|wall| shift(wall, by));
    }

    pub(super) fn suspend(&mut self, time: Duration) {
        self.remember();
        self.suspended += time;
        self.local.jump(|wall| wall + time);
    }

    fn remember(&mut self) {
        let now = self.mono();
        self.earlier.retain(|(until, _)| now <= *until + READING_LASTS);
        self.earlier.push((now, self.wall()));
    }
}

fn shift(time: SystemTime, by: i64) -> SystemTime {
    let distance = Duration::from_millis(by.unsigned_abs());
    if by < 0 { time - distance } else { time + distance }
}
