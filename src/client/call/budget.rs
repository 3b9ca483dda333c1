//! The budget of retries that all calls of a client share.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The budget counts in tenths of a retry. This is one retry.
const RETRY: u32 = 10;
/// The most that the budget holds, and what it holds at first: 100 retries.
const CAPACITY: u32 = 100 * RETRY;
/// In this time, a tenth of a retry is added: 10 retries each second.
const INTERVAL: Duration = Duration::from_millis(10);
/// What the success of a first attempt adds.
const PER_SUCCESS: u32 = 1;
/// What the success of a retry adds: the retry that it took, and one more. So while a service
/// recovers, the number of retries doubles with each round trip.
const PER_RECOVERY: u32 = 2 * RETRY;

/// A token bucket that prevents retry storms. Calls don't fail without it: they wait in line.
pub(super) struct RetryBudget {
    bucket: Mutex<Bucket>,
    /// Held by the call that is first in line. It serves the calls in the order in which they came.
    line: tokio::sync::Mutex<()>,
    /// Wakes the call that is first in line.
    deposited: Notify,
}

impl RetryBudget {
    pub(super) fn new() -> Self {
        Self {
            bucket: Mutex::new(Bucket { tenths: CAPACITY, filled_at: Instant::now() }),
            line: tokio::sync::Mutex::new(()),
            deposited: Notify::new(),
        }
    }

    /// Takes one retry out, and waits for it if there is none. Returns whether that was possible
    /// before `deadline`.
    pub(super) async fn withdraw(&self, deadline: Instant) -> bool {
        timeout_at(deadline, self.wait_in_line()).await.is_ok()
    }

    async fn wait_in_line(&self) {
        let _first = self.line.lock().await;
        loop {
            let taken = self.with_bucket(|bucket| bucket.take(Instant::now()));
            let Err(refilled_at) = taken else { return };
            // The Notify remembers a deposit that was made before this line.
            let _ = timeout_at(refilled_at, self.deposited.notified()).await;
        }
    }

    /// Records that a call succeeded with its first attempt.
    pub(super) fn record_success(&self) {
        self.deposit(PER_SUCCESS);
    }

    /// Records that a retry succeeded.
    pub(super) fn record_recovery(&self) {
        self.deposit(PER_RECOVERY);
    }

    fn deposit(&self, tenths: u32) {
        self.with_bucket(|bucket| bucket.add(tenths));
        self.deposited.notify_one();
    }

    fn with_bucket<T>(&self, act: impl FnOnce(&mut Bucket) -> T) -> T {
        act(&mut self.bucket.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The retries that calls may take.
struct Bucket {
    tenths: u32,
    /// Until when the time that passed has been counted.
    filled_at: Instant,
}

impl Bucket {
    /// Takes one retry, or returns the instant at which there is one.
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        self.fill(now);
        match self.tenths.checked_sub(RETRY) {
            Some(left) => {
                self.tenths = left;
                Ok(())
            }
            None => Err(self.filled_at + INTERVAL * (RETRY - self.tenths)),
        }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled_at).as_nanos();
        self.add(u32::try_from(passed / INTERVAL.as_nanos()).unwrap_or(CAPACITY));
        let uncounted = u64::try_from(passed % INTERVAL.as_nanos()).unwrap_or_default();
        self.filled_at = now - Duration::from_nanos(uncounted);
    }

    fn add(&mut self, tenths: u32) {
        self.tenths = self.tenths.saturating_add(tenths).min(CAPACITY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes retries until none is left. Returns how many there were.
    async fn drain(budget: &RetryBudget) -> u32 {
        let mut taken = 0;
        while budget.withdraw(Instant::now()).await {
            taken += 1;
        }
        taken
    }

    /// conf: G34
    #[tokio::test(start_paused = true)]
    async fn successes_and_time_fill_the_budget_up_to_its_capacity() {
        let budget = RetryBudget::new();
        assert_eq!(drain(&budget).await, 100);
        for successes in 1..=10 {
            assert_eq!(drain(&budget).await, 0, "after {} successes", successes - 1);
            budget.record_success();
        }
        assert_eq!(drain(&budget).await, 1);
        budget.record_recovery();
        assert_eq!(drain(&budget).await, 2);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(drain(&budget).await, 30);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        budget.record_recovery();
        assert_eq!(drain(&budget).await, 100);
    }

    /// conf: G24, A23
    #[tokio::test(start_paused = true)]
    async fn calls_wait_in_line_for_the_next_retry_but_not_past_their_deadlines() {
        let budget = RetryBudget::new();
        drain(&budget).await;
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert!(!budget.withdraw(at(90)).await);
        assert_eq!(Instant::now(), at(90));
        let one = async {
            assert!(budget.withdraw(at(1000)).await);
            start.elapsed().as_millis()
        };
        let other = async {
            assert!(budget.withdraw(at(1000)).await);
            start.elapsed().as_millis()
        };
        let gone = budget.withdraw(at(95));
        let (one, gone, other) = tokio::join!(one, gone, other);
        assert!((100..105).contains(&one) && (200..205).contains(&other) && !gone, "{one} {other} {gone}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_time_is_lost_if_the_budget_is_asked_often() {
        let budget = RetryBudget::new();
        drain(&budget).await;
        let (start, mut taken) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_secs(6) {
            taken += drain(&budget).await;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        assert!((59..=60).contains(&taken), "{taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deposit_wakes_the_first_in_line() {
        let budget = RetryBudget::new();
        drain(&budget).await;
        let start = Instant::now();
        let recover = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            budget.record_recovery();
        };
        let waiting = budget.withdraw(start + Duration::from_secs(1));
        let (taken, ()) = tokio::join!(waiting, recover);
        assert!(taken);
        assert_eq!(start.elapsed().as_millis(), 20);
    }
}
