//! One attempt of a call: get a token, send the request, read the reply, all within a time limit.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use http::{Extensions, HeaderMap, header};
use tokio::time::{Instant, timeout_at};
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::{Code, GrpcMethod, Status};

use super::classify::classify;
use super::codec::EncodedCodec;
use super::method::SERVICE;
use super::repeated_token::without_token;
use super::{Call, CallExecutor, Progress, later};
use crate::client::trace_context::TraceContext;
use crate::client::transport::{Connection, Exchange};
use crate::headers::{API_CLIENT, GRPC_TIMEOUT, REQUEST_PARAMS};
use crate::measurements::count_attempt;
use crate::panics::catch_panic;
use crate::{Error, ErrorKind, Token, grpc_timeout};

/// How many headers a request has: at most three that never change, three of the attempt, two of the
/// trace, and three that tonic adds.
const HEADERS: usize = 11;

/// One attempt of a call.
pub(super) struct Attempt<'a> {
    executor: &'a CallExecutor,
    call: &'a Call,
    trace: Option<&'a TraceContext>,
    number: u32,
    started: Instant,
    allowed: Duration,
    deadline: Instant,
}

/// A failed attempt.
pub(super) struct FailedAttempt {
    pub(super) error: Error,
    /// The token of the request. `None`: there was none to send.
    pub(super) token: Option<Token>,
    /// What became of the request.
    exchange: Exchange,
}

impl FailedAttempt {
    /// Returns whether a request was sent.
    pub(super) fn is_sent(&self) -> bool {
        self.exchange.is_sent()
    }

    /// Returns whether the connection was lost after the request was sent.
    pub(super) fn lost_its_connection(&self) -> bool {
        let no_reply = self.exchange.non_grpc_status().is_none();
        self.error.kind() == ErrorKind::Transport && self.is_sent() && no_reply
    }

    /// Returns the token if the service rejected it.
    pub(super) fn rejected_token(&self) -> Option<&Token> {
        let rejected = self.error.kind() == ErrorKind::Service && self.error.code() == Code::Unauthenticated;
        self.token.as_ref().filter(|_| rejected)
    }
}

impl<'a> Attempt<'a> {
    /// Allows the call's attempt timeout, or what is left until the call's deadline.
    pub(super) fn new(
        executor: &'a CallExecutor,
        call: &'a Call,
        progress: &'a Progress,
        started: Instant,
    ) -> Self {
        let left = progress.deadline.saturating_duration_since(started);
        let allowed = call.settings.attempt_timeout.min(left);
        let (trace, number) = (progress.trace.as_ref(), progress.retry.attempts());
        Self { executor, call, trace, number, started, allowed, deadline: later(started, allowed) }
    }

    pub(super) async fn run<R>(self) -> Result<R, FailedAttempt>
    where
        R: prost::Message + Default + 'static,
    {
        let exchange = Exchange::default();
        let (token, left) = match self.token().await {
            Ok(token) => token,
            Err(error) => return Err(self.failed(error, None, exchange)),
        };
        if let Some(identity) = self.executor.transport.changing_identity() {
            identity.refresh().await;
        }
        let connection = self.executor.transport.connection();
        let outcome = {
            let reply = pin!(self.send(&token, left, &connection, &exchange));
            self.bounded("no reply", reply).await
        };
        match outcome {
            Ok(reply) => {
                count_attempt(self.call.method.operation, None);
                tracing::debug!(attempt = self.number, took = ?self.started.elapsed(), "attempt succeeded");
                Ok(reply)
            }
            Err(error) => {
                // Not only if the step was cut off: tonic's own timer may be the first to fire.
                if error.kind() == ErrorKind::Timeout {
                    self.executor.transport.drop_if_silent(&connection, left);
                }
                Err(self.failed(error, Some(token), exchange))
            }
        }
    }

    /// Returns the source token, and the time that is left for the request.
    async fn token(&self) -> Result<(Token, Duration), Error> {
        if self.allowed.is_zero() {
            return Err(self.timeout("no reply"));
        }
        let credentials = &self.executor.credentials;
        if let Some(token) = credentials.poll_fast() {
            return Ok((token, self.allowed));
        }
        let fetch = pin!(async {
            let fetched = match self.number {
                1 => credentials.token_within(self.deadline).await,
                // The cache may still replay the failure that led to this attempt.
                _ => credentials.token_for_retry_within(self.deadline).await,
            };
            fetched.map_err(Error::no_source_token)
        });
        let token = self.bounded("no source token", fetch).await?;
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(self.timeout("no reply")),
            left => Ok((token, left)),
        }
    }

    /// Awaits one step until the attempt's deadline. A panic becomes an error: tonic panics, for
    /// example, if the details of a status aren't base64.
    async fn bounded<T>(
        &self,
        missing: &'static str,
        step: Pin<&mut impl Future<Output = Result<T, Error>>>,
    ) -> Result<T, Error> {
        // Making the timer is part of the future, because it panics if the runtime has no timers.
        let in_time = pin!(async { timeout_at(self.deadline, step).await });
        match catch_panic(in_time).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_elapsed)) => Err(self.timeout(missing)),
            Err(panic) => Err(Error::invalid_reply(format!("the reply couldn't be read: {panic}"))),
        }
    }

    fn timeout(&self, missing: &'static str) -> Error {
        Error::timeout(format!("{missing} within {:?}", self.allowed), None)
    }

    async fn send<R>(
        &self,
        token: &Token,
        allowed: Duration,
        connection: &Connection<'_>,
        exchange: &Exchange,
    ) -> Result<R, Error>
    where
        R: prost::Message + Default + 'static,
    {
        let transport = &self.executor.transport;
        let explain = |status| classify(without_token(status, token), exchange, transport.origin());

        let mut grpc = Grpc::with_origin(connection.observe(exchange), transport.request_origin());
        grpc.ready().await.map_err(|error| explain(Status::from_error(error)))?;

        let mut extensions = Extensions::new();
        extensions.insert(GrpcMethod::new(SERVICE, self.call.method.name));
        let metadata = MetadataMap::from_headers(self.headers(token, allowed));
        let request = tonic::Request::from_parts(metadata, extensions, self.call.message.clone());
        let reply = grpc.unary(request, self.call.method.path(), EncodedCodec::new()).await;
        reply.map(tonic::Response::into_inner).map_err(explain)
    }

    fn headers(&self, token: &Token, allowed: Duration) -> HeaderMap {
        let Call { metadata, api_client, route, .. } = self.call;
        // A clone of a map would have no room to grow.
        let mut headers = HeaderMap::with_capacity(HEADERS + metadata.len());
        headers.extend(self.executor.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        if !metadata.is_empty() {
            headers.extend(metadata.clone());
        }
        if let Some(api_client) = api_client {
            headers.insert(API_CLIENT, api_client.clone());
        }
        let (usual, encoded) = &self.executor.usual_timeout;
        let timeout = if allowed == *usual { encoded.clone() } else { grpc_timeout::encode(allowed) };
        headers.insert(GRPC_TIMEOUT, timeout);
        headers.insert(REQUEST_PARAMS, route.clone());
        headers.insert(header::AUTHORIZATION, token.header_value().clone());
        if let Some(trace) = self.trace {
            trace.write_to(&mut headers);
        }
        headers
    }

    fn failed(&self, error: Error, token: Option<Token>, exchange: Exchange) -> FailedAttempt {
        tracing::debug!(
            attempt = self.number,
            took = ?self.started.elapsed(),
            transient = error.is_transient(),
            error = %error.in_one_line(),
            "attempt failed"
        );
        count_attempt(self.call.method.operation, Some(&error));
        FailedAttempt { error, token, exchange }
    }
}
