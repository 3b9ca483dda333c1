//! Measures what the crate does. Without the feature `metrics`, nothing of this takes time or memory.

#[cfg(feature = "metrics")]
mod hits;
#[cfg(feature = "metrics")]
mod labels;
#[cfg(not(feature = "metrics"))]
mod nothing;
#[cfg(feature = "metrics")]
mod recorded;

#[cfg(feature = "metrics")]
pub(crate) use self::hits::{REPORT_EVERY, hit, report_in_time as report_hits};
#[cfg(all(feature = "broker", not(feature = "metrics")))]
pub(crate) use self::nothing::count_broker_request;
#[cfg(not(feature = "metrics"))]
pub(crate) use self::nothing::{
    CallMeasurement, FetchMeasurement, PoolMeasurement, REPORT_EVERY, RequestMeasurement, count_attempt, hit,
    report_hits,
};
#[cfg(all(feature = "broker", feature = "metrics"))]
pub(crate) use self::recorded::count_broker_request;
#[cfg(feature = "metrics")]
pub(crate) use self::recorded::{
    CallMeasurement, FetchMeasurement, PoolMeasurement, RequestMeasurement, count_attempt,
};
