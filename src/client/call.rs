//! One call: the only place that authenticates, bounds, retries, classifies and maps tonic's errors.

use std::error::Error as StdError;
use std::io;
use std::marker::PhantomData;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, HeaderValue, header};
use tokio::time::{Instant, sleep, timeout_at};
use tonic::client::Grpc;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::{Code, ConnectError, GrpcMethod, Status, TimeoutExpired};
use tonic_prost::ProstDecoder;
use tower::retry::budget::{Budget, TpsBudget};
use tracing::Instrument;

use super::transport::{Connection, ReplyHead, Transport, need_runtime};
use crate::error::ServiceError;
use crate::headers::{API_CLIENT, GRPC_TIMEOUT, REQUEST_PARAMS};
use crate::panics::catch_panic;
use crate::retry::{RetryState, random_fraction};
use crate::{Credentials, Error, ErrorKind, RetryPolicy, Token, grpc_timeout};

/// How many headers a call has: at most three that never change, three of the attempt, and three
/// that tonic adds.
const HEADERS: usize = 9;

const SERVICE: &str = "google.iam.credentials.v1.IAMCredentials";

/// How long a success counts towards retries elsewhere.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);
/// Retries a second that are free, so that a client of few calls can retry at all.
const BUDGET_FREE_PER_SECOND: u32 = 10;
/// Retries for every call that succeeded.
const BUDGET_RATIO: f32 = 0.1;

/// One of the four RPCs.
pub(crate) struct Method {
    /// The name of the facade's method: errors show it.
    pub(crate) operation: &'static str,
    name: &'static str,
    /// Parsed once, not with every call.
    path: LazyLock<PathAndQuery>,
}

macro_rules! method {
    ($constant:ident, $operation:literal, $name:literal) => {
        pub(crate) static $constant: Method = Method {
            operation: $operation,
            name: $name,
            path: LazyLock::new(|| {
                PathAndQuery::from_static(concat!("/google.iam.credentials.v1.IAMCredentials/", $name))
            }),
        };
    };
}

method!(GENERATE_ACCESS_TOKEN, "generate_access_token", "GenerateAccessToken");
method!(GENERATE_ID_TOKEN, "generate_id_token", "GenerateIdToken");
method!(SIGN_BLOB, "sign_blob", "SignBlob");
method!(SIGN_JWT, "sign_jwt", "SignJwt");

/// What a call may take and how it is repeated.
#[derive(Clone)]
pub(crate) struct CallSettings {
    pub(crate) timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) retry: RetryPolicy,
}

/// A call, checked and encoded once, to be attempted as often as need be.
pub(crate) struct Call {
    pub(crate) method: &'static Method,
    /// The target as errors show it.
    pub(crate) account: Box<str>,
    pub(crate) message: Bytes,
    pub(crate) route: HeaderValue,
    /// The caller's own metadata.
    pub(crate) metadata: HeaderMap,
    /// What `x-goog-api-client` says, where it is not the client's usual.
    pub(crate) usage: Option<HeaderValue>,
    pub(crate) settings: CallSettings,
}

/// What all calls of a client share.
pub(crate) struct Caller {
    transport: Transport,
    credentials: Credentials,
    /// The headers that never change.
    headers: HeaderMap,
    /// The usual attempt timeout, and its header ready made.
    usual_timeout: (Duration, HeaderValue),
    budget: TpsBudget,
}

impl Caller {
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
            budget: TpsBudget::new(BUDGET_WINDOW, BUDGET_FREE_PER_SECOND, BUDGET_RATIO),
        }
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Makes the call and decodes its reply; says how many attempts it took.
    ///
    /// Every wait is inside: for credentials, for the connection, for each attempt and its body,
    /// and between attempts.
    pub(crate) async fn call<R>(&self, call: &Call) -> Result<(R, u32), Error>
    where
        R: prost::Message + Default + 'static,
    {
        need_runtime()?;
        let mut retry = call.settings.retry.start();
        let span = tracing::debug_span!(
            "iam_credentials_call",
            operation = call.method.operation,
            account = &*call.account
        );
        match self.attempts(call, &mut retry).instrument(span).await {
            Ok(reply) => Ok((reply, retry.attempts())),
            Err(error) => Err(error.during(call.method.operation, &call.account, retry.attempts()).retried()),
        }
    }

    async fn attempts<R>(&self, call: &Call, retry: &mut RetryState) -> Result<R, Error>
    where
        R: prost::Message + Default + 'static,
    {
        let mut now = Instant::now();
        let deadline = later(now, call.settings.timeout);
        let mut last = None;
        let mut refreshed = false;
        loop {
            let left = deadline.saturating_duration_since(now);
            let attempt = Attempt {
                caller: self,
                call,
                started: now,
                allowed: call.settings.attempt_timeout.min(left),
                deadline: later(now, call.settings.attempt_timeout.min(left)),
            };
            let Failure { error, token } = match attempt.run(retry.attempts()).await {
                Ok(reply) => {
                    self.budget.deposit();
                    tracing::debug!(attempt = retry.attempts(), took = ?now.elapsed(), "attempt succeeded");
                    return Ok(reply);
                }
                Err(failure) => failure,
            };

            now = Instant::now();
            if now >= deadline {
                let message = format!("no success within {:?}", call.settings.timeout);
                return Err(Error::timeout(message, Some(last.unwrap_or(error))));
            }
            let wait = if !refreshed
                && self
                    .replace_refused(
                        &error,
                        token.as_ref(),
                        later(now, call.settings.attempt_timeout).min(deadline),
                    )
                    .await
            {
                refreshed = true;
                Duration::ZERO
            } else if is_retryable(&error, retry.policy()) {
                let asked = error.service().and_then(ServiceError::retry_delay);
                retry.backoff(random_fraction(), asked)
            } else {
                return Err(error);
            };
            if wait >= deadline.saturating_duration_since(now) || !retry.again() || !self.budget.withdraw() {
                return Err(error);
            }
            tracing::debug!(attempt = retry.attempts(), ?wait, "trying again");
            if !wait.is_zero() {
                sleep(wait).await;
            }
            last = Some(error);
            now = Instant::now();
        }
    }

    /// If the service refused the source's token: forgets it and gets another by `deadline`. Says
    /// whether that worked.
    async fn replace_refused(&self, error: &Error, refused: Option<&Token>, deadline: Instant) -> bool {
        let (Some(refused), ErrorKind::Service, Code::Unauthenticated) =
            (refused, error.kind(), error.code())
        else {
            return false;
        };
        matches!(self.credentials.token_instead_of(refused, deadline).await, Ok(Some(_)))
    }
}

/// A failed attempt, with the token it carried.
struct Failure {
    error: Error,
    token: Option<Token>,
}

/// One attempt of a call.
struct Attempt<'a> {
    caller: &'a Caller,
    call: &'a Call,
    started: Instant,
    allowed: Duration,
    deadline: Instant,
}

impl<'a> Attempt<'a> {
    async fn run<R>(self, number: u32) -> Result<R, Failure>
    where
        R: prost::Message + Default + 'static,
    {
        let mut token = None;
        let mut connection = None;
        let within =
            async { timeout_at(self.deadline, self.send(number, &mut token, &mut connection)).await };
        let outcome = match catch_panic(within).await {
            Ok(outcome) => outcome.unwrap_or_else(|_elapsed| {
                let waited = if token.is_none() { "no source token" } else { "no answer" };
                Err(Error::timeout(format!("{waited} within {:?}", self.allowed), None))
            }),
            // tonic panics on a reply whose status details are not base64, for one.
            Err(panic) => Err(Error::invalid_reply(format!("the reply could not be read: {panic}"))),
        };
        let error = match outcome {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        // tonic's own timer may be the first to end the attempt.
        if let (ErrorKind::Timeout, Some(connection)) = (error.kind(), &connection) {
            self.caller.transport.went_silent(connection);
        }
        let transient = error.is_transient();
        tracing::debug!(attempt = number, took = ?self.started.elapsed(), transient, error = %error.in_one_line(), "attempt failed");
        Err(Failure { error, token })
    }

    async fn send<R>(
        &self,
        number: u32,
        used: &mut Option<Token>,
        connection: &mut Option<Connection<'a>>,
    ) -> Result<R, Error>
    where
        R: prost::Message + Default + 'static,
    {
        let Caller { transport, credentials, .. } = self.caller;
        let (token, allowed) = match credentials.poll_fast() {
            Some(token) => (token, self.allowed),
            None => {
                let fetched = match number {
                    1 => credentials.token_within(self.deadline).await,
                    // The failure that brought this attempt about is not to be handed out again.
                    _ => credentials.token_for_retry_within(self.deadline).await,
                };
                let token = fetched.map_err(Error::no_source_token)?;
                (token, self.deadline.saturating_duration_since(Instant::now()))
            }
        };
        let headers = self.headers(&token, allowed);
        *used = Some(token);

        let connection = connection.insert(transport.connection());
        let head = ReplyHead::default();
        let mut grpc = Grpc::with_origin(connection.observe(&head), transport.request_origin());
        grpc.ready().await.map_err(|error| classify(Status::from_error(error), &head, transport))?;

        let mut extensions = Extensions::new();
        extensions.insert(GrpcMethod::new(SERVICE, self.call.method.name));
        let request = tonic::Request::from_parts(
            MetadataMap::from_headers(headers),
            extensions,
            self.call.message.clone(),
        );
        let path = PathAndQuery::clone(&self.call.method.path);
        let reply = grpc.unary(request, path, Encoded(PhantomData)).await;
        reply.map(tonic::Response::into_inner).map_err(|status| classify(status, &head, transport))
    }

    fn headers(&self, token: &Token, allowed: Duration) -> HeaderMap {
        let Call { metadata, usage, route, .. } = self.call;
        // A clone of a map would have no room to grow in.
        let mut headers = HeaderMap::with_capacity(HEADERS + metadata.len());
        headers.extend(self.caller.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        if !metadata.is_empty() {
            headers.extend(metadata.clone());
        }
        if let Some(usage) = usage {
            headers.insert(API_CLIENT, usage.clone());
        }
        let (usual, ready_made) = &self.caller.usual_timeout;
        let timeout = if allowed == *usual { ready_made.clone() } else { grpc_timeout::encode(allowed) };
        headers.insert(GRPC_TIMEOUT, timeout);
        headers.insert(REQUEST_PARAMS, route.clone());
        headers.insert(header::AUTHORIZATION, token.header_value().clone());
        headers
    }
}

/// Sends a message that is encoded already, and decodes the reply.
struct Encoded<R>(PhantomData<R>);

struct Verbatim;

impl<R: prost::Message + Default + 'static> Codec for Encoded<R> {
    type Encode = Bytes;
    type Decode = R;
    type Encoder = Verbatim;
    type Decoder = ProstDecoder<R>;

    fn encoder(&mut self) -> Verbatim {
        Verbatim
    }

    fn decoder(&mut self) -> ProstDecoder<R> {
        ProstDecoder::new(BufferSettings::default())
    }
}

impl Encoder for Verbatim {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

/// Whether another attempt makes sense.
fn is_retryable(error: &Error, policy: &RetryPolicy) -> bool {
    match (error.kind(), error.service()) {
        (ErrorKind::Service, Some(service)) => {
            policy.retries(service.code())
                || service.code() == Code::ResourceExhausted && service.retry_delay().is_some()
        }
        (ErrorKind::Timeout, _) => true,
        (ErrorKind::Transport, _) => error.is_transient(),
        // Only the innermost call retries: a source that has done so is not asked again.
        (ErrorKind::Credentials, _) => error.is_transient() && !error.is_retried(),
        _ => false,
    }
}

/// Turns what tonic says into an error: the service's answer, or a failure on the way.
///
/// tonic gives both as a `Status`, and its codes for local failures vary; the chain of sources
/// tells.
fn classify(status: Status, head: &ReplyHead, transport: &Transport) -> Error {
    if let Some(http) = head.foreign() {
        let message = format!(
            "the reply from {} is not gRPC (HTTP status {http}, {}): a proxy or another server answers there",
            transport.origin(),
            status
                .metadata()
                .get("content-type")
                .and_then(|kind| kind.to_str().ok())
                .unwrap_or("no content type"),
        );
        let transient = http == 429 || (500..600).contains(&http);
        return Error::transport(message, transient).from_local(status);
    }
    let chain = || std::iter::successors(status.source(), |error| (*error).source());
    if let Some(error) = chain().find_map(|error| error.downcast_ref::<Error>()) {
        return Error::no_source_token(error.clone());
    }
    if chain().any(|error| error.is::<TimeoutExpired>()) {
        return Error::timeout("no answer within the attempt's deadline", None);
    }
    if chain().next().is_some() && !chain().any(|error| error.is::<Status>()) {
        let origin = transport.origin();
        let message = match chain().any(|error| error.is::<ConnectError>()) {
            true => format!("cannot connect to {origin}"),
            false => format!("the connection to {origin} was lost"),
        };
        // A certificate that does not check out comes as invalid data, and stays so.
        let lasting = chain()
            .filter_map(|error| error.downcast_ref::<io::Error>())
            .any(|error| matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput));
        return Error::transport(message, !lasting).from_local(status);
    }
    // hyper ends a stream that was reset as if it were whole, so tonic only misses the trailers.
    if status.code() == Code::Unknown && status.message().starts_with("grpc-status header missing") {
        let message = format!("the reply from {} broke off", transport.origin());
        return Error::transport(message, true).from_local(status);
    }
    let transient = matches!(
        status.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Cancelled
    );
    Error::status(ServiceError::new(status), transient)
}

/// An instant so far away that it never comes stands for one that cannot be told.
fn later(now: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(86_400 * 365);
    now + by.min(FAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: G34
    #[test]
    fn retries_spend_a_budget_that_successes_refill() {
        let budget = TpsBudget::new(BUDGET_WINDOW, 0, BUDGET_RATIO);
        assert!(!budget.withdraw());
        for successes in 1..=10 {
            assert!(!budget.withdraw(), "after {} successes", successes - 1);
            budget.deposit();
        }
        assert!(budget.withdraw());
        assert!(!budget.withdraw());
    }
}
