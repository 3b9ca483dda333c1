//! The measurements of a build without metrics.

use std::time::Duration;

use crate::source::FetchReason;
use crate::{Error, Token};

/// Nothing has to be reported.
pub(crate) const REPORT_EVERY: Duration = Duration::MAX;

#[inline]
pub(crate) fn hit<T>(served: Option<T>) -> Option<T> {
    served
}

#[inline]
pub(crate) fn report_hits() {}

pub(crate) struct RequestMeasurement;

impl RequestMeasurement {
    pub(crate) fn begin(_counts: bool) -> Self {
        Self
    }

    pub(crate) fn waits(&mut self) {}

    pub(crate) fn answered_at_once(&self, token: Token) -> Option<Token> {
        Some(token)
    }
}

pub(crate) struct FetchMeasurement;

impl FetchMeasurement {
    pub(crate) fn begin(_reason: FetchReason, _is_in_line: bool) -> Self {
        Self
    }

    pub(crate) fn turn_came(&mut self, _waited: Duration) {}

    pub(crate) fn end(self, _failure: Option<&Error>) {}
}

pub(crate) struct CallMeasurement;

impl CallMeasurement {
    pub(crate) fn begin(_operation: &'static str) -> Self {
        Self
    }

    pub(crate) fn end(self, _failure: Option<&Error>) {}
}

pub(crate) fn count_attempt(_operation: &'static str, _failure: Option<&Error>) {}

#[cfg(feature = "broker")]
pub(crate) fn count_broker_request(_protocol: &'static str, _result: &'static str) {}

pub(crate) struct PoolMeasurement;

impl PoolMeasurement {
    pub(crate) fn begin() -> Self {
        Self
    }

    pub(crate) fn changed(&self, _added: u64, _evicted: u64) {}
}
