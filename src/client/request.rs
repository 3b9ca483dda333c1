//! The four calls as builders: options first, then `.await`.

use std::fmt;
use std::future::IntoFuture;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use prost::Message;
use serde::Serialize;

use super::IamCredentialsClient;
use super::call::{
    Call, CallSettings, GENERATE_ACCESS_TOKEN, GENERATE_ID_TOKEN, Method, SIGN_BLOB, SIGN_JWT,
};
use super::check::{checked_lifetime, metadata_header, route, wire_names};
use crate::proto::{
    GenerateAccessTokenRequest, GenerateAccessTokenResponse, GenerateIdTokenRequest, GenerateIdTokenResponse,
    SignBlobRequest, SignBlobResponse, SignJwtRequest, SignJwtResponse,
};
use crate::source::BoxFuture;
use crate::{Error, RetryPolicy, ServiceAccountName, Token, jwt};

/// What every call has: a target, delegates and options. The first wrong argument is kept until
/// the call is awaited.
#[derive(Clone)]
pub(crate) struct Request {
    client: IamCredentialsClient,
    target: Result<ServiceAccountName, Error>,
    delegates: Vec<String>,
    settings: CallSettings,
    metadata: HeaderMap,
    usage: Option<HeaderValue>,
    problem: Option<Error>,
}

impl Request {
    pub(crate) fn new(client: IamCredentialsClient, target: &str) -> Self {
        Self {
            target: ServiceAccountName::parse_field(target, "target"),
            delegates: Vec::new(),
            settings: client.settings().clone(),
            metadata: HeaderMap::new(),
            usage: None,
            problem: None,
            client,
        }
    }

    pub(crate) fn check<T>(&mut self, checked: Result<T, Error>) -> Option<T> {
        checked.map_err(|error| self.problem.get_or_insert(error)).ok()
    }

    pub(crate) fn delegates(&mut self, delegates: impl IntoIterator<Item = impl AsRef<str>>) {
        let names = wire_names(delegates);
        self.delegates = self.check(names).unwrap_or_default();
    }

    pub(crate) fn usage(&mut self, usage: HeaderValue) {
        self.usage = Some(usage);
    }

    /// Bounds the whole call by what is left of a deadline.
    pub(crate) fn within(&mut self, left: Duration) {
        self.settings.timeout = self.settings.timeout.min(left);
    }

    fn metadata(&mut self, key: &str, value: &str) {
        let checked = metadata_header(key, value);
        if let Some((key, value)) = self.check(checked) {
            self.metadata.append(key, value);
        }
    }

    /// Encodes the message around the target's name and the delegates, makes the call, and reads
    /// the reply.
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
        let Self { client, target, delegates, settings, metadata, usage, problem } = self;
        let target = target.map_err(|error| error.of(method.operation))?;
        let account: Box<str> = target.account().into();
        if let Some(problem) = problem {
            return Err(problem.during(method.operation, &account, 0));
        }
        let route = route(&account)?;
        let message = Bytes::from(message(target.into_wire(), delegates).encode_to_vec());
        let call = Call { method, account, message, route, metadata, usage, settings };
        let (reply, attempts) = client.caller().call(&call).await?;
        read(reply).map_err(|error| error.during(method.operation, &call.account, attempts))
    }
}

macro_rules! common_options {
    () => {
        /// The accounts between the caller and the target, nearest to the caller first: e-mail
        /// addresses, unique ids or full names. Each must hold Token Creator on the next.
        pub fn delegates(mut self, delegates: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
            self.request.delegates(delegates);
            self
        }

        /// The time for the whole call, retries included. Default: the client's.
        pub fn timeout(mut self, timeout: Duration) -> Self {
            self.request.settings.timeout = timeout;
            self
        }

        /// The time for one attempt. Default: the client's.
        pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
            self.request.settings.attempt_timeout = timeout;
            self
        }

        /// How failed attempts are repeated. Default: the client's.
        pub fn retry(mut self, policy: RetryPolicy) -> Self {
            self.request.settings.retry = policy;
            self
        }

        /// Adds a header of one's own. A key that the crate or gRPC sets is an error, as is one
        /// that is not legal.
        pub fn metadata(mut self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
            self.request.metadata(key.as_ref(), value.as_ref());
            self
        }
    };
}

macro_rules! call_debug {
    ($call:ident) => {
        impl fmt::Debug for $call {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($call))
                    .field("target", &self.request.target)
                    .field("delegates", &self.request.delegates)
                    .finish_non_exhaustive()
            }
        }
    };
}

/// The call `generate_access_token`: `.await` it.
///
/// Made by [`IamCredentialsClient::generate_access_token`].
#[must_use = "a call does nothing until it is awaited"]
#[derive(Clone)]
pub struct GenerateAccessToken {
    pub(crate) request: Request,
    scopes: Vec<String>,
    lifetime: Option<Duration>,
}

call_debug!(GenerateAccessToken);

impl GenerateAccessToken {
    pub(crate) fn new(mut request: Request, scopes: Result<Vec<String>, Error>) -> Self {
        let scopes = request.check(scopes).unwrap_or_default();
        Self { request, scopes, lifetime: None }
    }

    common_options!();

    /// How long the token shall live: 1 s to 43200 s (12 h). Default: the service's, one hour. More
    /// than an hour needs the organisation policy
    /// `constraints/iam.allowServiceAccountCredentialLifetimeExtension`.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = self.request.check(checked_lifetime(lifetime));
        self
    }
}

impl IntoFuture for GenerateAccessToken {
    type Output = Result<Token, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { request, scopes: scope, lifetime } = self;
            let message = |name, delegates| {
                // A checked lifetime is short enough for the wire's signed seconds.
                let lifetime = lifetime.and_then(|lifetime| prost_types::Duration::try_from(lifetime).ok());
                GenerateAccessTokenRequest { name, delegates, scope, lifetime }
            };
            let read = |reply: GenerateAccessTokenResponse| {
                let expiry = future_instant(access_token_expiry(reply.expire_time)?)?;
                new_token(&reply.access_token, expiry)
            };
            request.send(&GENERATE_ACCESS_TOKEN, message, read).await
        })
    }
}

/// The call `generate_id_token`: `.await` it.
///
/// Made by [`IamCredentialsClient::generate_id_token`].
#[must_use = "a call does nothing until it is awaited"]
#[derive(Clone)]
pub struct GenerateIdToken {
    pub(crate) request: Request,
    audience: String,
    include_email: bool,
}

call_debug!(GenerateIdToken);

impl GenerateIdToken {
    pub(crate) fn new(mut request: Request, audience: Result<String, Error>) -> Self {
        let audience = request.check(audience).unwrap_or_default();
        Self { request, audience, include_email: false }
    }

    common_options!();

    /// Whether the token has the claims `email` and `email_verified`. Default: no.
    pub fn include_email(mut self, include: bool) -> Self {
        self.include_email = include;
        self
    }
}

impl IntoFuture for GenerateIdToken {
    type Output = Result<Token, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { request, audience, include_email } = self;
            let message =
                |name, delegates| GenerateIdTokenRequest { name, delegates, audience, include_email };
            let read = |reply: GenerateIdTokenResponse| {
                if reply.token.is_empty() {
                    return Err(Error::invalid_reply("the reply has no token"));
                }
                let expiry = future_instant(jwt::expiry(&reply.token)?)?;
                new_token(&reply.token, expiry)
            };
            request.send(&GENERATE_ID_TOKEN, message, read).await
        })
    }
}

/// The call `sign_blob`: `.await` it.
///
/// Made by [`IamCredentialsClient::sign_blob`].
#[must_use = "a call does nothing until it is awaited"]
#[derive(Clone)]
pub struct SignBlob {
    pub(crate) request: Request,
    payload: Vec<u8>,
}

call_debug!(SignBlob);

impl SignBlob {
    pub(crate) fn new(request: Request, payload: Vec<u8>) -> Self {
        Self { request, payload }
    }

    common_options!();
}

impl IntoFuture for SignBlob {
    type Output = Result<SignedBlob, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { request, payload } = self;
            let message = |name, delegates| SignBlobRequest { name, delegates, payload };
            let read = |reply: SignBlobResponse| match reply.signed_blob {
                signature if signature.is_empty() => Err(Error::invalid_reply("the reply has no signature")),
                signature => Ok(SignedBlob { key_id: reply.key_id, signature }),
            };
            request.send(&SIGN_BLOB, message, read).await
        })
    }
}

/// The call `sign_jwt`: `.await` it.
///
/// Made by [`IamCredentialsClient::sign_jwt`].
#[must_use = "a call does nothing until it is awaited"]
#[derive(Clone)]
pub struct SignJwt {
    pub(crate) request: Request,
    payload: String,
}

call_debug!(SignJwt);

impl SignJwt {
    pub(crate) fn new(mut request: Request, claims: &impl Serialize) -> Self {
        let payload = request.check(jwt::payload(claims, SystemTime::now())).unwrap_or_default();
        Self { request, payload }
    }

    common_options!();

    /// Fills in the claims `iat`, now, and `exp`, this much later: 1 s to 43200 s (12 h). An error
    /// if the claims have either already. Default: the claims are signed as they are.
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        if self.request.problem.is_none() {
            let dated = jwt::dated(&self.payload, SystemTime::now(), lifetime);
            self.payload = self.request.check(dated).unwrap_or_default();
        }
        self
    }
}

impl IntoFuture for SignJwt {
    type Output = Result<SignedJwt, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { request, payload } = self;
            let message = |name, delegates| SignJwtRequest { name, delegates, payload };
            let read = |reply: SignJwtResponse| match reply.signed_jwt {
                jwt if jwt.is_empty() => Err(Error::invalid_reply("the reply has no signed JWT")),
                jwt => Ok(SignedJwt { key_id: reply.key_id, jwt }),
            };
            request.send(&SIGN_JWT, message, read).await
        })
    }
}

/// A signature over some bytes: RSA PKCS#1 v1.5 with SHA-256. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedBlob {
    key_id: String,
    signature: Vec<u8>,
}

impl SignedBlob {
    /// Names the key that signed, among the account's published keys.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The signature.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The signature, by value.
    pub fn into_signature(self) -> Vec<u8> {
        self.signature
    }
}

impl fmt::Debug for SignedBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedBlob").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// A signed JSON Web Token. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedJwt {
    key_id: String,
    jwt: String,
}

impl SignedJwt {
    /// Names the key that signed, among the account's published keys.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The token in compact form. Keep it out of logs.
    pub fn secret(&self) -> &str {
        &self.jwt
    }

    /// The token in compact form, by value.
    pub fn into_secret(self) -> String {
        self.jwt
    }
}

impl fmt::Debug for SignedJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedJwt").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

fn access_token_expiry(expire_time: Option<prost_types::Timestamp>) -> Result<SystemTime, Error> {
    let time = expire_time.ok_or_else(|| Error::invalid_reply("the reply has no expire_time"))?;
    let seconds = u64::try_from(time.seconds).ok();
    let nanos = u32::try_from(time.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    seconds
        .zip(nanos)
        .and_then(|(seconds, nanos)| UNIX_EPOCH.checked_add(Duration::new(seconds, nanos)))
        .ok_or_else(|| Error::invalid_reply("the reply's expire_time is out of range"))
}

fn future_instant(expiry: SystemTime) -> Result<SystemTime, Error> {
    match expiry.duration_since(SystemTime::now()) {
        Ok(left) if !left.is_zero() => Ok(expiry),
        _ => Err(Error::invalid_reply("the token has expired already: check the machine's clock")),
    }
}

fn new_token(secret: &str, expiry: SystemTime) -> Result<Token, Error> {
    Token::new(secret, expiry)
        .map_err(|_| Error::invalid_reply("the token is empty, or may not stand in a header"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: M7
    #[test]
    fn an_expiry_out_of_range_is_an_error_and_a_far_one_is_not() {
        let at = |seconds, nanos| access_token_expiry(Some(prost_types::Timestamp { seconds, nanos }));
        assert!(access_token_expiry(None).is_err());
        for (seconds, nanos) in
            [(-1, 0), (i64::MIN, 0), (i64::MAX, 0), (0, -1), (0, 1_000_000_000), (0, i32::MIN)]
        {
            let result = at(seconds, nanos);
            // On some systems the far end of time fits.
            assert!(result.is_err() || seconds == i64::MAX, "{seconds} {nanos}");
        }
        const YEAR_9999: i64 = 253_402_300_799;
        assert_eq!(
            at(YEAR_9999, 999_999_999).unwrap(),
            UNIX_EPOCH + Duration::new(YEAR_9999 as u64, 999_999_999)
        );
        assert!(future_instant(at(0, 0).unwrap()).is_err());
    }

    /// conf: P16
    #[test]
    fn the_expiry_is_exact() {
        let expiry = access_token_expiry(Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 5 }));
        assert_eq!(expiry.unwrap(), UNIX_EPOCH + Duration::new(1_800_000_000, 5));
    }
}
