//! The measurements that are given to the recorder.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Gauge, counter, gauge, histogram};
use tokio::time::Instant;

use super::{hits, labels};
use crate::metrics::{
    CACHE_WAITERS, CACHE_WAITS, CALL_ATTEMPTS, CALL_DURATION, FETCH_DURATION, FETCH_FAILURES,
    FETCH_QUEUE_DURATION, FETCHES, FETCHES_IN_PROGRESS, POOL_EVICTIONS, POOL_IDENTITIES,
};
use crate::source::FetchReason;
use crate::{Error, Token};

/// The result of a fetch or a call whose future was dropped.
const CANCELLED: &str = "CANCELLED";

/// Counts something that is in progress, until it is dropped.
struct InProgress(Gauge);

impl InProgress {
    fn begin(gauge: Gauge) -> Self {
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// One request for a token that the fast path couldn't answer, until it is dropped.
pub(crate) struct RequestMeasurement {
    counts: bool,
    /// Set once the request waits.
    waiter: Option<InProgress>,
}

impl RequestMeasurement {
    /// Begins a request, which is measured only if it `counts`.
    pub(crate) fn begin(counts: bool) -> Self {
        Self { counts, waiter: None }
    }

    /// Takes in that the request waits for a fetch. A request that waits for several counts once.
    pub(crate) fn waits(&mut self) {
        if self.counts && self.waiter.is_none() {
            counter!(CACHE_WAITS).increment(1);
            self.waiter = Some(InProgress::begin(gauge!(CACHE_WAITERS)));
        }
    }

    /// Returns the token. That is a hit if the request didn't wait.
    pub(crate) fn answered_at_once(&self, token: Token) -> Option<Token> {
        match self.counts && self.waiter.is_none() {
            true => hits::hit(Some(token)),
            false => Some(token),
        }
    }
}

/// One fetch of a token. If it is dropped before its end, it was cancelled.
pub(crate) struct FetchMeasurement {
    reason: &'static str,
    /// `None` while the fetch waits for its turn.
    began: Option<Instant>,
    has_ended: bool,
    _fetch: InProgress,
}

impl FetchMeasurement {
    pub(crate) fn begin(reason: FetchReason, is_in_line: bool) -> Self {
        Self {
            reason: labels::of_fetch(reason),
            began: (!is_in_line).then(Instant::now),
            has_ended: false,
            _fetch: InProgress::begin(gauge!(FETCHES_IN_PROGRESS)),
        }
    }

    /// Takes in that the turn of the fetch has come, which it waited for.
    pub(crate) fn turn_came(&mut self, waited: Duration) {
        histogram!(FETCH_QUEUE_DURATION).record(waited);
        self.began = Some(Instant::now());
    }

    pub(crate) fn end(mut self, failure: Option<&Error>) {
        self.has_ended = true;
        self.record(if failure.is_none() { "ok" } else { "error" });
        if let Some(error) = failure {
            let (kind, code, reason) = (labels::kind(error), labels::code(failure), labels::reason(error));
            counter!(FETCH_FAILURES, "kind" => kind, "code" => code, "reason" => reason).increment(1);
        }
    }

    fn record(&self, result: &'static str) {
        counter!(FETCHES, "reason" => self.reason, "result" => result).increment(1);
        if let Some(began) = self.began {
            histogram!(FETCH_DURATION, "result" => result).record(began.elapsed());
        }
        hits::report();
    }
}

impl Drop for FetchMeasurement {
    fn drop(&mut self) {
        if !self.has_ended {
            self.record("cancelled");
        }
    }
}

/// One call with all its attempts. If it is dropped before its end, it was cancelled.
pub(crate) struct CallMeasurement {
    operation: &'static str,
    began: Instant,
    has_ended: bool,
}

impl CallMeasurement {
    pub(crate) fn begin(operation: &'static str) -> Self {
        Self { operation, began: Instant::now(), has_ended: false }
    }

    pub(crate) fn end(mut self, failure: Option<&Error>) {
        self.has_ended = true;
        self.record(labels::code(failure));
    }

    fn record(&self, code: &'static str) {
        histogram!(CALL_DURATION, "operation" => self.operation, "code" => code).record(self.began.elapsed());
    }
}

impl Drop for CallMeasurement {
    fn drop(&mut self) {
        if !self.has_ended {
            self.record(CANCELLED);
        }
    }
}

/// Counts a request that the broker has answered.
#[cfg(feature = "broker")]
pub(crate) fn count_broker_request(protocol: &'static str, result: &'static str) {
    counter!(crate::metrics::BROKER_REQUESTS, "protocol" => protocol, "result" => result).increment(1);
}

/// Counts an attempt that ended.
pub(crate) fn count_attempt(operation: &'static str, failure: Option<&Error>) {
    counter!(CALL_ATTEMPTS, "operation" => operation, "code" => labels::code(failure)).increment(1);
}

/// The identities of one pool, until it is dropped.
pub(crate) struct PoolMeasurement {
    gauge: Gauge,
    identities: AtomicU64,
}

impl PoolMeasurement {
    pub(crate) fn begin() -> Self {
        Self { gauge: gauge!(POOL_IDENTITIES), identities: AtomicU64::new(0) }
    }

    /// Takes in what one use of the pool has changed. The pool's lock must not be held, because the
    /// recorder is code of the program.
    pub(crate) fn changed(&self, added: u64, evicted: u64) {
        // Those of others that were evicted may not be added yet, so this order: the gauge is never below zero.
        if added > 0 {
            self.identities.fetch_add(added, Ordering::Relaxed);
            self.gauge.increment(added as f64);
        }
        if evicted > 0 {
            self.identities.fetch_sub(evicted, Ordering::Relaxed);
            self.gauge.decrement(evicted as f64);
            counter!(POOL_EVICTIONS).increment(evicted);
        }
    }
}

impl Drop for PoolMeasurement {
    fn drop(&mut self) {
        self.gauge.decrement(*self.identities.get_mut() as f64);
    }
}
