//! When a failed attempt is repeated, and after how long.

use std::time::Duration;

use tonic::Code;

/// How often a call is attempted, and how long it waits in between.
///
/// A plain value. The default is what Google publishes for this API, with `INTERNAL` added as the
/// REST libraries do for status 500: up to [`MAX_ATTEMPTS`](Self::MAX_ATTEMPTS) attempts on
/// `UNAVAILABLE`, `DEADLINE_EXCEEDED` and `INTERNAL`; waits that start below
/// [`INITIAL_BACKOFF`](Self::INITIAL_BACKOFF), grow by [`MULTIPLIER`](Self::MULTIPLIER) and never
/// pass [`MAX_BACKOFF`](Self::MAX_BACKOFF), each drawn evenly between zero and its bound.
///
/// Failures of the connection, and `RESOURCE_EXHAUSTED` where the server says when to come back,
/// count as retryable under every policy. A server's `RetryInfo` sets the least wait. No wait
/// goes past the call's deadline: the call ends with the last error instead.
///
/// ```
/// use std::time::Duration;
/// use gcp_iam_credentials::RetryPolicy;
///
/// const PATIENT: RetryPolicy = RetryPolicy::new().max_attempts(10).max_backoff(Duration::from_secs(5));
/// assert_eq!(RetryPolicy::none(), RetryPolicy::new().max_attempts(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    max_attempts: u32,
    initial_backoff: Duration,
    max_backoff: Duration,
    multiplier: f64,
    /// Bit `n` stands for gRPC code `n`.
    codes: u32,
}

impl RetryPolicy {
    /// The attempts of a call by default, the first included.
    pub const MAX_ATTEMPTS: u32 = 5;
    /// The bound of the first wait by default.
    pub const INITIAL_BACKOFF: Duration = Duration::from_millis(100);
    /// The bound that no wait passes by default.
    pub const MAX_BACKOFF: Duration = Duration::from_secs(60);
    /// By how much the bound grows from wait to wait by default.
    pub const MULTIPLIER: f64 = 1.3;

    /// The default policy.
    pub const fn new() -> Self {
        Self {
            max_attempts: Self::MAX_ATTEMPTS,
            initial_backoff: Self::INITIAL_BACKOFF,
            max_backoff: Self::MAX_BACKOFF,
            multiplier: Self::MULTIPLIER,
            codes: bit(Code::Unavailable) | bit(Code::DeadlineExceeded) | bit(Code::Internal),
        }
    }

    /// One attempt, whatever comes of it.
    pub const fn none() -> Self {
        Self::new().max_attempts(1)
    }

    /// The most attempts of one call, the first included; zero counts as one.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// The bound of the first wait.
    pub const fn initial_backoff(mut self, bound: Duration) -> Self {
        self.initial_backoff = bound;
        self
    }

    /// The bound that no wait passes, but for a wait the server asks for.
    pub const fn max_backoff(mut self, bound: Duration) -> Self {
        self.max_backoff = bound;
        self
    }

    /// By how much the bound grows from wait to wait; below 1, or not a number, counts as 1.
    pub const fn multiplier(mut self, factor: f64) -> Self {
        self.multiplier = if factor >= 1.0 { factor } else { 1.0 };
        self
    }

    /// Retries a status code as well. `NOT_FOUND`, for example, helps right after an account was
    /// made, while the news of it spreads.
    pub const fn also_retry(mut self, code: Code) -> Self {
        self.codes |= bit(code);
        self
    }

    /// Whether a reply with this code is worth another attempt.
    pub(crate) const fn retries(&self, code: Code) -> bool {
        self.codes & bit(code) != 0
    }

    pub(crate) fn start(self) -> RetryState {
        RetryState { policy: self, attempts: 1, bound: self.initial_backoff.min(self.max_backoff) }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

/// The progress of one call through its policy.
#[derive(Debug)]
pub(crate) struct RetryState {
    policy: RetryPolicy,
    /// Attempts begun so far.
    attempts: u32,
    bound: Duration,
}

impl RetryState {
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(crate) fn policy(&self) -> &RetryPolicy {
        &self.policy
    }

    /// Takes another attempt if one is left.
    pub(crate) fn again(&mut self) -> bool {
        let left = self.attempts < self.policy.max_attempts;
        self.attempts += u32::from(left);
        left
    }

    /// The wait before the next attempt: `fraction` in `0.0..1.0` of the present bound, but at
    /// least what the server asked for. The bound then grows.
    pub(crate) fn backoff(&mut self, fraction: f64, server_delay: Option<Duration>) -> Duration {
        let scaled = |factor: f64| {
            Duration::try_from_secs_f64(self.bound.as_secs_f64() * factor).unwrap_or(Duration::MAX)
        };
        let wait = scaled(fraction.clamp(0.0, 1.0));
        self.bound = scaled(self.policy.multiplier).min(self.policy.max_backoff);
        wait.max(server_delay.unwrap_or_default())
    }
}

/// A number in `0.0..1.0` for jitter. Not for secrets.
pub(crate) fn random_fraction() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    // Each RandomState has fresh keys, so hashing nothing yields a fresh number.
    let bits = RandomState::new().hash_one(()) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

const fn bit(code: Code) -> u32 {
    1 << code as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_published_policy_and_internal() {
        let policy = RetryPolicy::default();
        let retried: Vec<Code> = (0..17).map(Code::from_i32).filter(|code| policy.retries(*code)).collect();
        assert_eq!(retried, [Code::DeadlineExceeded, Code::Internal, Code::Unavailable]);
        assert_eq!(policy.max_attempts, 5);
        assert_eq!(policy.initial_backoff, Duration::from_millis(100));
        assert_eq!(policy.max_backoff, Duration::from_secs(60));
        assert!((policy.multiplier - 1.3).abs() < f64::EPSILON);
    }

    /// conf: G21
    #[test]
    fn attempts_end_at_the_limit() {
        for (limit, expected) in [(0, 1), (1, 1), (5, 5)] {
            let mut state = RetryPolicy::new().max_attempts(limit).start();
            while state.again() {}
            assert_eq!(state.attempts(), expected);
        }
    }

    /// conf: G33
    #[test]
    fn waits_have_full_jitter_under_a_bound_that_grows_and_is_cut_off() {
        let policy = RetryPolicy::new().max_backoff(Duration::from_millis(250));
        let bounds = |fraction: f64| -> Vec<Duration> {
            let mut state = policy.start();
            (0..8).map(|_| state.backoff(fraction, None)).collect()
        };
        let (low, middle, high) = (bounds(0.0), bounds(0.5), bounds(1.0));
        assert_eq!(high[..3], [100, 130, 169].map(Duration::from_millis));
        assert!(high.is_sorted());
        assert_eq!(high[7], Duration::from_millis(250));
        assert!(low.iter().all(Duration::is_zero));
        assert!(middle.iter().zip(&high).all(|(half, whole)| *half * 2 == *whole));
    }

    #[test]
    fn the_servers_delay_is_the_least_wait() {
        let mut state = RetryPolicy::new().start();
        assert_eq!(state.backoff(0.0, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(state.backoff(1.0, Some(Duration::from_millis(1))), Duration::from_millis(130));
    }

    #[test]
    fn extreme_settings_do_not_panic() {
        let policy = RetryPolicy::new()
            .initial_backoff(Duration::MAX)
            .max_backoff(Duration::MAX)
            .multiplier(f64::INFINITY)
            .max_attempts(u32::MAX);
        let mut state = policy.start();
        for _ in 0..4 {
            state.backoff(0.999, None);
        }
        assert_eq!(RetryPolicy::new().multiplier(f64::NAN), RetryPolicy::new().multiplier(1.0));
    }

    #[test]
    fn random_fractions_differ_and_stay_in_range() {
        let drawn: Vec<f64> = (0..1000).map(|_| random_fraction()).collect();
        assert!(drawn.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        let mean = drawn.iter().sum::<f64>() / 1000.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }
}
