//! The metrics that the crate reports to the recorder of the [`metrics`](https://docs.rs/metrics) facade.
//!
//! The program installs a recorder, such as that of `metrics-exporter-prometheus`, before it makes clients and pools.
//! Without one, nothing is recorded. [`guide::tracing`](crate::guide::tracing) lists the metrics with their labels.
//!
//! No label contains a token, an account, a host or a URL, and each label has a fixed set of values.
//!
//! ```
//! use gcp_iam_credentials::metrics;
//!
//! # fn install_recorder() {}
//! install_recorder();
//! metrics::describe();
//! ```

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Fetches that ended: `gcp_iam_credentials_fetches_total`.
pub const FETCHES: &str = "gcp_iam_credentials_fetches_total";
/// Fetches that failed, by cause: `gcp_iam_credentials_fetch_failures_total`.
pub const FETCH_FAILURES: &str = "gcp_iam_credentials_fetch_failures_total";
/// How long a fetch takes from when its turn has come: `gcp_iam_credentials_fetch_duration_seconds`.
pub const FETCH_DURATION: &str = "gcp_iam_credentials_fetch_duration_seconds";
/// How long a fetch of a pool waits for its turn: `gcp_iam_credentials_fetch_queue_duration_seconds`.
pub const FETCH_QUEUE_DURATION: &str = "gcp_iam_credentials_fetch_queue_duration_seconds";
/// Fetches in progress, those that wait for their turn included: `gcp_iam_credentials_fetches_in_progress`.
pub const FETCHES_IN_PROGRESS: &str = "gcp_iam_credentials_fetches_in_progress";
/// Requests for a token that the cache answered at once: `gcp_iam_credentials_cache_hits_total`.
pub const CACHE_HITS: &str = "gcp_iam_credentials_cache_hits_total";
/// Requests for a token that had to wait for a fetch: `gcp_iam_credentials_cache_waits_total`.
pub const CACHE_WAITS: &str = "gcp_iam_credentials_cache_waits_total";
/// Requests that are waiting for a token: `gcp_iam_credentials_cache_waiters`.
pub const CACHE_WAITERS: &str = "gcp_iam_credentials_cache_waiters";
/// Identities in all pools: `gcp_iam_credentials_pool_identities`.
pub const POOL_IDENTITIES: &str = "gcp_iam_credentials_pool_identities";
/// Identities that full pools have dropped: `gcp_iam_credentials_pool_evictions_total`.
pub const POOL_EVICTIONS: &str = "gcp_iam_credentials_pool_evictions_total";
/// How long a call of the API takes, with all its attempts: `gcp_iam_credentials_call_duration_seconds`.
pub const CALL_DURATION: &str = "gcp_iam_credentials_call_duration_seconds";
/// Attempts of calls: `gcp_iam_credentials_call_attempts_total`.
pub const CALL_ATTEMPTS: &str = "gcp_iam_credentials_call_attempts_total";

/// Requests that the broker has answered: `gcp_iam_credentials_broker_requests_total`.
pub const BROKER_REQUESTS: &str = "gcp_iam_credentials_broker_requests_total";

/// Gives the recorder the unit and a description of each metric. Call it after the recorder is installed.
///
/// Recorders that show no descriptions don't need it.
pub fn describe() {
    let counters = [
        (FETCHES, "Fetches of tokens that ended."),
        (FETCH_FAILURES, "Fetches of tokens that failed, by cause."),
        (CACHE_HITS, "Requests for a token that the cache answered at once."),
        (CACHE_WAITS, "Requests for a token that had to wait for a fetch."),
        (POOL_EVICTIONS, "Identities that full pools have dropped."),
        (CALL_ATTEMPTS, "Attempts of calls of the IAM Credentials API."),
        (BROKER_REQUESTS, "Requests for tokens that the broker has answered."),
    ];
    for (name, description) in counters {
        describe_counter!(name, Unit::Count, description);
    }
    let gauges = [
        (FETCHES_IN_PROGRESS, "Fetches in progress, those that wait for their turn included."),
        (CACHE_WAITERS, "Requests that are waiting for a token."),
        (POOL_IDENTITIES, "Identities in all pools."),
    ];
    for (name, description) in gauges {
        describe_gauge!(name, Unit::Count, description);
    }
    let durations = [
        (FETCH_DURATION, "How long a fetch takes from when its turn has come."),
        (FETCH_QUEUE_DURATION, "How long a fetch of a pool waits for its turn."),
        (CALL_DURATION, "How long a call takes, with all its attempts."),
    ];
    for (name, description) in durations {
        describe_histogram!(name, Unit::Seconds, description);
    }
}
