//! The time that a caller allows for its request, and the part of it that the layer may use.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::grpc_timeout;
use crate::headers::GRPC_TIMEOUT;
use crate::timers::runtime_with_timers;

/// How much of the caller's time is left for the request itself: one fifth.
const RESERVED_SHARE: u32 = 5;
/// The wait for a token ends when this share is left: a quarter. That is a little before the request
/// must be sent, so it can be sent with the token that the cache falls back to.
const TOKEN_RESERVED_SHARE: u32 = 4;

/// What a header that isn't zero can say.
const SHORTEST: Duration = Duration::from_micros(1);

/// The limit that a request's `grpc-timeout` sets.
pub(super) struct TimeLimit {
    began: Instant,
    timeout: Duration,
    /// Made when it is first needed. Always `None` without a runtime that has timers.
    timer: Option<Pin<Box<Sleep>>>,
}

impl TimeLimit {
    /// Returns the limit of a request that arrived now; `None` if it has none.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let timeout = headers.get(GRPC_TIMEOUT).and_then(grpc_timeout::decode)?;
        let began = Instant::now();
        began.checked_add(timeout)?;
        Some(Self { began, timeout, timer: None })
    }

    /// Returns when the wait for a token ends.
    pub(super) fn token_deadline(&self) -> Instant {
        self.began + (self.timeout - self.timeout / TOKEN_RESERVED_SHARE)
    }

    /// Returns the latest time at which the request may be sent.
    fn send_deadline(&self) -> Instant {
        self.began + (self.timeout - self.timeout / RESERVED_SHARE)
    }

    /// Returns the `grpc-timeout` of a request that is sent now; `None` if it is too late to send it.
    pub(super) fn left(&self) -> Option<HeaderValue> {
        let now = Instant::now();
        let left = (self.began + self.timeout).saturating_duration_since(now);
        (now <= self.send_deadline() && left >= SHORTEST).then(|| grpc_timeout::encode(left))
    }

    /// Waits until it is too late to send the request.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.left().is_none() {
            return Poll::Ready(());
        }
        if self.timer.is_none() {
            self.timer = timer(self.send_deadline());
        }
        self.timer.as_mut().map_or(Poll::Pending, |timer| timer.as_mut().poll(cx))
    }
}

/// Returns a timer, if there is a runtime and it has timers.
fn timer(end: Instant) -> Option<Pin<Box<Sleep>>> {
    runtime_with_timers().ok()?;
    Some(Box::pin(sleep_until(end)))
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn limit(timeout: &'static str) -> TimeLimit {
        let headers = HeaderMap::from_iter([(GRPC_TIMEOUT, HeaderValue::from_static(timeout))]);
        TimeLimit::of(&headers).unwrap()
    }

    /// conf: A3
    #[tokio::test(start_paused = true)]
    async fn the_time_left_is_what_is_left_and_never_less_than_a_fifth() {
        for (timeout, passed, left) in [
            ("10S", Duration::ZERO, Some("10000000u")),
            ("10S", Duration::from_secs(8), Some("2000000u")),
            ("10S", Duration::from_nanos(8_000_000_001), None),
            ("10S", Duration::from_secs(11), None),
            ("1000n", Duration::ZERO, Some("1u")),
            ("999n", Duration::ZERO, None),
            ("0S", Duration::ZERO, None),
        ] {
            let limit = limit(timeout);
            advance(passed).await;
            let expected = left.map(HeaderValue::from_static);
            assert_eq!(limit.left(), expected, "{passed:?} of {timeout}");
        }
        assert!(TimeLimit::of(&HeaderMap::new()).is_none());
    }

    /// conf: A3
    #[tokio::test(start_paused = true)]
    async fn the_wait_for_a_token_leaves_time_to_send_the_request() {
        let mut limit = limit("10S");
        let began = Instant::now();
        assert_eq!(limit.token_deadline() - began, Duration::from_millis(7_500));
        std::future::poll_fn(|cx| limit.poll_over(cx)).await;
        assert!((8_000..8_010).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    }
}
