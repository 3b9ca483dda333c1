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

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use tokio::time::{Instant, sleep};
use tonic::Code;
use tracing::Instrument;

use self::attempt::{Attempt, FailedAttempt};
use self::budget::RetryBudget;
pub(crate) use self::method::{GENERATE_ACCESS_TOKEN, GENERATE_ID_TOKEN, Method, SIGN_BLOB, SIGN_JWT};
use super::transport::{Transport, require_runtime};
use crate::error::ServiceError;
use crate::retry::{RetryState, random_fraction};
use crate::{Credentials, Error, ErrorKind, RetryPolicy, grpc_timeout};

/// The time limits of a call, and how it is retried.
#[derive(Clone)]
pub(crate) struct CallSettings {
    pub(crate) timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) retry: RetryPolicy,
}

/// A call, checked and encoded once for all its attempts.
pub(crate) struct Call {
    pub(crate) method: &'static Method,
    /// The target as errors show it.
    pub(crate) account: Box<str>,
    pub(crate) message: Bytes,
    /// The value of `x-goog-request-params`.
    pub(crate) route: HeaderValue,
    /// The caller's metadata.
    pub(crate) metadata: HeaderMap,
    /// The value of `x-goog-api-client`, if it isn't the client's usual one.
    pub(crate) api_client: Option<HeaderValue>,
    pub(crate) settings: CallSettings,
}

/// Performs calls. All calls of a client share one.
pub(crate) struct CallExecutor {
    transport: Transport,
    credentials: Credentials,
    /// The headers that never change.
    headers: HeaderMap,
    /// The client's attempt timeout, and its header value.
    usual_timeout: (Duration, HeaderValue),
    budget: RetryBudget,
}

/// How far a call has come.
struct Progress {
    deadline: Instant,
    retry: RetryState,
    /// A rejected source token is replaced at most once.
    token_was_replaced: bool,
}

/// What follows a failed attempt.
enum Next {
    RetryAfter(Duration),
    GiveUp,
}

impl CallExecutor {
    pub(crate) fn new(
        transport: Transport,
        credentials: Credentials,
        headers: HeaderMap,
        attempt_timeout: Duration,
    ) -> Self {
        Self {
            transport,
            credentials,
            headers,
            usual_timeout: (attempt_timeout, grpc_timeout::encode(attempt_timeout)),
            budget: RetryBudget::new(),
        }
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Performs the call. Returns its decoded reply and the number of attempts.
    ///
    /// The call's timeout covers every wait: for credentials, for the connection, for each attempt
    /// and its body, and between attempts.
    pub(crate) async fn execute<R>(&self, call: &Call) -> Result<(R, u32), Error>
    where
        R: prost::Message + Default + 'static,
    {
        require_runtime()?;
        let started = Instant::now();
        let mut progress = Progress {
            deadline: later(started, call.settings.timeout),
            retry: call.settings.retry.start(),
            token_was_replaced: false,
        };
        let Method { operation, .. } = call.method;
        let span = tracing::debug_span!("iam_credentials_call", operation, account = &*call.account);
        let outcome = self.attempt_until_done(call, started, &mut progress).instrument(span).await;
        let attempts = progress.retry.attempts();
        match outcome {
            Ok(reply) => Ok((reply, attempts)),
            Err(error) => Err(error.during(operation, &call.account, attempts).retried()),
        }
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
            let attempt = Attempt::new(self, call, progress.retry.attempts(), now, progress.deadline);
            let failed = match attempt.run().await {
                Ok(reply) => {
                    self.budget.deposit();
                    return Ok(reply);
                }
                Err(failed) => failed,
            };
            now = Instant::now();
            if now >= progress.deadline {
                let message = format!("no success within {:?}", call.settings.timeout);
                return Err(Error::timeout(message, Some(last.unwrap_or(failed.error))));
            }
            match self.next(call, &failed, now, progress).await {
                Next::GiveUp => return Err(failed.error),
                Next::RetryAfter(wait) => {
                    tracing::debug!(attempt = progress.retry.attempts(), ?wait, "next attempt");
                    if !wait.is_zero() {
                        sleep(wait).await;
                    }
                }
            }
            last = Some(failed.error);
            now = Instant::now();
        }
    }

    /// Decides what follows a failed attempt, and takes the retry out of the policy and the budget.
    async fn next(&self, call: &Call, failed: &FailedAttempt, now: Instant, progress: &mut Progress) -> Next {
        let fetch_deadline = later(now, call.settings.attempt_timeout).min(progress.deadline);
        let wait = if self.replace_rejected_token(failed, fetch_deadline, progress).await {
            Duration::ZERO
        } else if progress.retry.policy().allows_retry_after(&failed.error) {
            let asked = failed.error.service().and_then(ServiceError::retry_delay);
            progress.retry.backoff(random_fraction(), asked)
        } else {
            return Next::GiveUp;
        };
        let left = progress.deadline.saturating_duration_since(now);
        match wait < left && progress.retry.begin_attempt() && self.budget.withdraw() {
            true => Next::RetryAfter(wait),
            false => Next::GiveUp,
        }
    }

    /// If the service rejected the source token, invalidates exactly that token and fetches another
    /// by `deadline`. Returns whether there is another.
    async fn replace_rejected_token(
        &self,
        failed: &FailedAttempt,
        deadline: Instant,
        progress: &mut Progress,
    ) -> bool {
        let (false, Some(rejected), ErrorKind::Service, Code::Unauthenticated) =
            (progress.token_was_replaced, &failed.token, failed.error.kind(), failed.error.code())
        else {
            return false;
        };
        let replaced = self.credentials.token_instead_of(rejected, deadline).await;
        progress.token_was_replaced = matches!(replaced, Ok(Some(_)));
        progress.token_was_replaced
    }
}

/// Adds to an instant. A year stands for anything longer, because the sum must not overflow.
fn later(now: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(86_400 * 365);
    now + by.min(FAR)
}
