//! The schedule: which fault, for how long, and whether all recovered from it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Failure;
use crate::callers::{Callers, FETCH_TIMEOUT};
use crate::faults::Fault;
use crate::random::Random;
use crate::remote::Remote;
use crate::resources::Resources;

/// The longest pause after a failed fetch (5 s, if it is permanent), a fetch that began during the fault,
/// and as much again for a busy machine.
const RECOVERY: Duration = Duration::from_secs(2 * (5 + FETCH_TIMEOUT.as_secs()));

/// The longest pause after a rejected token is 30 s, with the time above.
const RECOVERY_AFTER_REJECTION: Duration = Duration::from_secs(30 + RECOVERY.as_secs());

/// How long a rejection can delay the reaction to another one.
const REJECTION_COUNTS: Duration = Duration::from_secs(60);

/// A token of the longest lifetime can be in use for this long after the fault.
const OLD_TOKENS: Duration = Duration::from_secs(10);

/// The time without faults after each episode.
const QUIET: Duration = Duration::from_millis(1000);

/// One fault, and how callers recovered from it.
#[derive(Clone, Debug)]
pub(crate) struct Episode {
    pub(crate) fault: Fault,
    /// How long after the fault the last call began that failed; `None` if that is longer than `allowed`.
    pub(crate) recovered: Option<Duration>,
    pub(crate) allowed: Duration,
}

/// Runs faults one after the other.
pub(crate) struct Schedule {
    pub(crate) remote: Remote,
    pub(crate) callers: Callers,
    pub(crate) resources: Resources,
    random: Random,
    last_rejection: Option<Instant>,
}

impl Schedule {
    pub(crate) fn new(remote: Remote, callers: Callers, random: Random) -> Self {
        Self { remote, callers, resources: Resources::watch(), random, last_rejection: None }
    }

    /// Runs episodes for `length`. Each kind of fault comes once before any comes again.
    pub(crate) async fn run(&mut self, length: Duration) -> Result<Vec<Episode>, Failure> {
        let start = Instant::now();
        let mut episodes = Vec::new();
        self.callers.recovered(RECOVERY).await.ok_or("no call succeeds before the first fault")?;
        let mut left: Vec<Fault> = Vec::new();
        while start.elapsed() < length {
            if left.is_empty() {
                left.extend(Fault::ALL);
            }
            let fault = left.swap_remove(self.random.within(0..left.len() as u64) as usize);
            episodes.push(self.episode(fault).await?);
            self.callers.set_fault(Fault::Nothing);
            sleep(QUIET).await;
            self.resources.sample(start.elapsed().as_secs_f64() / length.as_secs_f64());
        }
        Ok(episodes)
    }

    async fn episode(&mut self, fault: Fault) -> Result<Episode, Failure> {
        self.callers.set_fault(fault);
        if fault.rejects_tokens() {
            self.last_rejection = Some(Instant::now());
        }
        let length = self.random.millis(1000..7001);
        fault.apply(&mut self.remote, &mut self.random, length).await?;
        let rejected = self.last_rejection.is_some_and(|at| at.elapsed() < REJECTION_COUNTS);
        let allowed = if rejected { RECOVERY_AFTER_REJECTION } else { RECOVERY };
        let recovered = self.callers.recovered(allowed + OLD_TOKENS).await.filter(|after| *after <= allowed);
        match recovered {
            Some(after) => eprintln!("{fault}: {length:?}, recovered in {after:?}"),
            None => eprintln!("{fault}: {length:?}, NOT recovered in {allowed:?}"),
        }
        Ok(Episode { fault, recovered, allowed })
    }
}
