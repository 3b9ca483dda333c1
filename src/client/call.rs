//! One call: the only place that authenticates, bounds, retries and classifies.
//!
//! [`CallExecutor::execute`] runs [`Attempt`]s until one succeeds or none may follow.

mod attempt;
mod budget;
mod classify;
mod codec;
mod method;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod repeated_token;

use std::mem::replace;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use tokio::time::{Instant, sleep};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use self::attempt::{Attempt, FailedAttempt};
use self::budget::RetryBudget;
pub(crate) use self::method::{GENERATE_ACCESS_TOKEN, GENERATE_ID_TOKEN, Method, SIGN_BLOB, SIGN_JWT};
use super::trace_context::{TraceContext, TraceOption};
use super::transport::{Transport, require_runtime};
use crate::error::{AccessPath, ServiceError, code_name};
use crate::measurements::CallMeasurement;
use crate::name::account_in;
use crate::retry::{Jitter, RetryState};
use crate::{Credentials, Error, RetryPolicy, grpc_timeout};

/// The time limits of a call, how it is retried, and which trace it belongs to.
#[derive(Clone)]
pub(crate) struct CallSettings {
    pub(crate) timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) retry: RetryPolicy,
    pub(super) trace: TraceOption,
}

/// A call, checked and encoded once for all its attempts.
pub(crate) struct Call {
    pub(crate) method: &'static Method,
    /// The target as errors show it.
    pub(crate) account: Box<str>,
    /// The names of the delegates, which are part of the message too.
    pub(crate) delegates: Vec<String>,
    pub(crate) message: Bytes,
    /// The value of `x-goog-request-params`.
    pub(crate) route: HeaderValue,
    /// The caller's metadata.
    pub(crate) metadata: HeaderMap,
    /// The value of `x-goog-api-client`, if it isn't the client's usual one.
    pub(crate) api_client: Option<HeaderValue>,
    pub(crate) settings: CallSettings,
}

impl Call {
    /// Returns the caller and the accounts that the call passes through.
    fn path(&self, credentials: &Credentials) -> AccessPath {
        let accounts =
            self.delegates.iter().map(|name| account_in(name).into()).chain([self.account.clone()]);
        let info = credentials.info();
        AccessPath {
            caller: info.principal().map(Into::into),
            is_caller_likely: info.is_principal_likely(),
            accounts: accounts.collect(),
        }
    }
}

/// Performs calls. All calls of a client share one.
pub(crate) struct CallExecutor {
    transport: Arc<Transport>,
    credentials: Credentials,
    /// The headers that never change.
    headers: HeaderMap,
    /// The client's attempt timeout, and its header value.
    usual_timeout: (Duration, HeaderValue),
    budget: Arc<RetryBudget>,
    jitter: Arc<Jitter>,
}

/// How far a call has come.
struct Progress {
    deadline: Instant,
    /// What each attempt sends.
    trace: Option<TraceContext>,
    retry: RetryState,
    /// How many requests were sent.
    requests: u32,
    /// A rejected source token is replaced at most once.
    token_was_replaced: bool,
    /// The first lost connection takes nothing from the budget.
    connection_was_lost: bool,
    /// Whether a retry was taken from the budget.
    withdrew: bool,
}

impl Progress {
    fn new(started: Instant, settings: &CallSettings) -> Self {
        Self {
            deadline: later(started, settings.timeout),
            trace: None,
            retry: settings.retry.start(),
            requests: 0,
            token_was_replaced: false,
            connection_was_lost: false,
            withdrew: false,
        }
    }

    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Returns the error of a call that ends with `error`.
    fn final_error(&self, call: &Call, error: Error) -> Error {
        if !self.time_left().is_zero() {
            return error;
        }
        Error::timeout(format!("no success within {:?}", call.settings.timeout), Some(error))
    }
}

impl CallExecutor {
    pub(crate) fn new(
        transport: Transport,
        credentials: Credentials,
        headers: HeaderMap,
        attempt_timeout: Duration,
        jitter: Jitter,
    ) -> Self {
        Self {
            transport: Arc::new(transport),
            credentials,
            headers,
            usual_timeout: (attempt_timeout, grpc_timeout::encode(attempt_timeout)),
            budget: Arc::new(RetryBudget::new()),
            jitter: Arc::new(jitter),
        }
    }

    /// Returns an executor for other credentials, over the same connection and with the same budget
    /// of retries.
    pub(crate) fn with_credentials(&self, credentials: Credentials, headers: HeaderMap) -> Self {
        Self {
            transport: Arc::clone(&self.transport),
            credentials,
            headers,
            usual_timeout: self.usual_timeout.clone(),
            budget: Arc::clone(&self.budget),
            jitter: Arc::clone(&self.jitter),
        }
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Performs the call. Returns its decoded reply and the number of requests that were sent.
    ///
    /// The call's timeout covers every wait: for credentials, for the connection, for each attempt
    /// and its body, between attempts, and for the budget.
    pub(crate) async fn execute<R>(&self, call: &Call) -> Result<(R, u32), Error>
    where
        R: prost::Message + Default + 'static,
    {
        require_runtime()?;
        let started = Instant::now();
        let mut progress = Progress::new(started, &call.settings);
        let Method { operation, .. } = call.method;
        let span = self.span(call);
        // In the span, so that a provider can find it.
        progress.trace = span.in_scope(|| call.settings.trace.now());
        if let Some(trace) = &progress.trace {
            span.record("trace_id", trace.trace_id());
        }
        let measurement = CallMeasurement::begin(operation);
        let attempts = self.attempt_until_done(call, started, &mut progress);
        let outcome = attempts.instrument(span.clone()).await;
        measurement.end(outcome.as_ref().err());
        let requests = progress.requests;
        record_outcome(&span, requests, outcome.as_ref().err());
        match outcome {
            Ok(reply) => Ok((reply, requests)),
            Err(error) => {
                let error = error.during(operation, &call.account, requests).retried();
                Err(error.on_path(|| call.path(&self.credentials)))
            }
        }
    }

    /// Returns the span of a call, without what isn't known yet.
    fn span(&self, call: &Call) -> Span {
        tracing::debug_span!(
            "iam_credentials_call",
            operation = call.method.operation,
            account = &*call.account,
            endpoint = %self.transport.origin(),
            trace_id = Empty,
            requests = Empty,
            code = Empty,
            reason = Empty,
        )
    }

    async fn attempt_until_done<R>(
        &self,
        call: &Call,
        mut now: Instant,
        progress: &mut Progress,
    ) -> Result<R, Error>
    where
        R: prost::Message + Default + 'static,
    {
        let mut last = None;
        loop {
            let attempt = Attempt::new(self, call, progress, now);
            let failed = match attempt.run().await {
                Ok(reply) => {
                    progress.requests += 1;
                    self.record_success(progress);
                    return Ok(reply);
                }
                Err(failed) => failed,
            };
            progress.requests += u32::from(failed.is_sent());
            // An attempt that the call's timeout has cut off says nothing about the cause.
            let cut_off = progress.time_left().is_zero();
            if cut_off || !self.may_retry(call, &failed, progress).await {
                return Err(progress.final_error(call, last.filter(|_| cut_off).unwrap_or(failed.error)));
            }
            last = Some(failed.error);
            now = Instant::now();
        }
    }

    fn record_success(&self, progress: &Progress) {
        match progress.withdrew {
            true => self.budget.record_recovery(),
            false => self.budget.record_success(),
        }
    }

    /// Returns whether the call makes another attempt, after the waits before it.
    async fn may_retry(&self, call: &Call, failed: &FailedAttempt, progress: &mut Progress) -> bool {
        match self.replace_rejected_token(call, failed, progress).await {
            Ok(true) => return true,
            Ok(false) if progress.retry.policy().allows_retry_after(&failed.error) => {}
            Err(error) if progress.retry.policy().allows_retry_after(&error) => {}
            Ok(false) | Err(_) => return false,
        }
        let asked = failed.error.service().and_then(ServiceError::retry_delay);
        let Some(wait) = progress.retry.backoff((self.jitter)(), asked, progress.time_left()) else {
            return false;
        };
        if !progress.retry.begin_attempt() {
            return false;
        }
        tracing::debug!(attempt = progress.retry.attempts(), ?wait, "next attempt");
        sleep(wait).await;
        let is_free = failed.lost_its_connection() && !replace(&mut progress.connection_was_lost, true);
        if !is_free {
            progress.withdrew = self.budget.withdraw(progress.deadline).await;
        }
        is_free || progress.withdrew
    }

    /// If the service rejected the source token, invalidates exactly that token and, the first time,
    /// fetches another one for the next attempt. Returns whether there is another one.
    ///
    /// # Errors
    ///
    /// The source's failure.
    async fn replace_rejected_token(
        &self,
        call: &Call,
        failed: &FailedAttempt,
        progress: &mut Progress,
    ) -> Result<bool, Error> {
        let Some(rejected) = failed.rejected_token() else { return Ok(false) };
        if progress.token_was_replaced || !progress.retry.may_begin_attempt() {
            self.credentials.invalidate(rejected);
            return Ok(false);
        }
        let deadline = later(Instant::now(), call.settings.attempt_timeout).min(progress.deadline);
        let replaced = self.credentials.token_instead_of(rejected, deadline).await;
        progress.token_was_replaced = replaced.map_err(Error::no_source_token)?.is_some();
        Ok(progress.token_was_replaced && progress.retry.begin_attempt())
    }
}

/// Completes the span of a call.
fn record_outcome(span: &Span, requests: u32, failure: Option<&Error>) {
    span.record("requests", requests);
    span.record("code", failure.map_or("OK", |error| code_name(error.code())));
    if let Some(reason) = failure.and_then(Error::service).and_then(ServiceError::reason) {
        span.record("reason", reason);
    }
}

/// Adds to an instant. A year stands for anything longer, because the sum must not overflow.
fn later(now: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(86_400 * 365);
    now + by.min(FAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_far_away_is_no_overflow() {
        let (now, week) = (Instant::now(), Duration::from_secs(7 * 86_400));
        assert_eq!(later(now, week), now + week);
        assert!(later(now, Duration::MAX) > now + 50 * week);
    }
}
