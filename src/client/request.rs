//! The four calls as builders: set options, then `.await`.
//!
//! [`Request`] holds what all four have in common; each call has its own file.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use prost::Message;

use super::IamCredentialsClient;
use super::call::{Call, CallSettings, Method};
use super::check::{metadata_header, route, wire_names};
use crate::{Error, ServiceAccountName, Token};

/// The setters and the `Debug` that all four calls have.
macro_rules! common_options {
    ($call:ident) => {
        impl $call {
            /// Sets the delegates: the accounts between the caller and the target, starting with
            /// the one next to the caller. Default: none.
            ///
            /// Each is an e-mail address, a numeric unique id or a full resource name. The caller
            /// needs the role Token Creator on the first delegate, each delegate needs it on the
            /// next, and the last one needs it on the target.
            pub fn delegates(mut self, delegates: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
                self.request.delegates(delegates);
                self
            }

            /// Sets the time for the whole call, including retries. Default: the client's
            /// ([`ClientBuilder::timeout`](crate::ClientBuilder::timeout)).
            pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
                self.request.settings.timeout = timeout;
                self
            }

            /// Sets the time for one attempt. Default: the client's
            /// ([`ClientBuilder::attempt_timeout`](crate::ClientBuilder::attempt_timeout)).
            pub fn attempt_timeout(mut self, timeout: std::time::Duration) -> Self {
                self.request.settings.attempt_timeout = timeout;
                self
            }

            /// Sets how failed attempts are retried. Default: the client's
            /// ([`ClientBuilder::retry`](crate::ClientBuilder::retry)).
            pub fn retry(mut self, policy: crate::RetryPolicy) -> Self {
                self.request.settings.retry = policy;
                self
            }

            /// Sets the trace that the call belongs to. Default: the one that the client's provider
            /// returns ([`ClientBuilder::trace_context`](crate::ClientBuilder::trace_context)).
            ///
            /// With `None`, the call sends no trace context, and the client's provider isn't asked.
            pub fn trace_context(mut self, context: impl Into<Option<crate::call::TraceContext>>) -> Self {
                self.request.settings.trace = context.into().into();
                self
            }

            /// Adds a header to the request.
            ///
            /// The call fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) if the key is
            /// illegal or reserved (set by this crate or by gRPC), or if the value isn't visible
            /// ASCII and spaces. `traceparent` and `tracestate` are reserved: see
            /// [`trace_context`](Self::trace_context).
            pub fn metadata(mut self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
                self.request.metadata(key.as_ref(), value.as_ref());
                self
            }
        }

        impl std::fmt::Debug for $call {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($call))
                    .field("target", &self.request.target)
                    .field("delegates", &self.request.delegates)
                    .finish_non_exhaustive()
            }
        }
    };
}

mod access_token;
mod id_token;
mod sign_blob;
mod sign_jwt;

pub use self::access_token::GenerateAccessToken;
pub use self::id_token::GenerateIdToken;
pub use self::sign_blob::{SignBlob, SignedBlob};
pub use self::sign_jwt::{SignJwt, SignedJwt};

/// What all calls have in common: target, delegates and options. The first invalid argument is kept
/// until the call is awaited.
#[derive(Clone)]
pub(crate) struct Request {
    client: IamCredentialsClient,
    target: Result<ServiceAccountName, Error>,
    delegates: Vec<String>,
    settings: CallSettings,
    metadata: HeaderMap,
    api_client: Option<HeaderValue>,
    first_problem: Option<Error>,
}

impl Request {
    pub(crate) fn new(client: IamCredentialsClient, target: &str) -> Self {
        Self {
            target: ServiceAccountName::parse_field(target, "target"),
            delegates: Vec::new(),
            settings: client.settings().clone(),
            metadata: HeaderMap::new(),
            api_client: None,
            first_problem: None,
            client,
        }
    }

    /// Sends this value of `x-goog-api-client` in place of the client's usual one.
    pub(crate) fn set_api_client(&mut self, value: &'static str) {
        self.api_client = Some(HeaderValue::from_static(value));
    }

    /// Shortens the call's timeout to what is left of a deadline.
    pub(crate) fn limit_timeout(&mut self, left: Duration) {
        self.settings.timeout = self.settings.timeout.min(left);
    }

    /// Unwraps a checked argument. If it is invalid, keeps the problem unless there is one already.
    fn accept<T>(&mut self, checked: Result<T, Error>) -> Option<T> {
        checked.map_err(|error| self.first_problem.get_or_insert(error)).ok()
    }

    fn is_valid(&self) -> bool {
        self.first_problem.is_none()
    }

    fn delegates(&mut self, delegates: impl IntoIterator<Item = impl AsRef<str>>) {
        let names = wire_names(delegates);
        self.delegates = self.accept(names).unwrap_or_default();
    }

    fn metadata(&mut self, key: &str, value: &str) {
        let checked = metadata_header(key, value);
        if let Some((key, value)) = self.accept(checked) {
            self.metadata.append(key, value);
        }
    }

    /// Encodes the message that `message` makes of the target's name and the delegates, performs
    /// the call, and reads its reply with `read`.
    async fn send<M, R, T>(
        self,
        method: &'static Method,
        message: impl FnOnce(String, Vec<String>) -> M,
        read: impl FnOnce(R) -> Result<T, Error>,
    ) -> Result<T, Error>
    where
        M: Message,
        R: Message + Default + 'static,
    {
        let Self { client, target, delegates, settings, metadata, api_client, first_problem } = self;
        let target = target.map_err(|error| error.of(method.operation))?;
        let account: Box<str> = target.account().into();
        if let Some(problem) = first_problem {
            return Err(problem.during(method.operation, &account, 0));
        }
        let route = route(&account)?;
        let message = Bytes::from(message(target.into_wire(), delegates.clone()).encode_to_vec());
        let call = Call { method, account, delegates, message, route, metadata, api_client, settings };
        let (reply, attempts) = client.executor().execute(&call).await?;
        read(reply).map_err(|error| error.during(method.operation, &call.account, attempts))
    }
}

/// Makes the token of a reply, with an expiry that must be in the future.
fn token_from_reply(secret: &str, expiry: SystemTime) -> Result<Token, Error> {
    match expiry.duration_since(SystemTime::now()) {
        Ok(left) if !left.is_zero() => {}
        _ => {
            let error = Error::invalid_reply("the token has expired already");
            return Err(error.fix_by("check the machine's clock"));
        }
    }
    Token::new(secret, expiry)
        .map_err(|_| Error::invalid_reply("the token is empty or contains an illegal character"))
}
