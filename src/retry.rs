//! When a failed attempt is retried, and after which wait.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tonic::Code;

use crate::{Error, ErrorKind};

/// Whether and when a call makes another attempt.
///
/// A plain value. By default, a call is retried until its
/// [`timeout`](crate::ClientBuilder::timeout), as Google's libraries for other languages do:
///
/// * The number of attempts has no limit: see [`max_attempts`](Self::max_attempts).
/// * It is retried after `UNAVAILABLE`, `DEADLINE_EXCEEDED` and `INTERNAL`. Google publishes the
///   first two for this API, and its REST libraries retry status 500.
/// * The waits are random, between zero and a bound. The bound starts at
///   [`INITIAL_BACKOFF`](Self::INITIAL_BACKOFF) and grows by the factor
///   [`MULTIPLIER`](Self::MULTIPLIER) up to [`MAX_BACKOFF`](Self::MAX_BACKOFF), but it is never more
///   than half of the time that the call has left. So a call succeeds if the service works again
///   ten seconds before the call's timeout.
///
/// Every policy also retries after a timeout of an attempt, after a failed connection, and after
/// `RESOURCE_EXHAUSTED` if the server says how long to wait (`RetryInfo`). A wait is never shorter
/// than the server asks for. If the wait would end after the call's timeout, the call fails at once
/// with the last error.
///
/// All calls of a client share a budget of retries: 100 at once, and then 10 each second. Calls wait
/// for it in line, so they cause no storm in an outage. When retries begin to succeed, the budget
/// grows quickly, and no call has to wait any longer.
///
/// ```
/// use std::time::Duration;
/// use gcp_iam_credentials::{Code, RetryPolicy};
///
/// const PATIENT: RetryPolicy = RetryPolicy::new()
///     .max_attempts(10)
///     .max_backoff(Duration::from_secs(5))
///     .also_retry(Code::NotFound);
/// assert_ne!(PATIENT, RetryPolicy::default());
/// assert_eq!(RetryPolicy::none(), RetryPolicy::new().max_attempts(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// `None`: no limit.
    max_attempts: Option<NonZeroU32>,
    initial_backoff: Duration,
    max_backoff: Duration,
    multiplier: f64,
    /// Bit `n` stands for gRPC code `n`.
    codes: u32,
}

impl RetryPolicy {
    /// The default bound of the first wait: 100 ms.
    pub const INITIAL_BACKOFF: Duration = Duration::from_millis(100);
    /// The default of the largest bound: 60 s.
    pub const MAX_BACKOFF: Duration = Duration::from_secs(60);
    /// The default factor by which the bound grows after each wait: 1.3.
    pub const MULTIPLIER: f64 = 1.3;

    /// Returns the default policy.
    pub const fn new() -> Self {
        Self {
            max_attempts: None,
            initial_backoff: Self::INITIAL_BACKOFF,
            max_backoff: Self::MAX_BACKOFF,
            multiplier: Self::MULTIPLIER,
            codes: bit(Code::Unavailable) | bit(Code::DeadlineExceeded) | bit(Code::Internal),
        }
    }

    /// Returns a policy without retries: one attempt.
    pub const fn none() -> Self {
        Self::new().max_attempts(1)
    }

    /// Sets the largest number of attempts of one call, including the first. Zero means one.
    /// Default: no limit.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = match NonZeroU32::new(attempts) {
            Some(attempts) => Some(attempts),
            None => Some(NonZeroU32::MIN),
        };
        self
    }

    /// Sets the bound of the first wait. Default: [`INITIAL_BACKOFF`](Self::INITIAL_BACKOFF).
    pub const fn initial_backoff(mut self, bound: Duration) -> Self {
        self.initial_backoff = bound;
        self
    }

    /// Sets the largest bound of a wait. Only a wait that the server asks for can be longer. Default:
    /// [`MAX_BACKOFF`](Self::MAX_BACKOFF).
    pub const fn max_backoff(mut self, bound: Duration) -> Self {
        self.max_backoff = bound;
        self
    }

    /// Sets the factor by which the bound grows after each wait. A factor below 1, and one that isn't
    /// a number, means 1. Default: [`MULTIPLIER`](Self::MULTIPLIER).
    pub const fn multiplier(mut self, factor: f64) -> Self {
        self.multiplier = if factor >= 1.0 { factor } else { 1.0 };
        self
    }

    /// Also retries after replies with this status code.
    ///
    /// `NOT_FOUND`, for example, is useful right after an account was created, until it becomes
    /// visible everywhere.
    pub const fn also_retry(mut self, code: Code) -> Self {
        self.codes |= bit(code);
        self
    }

    /// Returns whether the policy allows another attempt after this failure.
    pub(crate) fn allows_retry_after(&self, error: &Error) -> bool {
        match (error.kind(), error.service()) {
            (ErrorKind::Service, Some(service)) => {
                self.retries(service.code())
                    || service.code() == Code::ResourceExhausted && service.retry_delay().is_some()
            }
            (ErrorKind::Timeout, _) => true,
            (ErrorKind::Transport, _) => error.is_transient(),
            // Only the innermost call retries: a source that has done so isn't asked again.
            (ErrorKind::Credentials, _) => error.is_transient() && !error.is_retried(),
            _ => false,
        }
    }

    const fn retries(&self, code: Code) -> bool {
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

/// An attempt that would have less time than this isn't made.
const LEAST_TIME: Duration = Duration::from_millis(10);

/// The attempts and waits of one call so far.
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

    /// Counts another attempt, if the policy allows one more. Returns whether it does.
    pub(crate) fn begin_attempt(&mut self) -> bool {
        let left = self.may_begin_attempt();
        self.attempts = self.attempts.saturating_add(u32::from(left));
        left
    }

    /// Returns whether the policy allows another attempt.
    pub(crate) fn may_begin_attempt(&self) -> bool {
        self.policy.max_attempts.is_none_or(|limit| self.attempts < limit.get())
    }

    /// Returns the wait before the next attempt if the call has `left` this much time: `fraction`
    /// (`0.0..1.0`) of the bound, but at least what the server asked for. Then the bound grows.
    ///
    /// Returns `None` if the attempt would have no time.
    pub(crate) fn backoff(
        &mut self,
        fraction: f64,
        server_delay: Option<Duration>,
        left: Duration,
    ) -> Option<Duration> {
        // With half of the time, the next attempt can still succeed.
        let wait = scaled(self.bound.min(left / 2), fraction.clamp(0.0, 1.0));
        self.bound = scaled(self.bound, self.policy.multiplier).min(self.policy.max_backoff);
        let wait = wait.max(server_delay.unwrap_or_default());
        (wait.saturating_add(LEAST_TIME) <= left).then_some(wait)
    }

    /// Waits until the next attempt may begin, and counts it. Returns `false` at once if there is none:
    /// the policy allows no more, or it would have no time before `deadline`.
    pub(crate) async fn wait(&mut self, server_delay: Option<Duration>, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.backoff(random_fraction(), server_delay, left) {
            Some(wait) if self.begin_attempt() => {
                sleep(wait).await;
                true
            }
            _ => false,
        }
    }
}

fn scaled(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

/// Draws a number in `0.0..1.0` for the next wait.
pub(crate) type Jitter = Box<dyn Fn() -> f64 + Send + Sync>;

/// Returns a random number in `0.0..1.0` for jitter. Not for secrets.
pub(crate) fn random_fraction() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    // Each RandomState has new keys, so the hash of nothing is a new number.
    let bits = RandomState::new().hash_one(()) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

const fn bit(code: Code) -> u32 {
    1 << code as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_default_is_the_published_policy_plus_internal() {
        let policy = RetryPolicy::default();
        let retried: Vec<Code> = (0..17).map(Code::from_i32).filter(|code| policy.retries(*code)).collect();
        assert_eq!(retried, [Code::DeadlineExceeded, Code::Internal, Code::Unavailable]);
        assert_eq!(policy.max_attempts, None);
        assert_eq!(policy.initial_backoff, Duration::from_millis(100));
        assert_eq!(policy.max_backoff, Duration::from_secs(60));
        assert!((policy.multiplier - 1.3).abs() < f64::EPSILON);
    }

    /// conf: G21
    #[test]
    fn attempts_end_at_the_limit() {
        for (limit, expected) in [(0, 1), (1, 1), (5, 5)] {
            let mut state = RetryPolicy::new().max_attempts(limit).start();
            while state.begin_attempt() {}
            assert_eq!(state.attempts(), expected);
        }
        let mut unlimited = RetryPolicy::new().start();
        assert!((0..1000).all(|_| unlimited.begin_attempt()));
        assert_eq!(unlimited.attempts(), 1001);
    }

    /// conf: G33
    #[test]
    fn waits_have_full_jitter_below_a_growing_bound_with_a_maximum() {
        let policy = RetryPolicy::new().max_backoff(Duration::from_millis(250));
        let bounds = |fraction: f64| -> Vec<Duration> {
            let mut state = policy.start();
            (0..8).map(|_| state.backoff(fraction, None, HOUR).unwrap()).collect()
        };
        let (low, middle, high) = (bounds(0.0), bounds(0.5), bounds(1.0));
        assert_eq!(high[..3], [100, 130, 169].map(Duration::from_millis));
        assert!(high.is_sorted());
        assert_eq!(high[7], Duration::from_millis(250));
        assert!(low.iter().all(Duration::is_zero));
        assert!(middle.iter().zip(&high).all(|(half, whole)| *half * 2 == *whole));
    }

    #[test]
    fn a_wait_is_at_least_what_the_server_asks_for() {
        let mut state = RetryPolicy::new().start();
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(state.backoff(0.0, Some(7 * second), minute), Some(7 * second));
        assert_eq!(state.backoff(1.0, Some(second / 1000), minute), Some(Duration::from_millis(130)));
        // It may be more than half of the time, but not more than the time.
        assert_eq!(state.backoff(0.0, Some(59 * second), minute), Some(59 * second));
        assert_eq!(state.backoff(0.0, Some(minute), minute), None);
        assert_eq!(state.backoff(0.0, Some(Duration::MAX), minute), None);
    }

    /// conf: A23
    #[test]
    fn a_wait_leaves_half_of_the_time_and_an_attempt_without_time_is_not_made() {
        let mut state = RetryPolicy::new().initial_backoff(HOUR).max_backoff(HOUR).start();
        for left in [60_000, 1000, 20].map(Duration::from_millis) {
            assert_eq!(state.backoff(1.0, None, left), Some(left / 2));
            assert_eq!(state.backoff(0.5, None, left), Some(left / 4));
        }
        assert_eq!(state.backoff(0.0, None, LEAST_TIME), Some(Duration::ZERO));
        assert_eq!(state.backoff(0.0, None, LEAST_TIME - Duration::from_nanos(1)), None);
        assert_eq!(state.backoff(1.0, None, Duration::ZERO), None);
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
            state.backoff(0.999, None, Duration::MAX);
        }
        assert_eq!(RetryPolicy::new().multiplier(f64::NAN), RetryPolicy::new().multiplier(1.0));
    }

    #[test]
    fn the_bound_grows_by_the_multiplier_and_never_shrinks() {
        for (factor, second) in [(2.5, 2.5), (1.0, 1.0), (0.5, 1.0)] {
            let policy = RetryPolicy::new().initial_backoff(Duration::from_secs(1)).multiplier(factor);
            let mut state = policy.start();
            let waits = [1.0, 1.0].map(|jitter| state.backoff(jitter, None, Duration::MAX));
            assert_eq!(waits, [1.0, second].map(|secs| Some(Duration::from_secs_f64(secs))), "{factor}");
        }
    }

    #[test]
    fn random_fractions_differ_and_stay_in_range() {
        let drawn: Vec<f64> = (0..1000).map(|_| random_fraction()).collect();
        assert!(drawn.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        let mean = drawn.iter().sum::<f64>() / 1000.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }
}
