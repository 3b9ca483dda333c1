//! Requests to a platform outside Google Cloud: to a metadata server, for example.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use tokio::time::{Instant, timeout_at};

use crate::http_client::{HttpClient, Reply, SendError};
use crate::{Error, RetryPolicy};

/// How many attempts one request makes. No outer call retries it.
const RETRY: RetryPolicy = RetryPolicy::new().max_attempts(3);

/// The longest time for one attempt. Metadata servers and issuers answer at once.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends a request that may be repeated, until there is a reply with status 200. Errors name the host
/// and `field`, which contains the URL, and no part of a reply.
///
/// # Errors
///
/// Transient if the host can't be reached, doesn't reply in time, is overloaded or broken. Permanent
/// if it refuses the request. Every error is marked as retried.
pub(crate) async fn send(
    http: &HttpClient,
    request: &Request<Bytes>,
    field: &'static str,
    deadline: Instant,
) -> Result<Reply, Error> {
    let host = request.uri().host().unwrap_or_default();
    let mut retries = RETRY.start();
    loop {
        let (error, minimum) = match attempt(http, request, deadline).await {
            Ok(reply) if reply.status == StatusCode::OK => return Ok(reply),
            Ok(reply) => (refused(&reply, host, field), reply.retry_after()),
            Err(cause) => (failed(&cause, host, field), None),
        };
        tracing::debug!(host, attempt = retries.attempts(), error = %error.in_one_line(), "no subject token");
        if !error.is_transient() || !retries.wait(minimum, deadline).await {
            return Err(error.retried());
        }
    }
}

async fn attempt(http: &HttpClient, request: &Request<Bytes>, deadline: Instant) -> Result<Reply, Error> {
    let start = Instant::now();
    let end = deadline.min(start + ATTEMPT_TIMEOUT);
    match timeout_at(end, http.send(request.clone())).await {
        Ok(reply) => reply.map_err(|SendError { error }| error),
        Err(_elapsed) => {
            let allowed = end.saturating_duration_since(start);
            Err(Error::timeout(format!("no reply within {allowed:.1?}"), None))
        }
    }
}

fn refused(reply: &Reply, host: &str, field: &str) -> Error {
    let status = reply.status;
    let reason = match status {
        _ if status.is_redirection() => " (a redirection, which is not followed)",
        _ if reply.is_html() => " and a page of HTML, so a proxy or another server replied",
        _ => "",
    };
    let message = format!("no subject token: {host} ({field}) replied with {status}{reason}");
    Error::credentials(message, reply.is_transient_failure())
}

fn failed(cause: &Error, host: &str, field: &str) -> Error {
    let message = format!("no subject token from {host} ({field}): {}", cause.in_one_line());
    Error::credentials(message, cause.is_transient())
}
