//! What the process uses, to see whether it grows; and how busy the machine is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// The size of a page of memory, in KiB.
const PAGE_KIB: u64 = 4;

/// What the process uses at one time without faults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// How far the run is, from 0.0 to 1.0.
    pub(crate) progress: f64,
    pub(crate) tasks: u64,
    pub(crate) descriptors: u64,
    pub(crate) memory_kib: u64,
}

/// All samples of a run, and the longest time that the machine didn't run this process.
#[derive(Debug)]
pub(crate) struct Resources {
    pub(crate) samples: Vec<Sample>,
    lag_ms: Arc<AtomicU64>,
    watch: JoinHandle<()>,
}

impl Resources {
    /// Starts to measure how late timers are.
    pub(crate) fn watch() -> Self {
        const PERIOD: Duration = Duration::from_millis(50);
        let lag_ms = Arc::new(AtomicU64::new(0));
        let longest = Arc::clone(&lag_ms);
        let watch = tokio::spawn(async move {
            loop {
                let before = Instant::now();
                sleep(PERIOD).await;
                let late = before.elapsed().saturating_sub(PERIOD).as_millis() as u64;
                longest.fetch_max(late, Ordering::Relaxed);
            }
        });
        Self { samples: Vec::new(), lag_ms, watch }
    }

    /// Returns how late a timer was at most.
    pub(crate) fn lag(&self) -> Duration {
        Duration::from_millis(self.lag_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn sample(&mut self, progress: f64) {
        let tasks = Handle::current().metrics().num_alive_tasks() as u64;
        let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, |list| list.count() as u64);
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
        self.samples.push(Sample { progress, tasks, descriptors, memory_kib: pages * PAGE_KIB });
    }

    /// Returns the largest value of the samples in a part of the run, if there are any.
    pub(crate) fn largest(&self, from: f64, to: f64, value: impl Fn(&Sample) -> u64) -> Option<u64> {
        let part = self.samples.iter().filter(|sample| (from..to).contains(&sample.progress));
        part.map(value).max()
    }
}

impl Drop for Resources {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
