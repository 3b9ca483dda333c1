//! The budget of retries that all calls of a client share.

use std::time::Duration;

use tower::retry::budget::{Budget, TpsBudget};

/// For how long a success earns retries.
const WINDOW: Duration = Duration::from_secs(10);
/// Retries a second that need no success, so that a client that makes few calls can retry at all.
const FREE_PER_SECOND: u32 = 10;
/// Retries that each success earns.
const RATIO: f32 = 0.1;

/// A token bucket that prevents retry storms: during an outage, all calls of a client together make
/// at most 10 retries a second, plus one for every ten calls that succeeded in the last 10 seconds.
pub(super) struct RetryBudget(TpsBudget);

impl RetryBudget {
    pub(super) fn new() -> Self {
        Self(TpsBudget::new(WINDOW, FREE_PER_SECOND, RATIO))
    }

    /// Records a success.
    pub(super) fn deposit(&self) {
        self.0.deposit();
    }

    /// Takes one retry out. Returns whether there was one.
    pub(super) fn withdraw(&self) -> bool {
        self.0.withdraw()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: G34
    #[test]
    fn a_hundred_retries_are_free_and_ten_successes_earn_one_more() {
        let budget = RetryBudget::new();
        let free = FREE_PER_SECOND * WINDOW.as_secs() as u32;
        assert_eq!((0..1000).filter(|_| budget.withdraw()).count(), free as usize);
        for successes in 1..=10 {
            assert!(!budget.withdraw(), "after {} successes", successes - 1);
            budget.deposit();
        }
        assert!(budget.withdraw());
        assert!(!budget.withdraw());
    }
}
