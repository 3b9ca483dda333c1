//! The call `sign_jwt`, and the token that it returns.

use std::fmt;
use std::future::IntoFuture;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::Request;
use crate::client::call::SIGN_JWT;
use crate::proto::{SignJwtRequest, SignJwtResponse};
use crate::source::BoxFuture;
use crate::{Error, jwt};

/// A call of [`IamCredentialsClient::sign_jwt`]. Await it to send it.
///
/// ```no_run
/// use std::time::Duration;
/// use gcp_iam_credentials::IamCredentialsClient;
///
/// # async fn call() -> Result<(), gcp_iam_credentials::Error> {
/// let client = IamCredentialsClient::new()?;
/// let target = "signer@project.iam.gserviceaccount.com";
/// let claims = serde_json::json!({ "sub": "someone" });
/// let jwt = client
///     .sign_jwt(target, &claims)
///     .expires_in(Duration::from_secs(600))
///     .await?;
/// println!("signed with key {}", jwt.key_id());
/// # Ok(())
/// # }
/// ```
///
/// [`IamCredentialsClient::sign_jwt`]: crate::IamCredentialsClient::sign_jwt
#[must_use = "a call does nothing until it is awaited"]
#[derive(Clone)]
pub struct SignJwt {
    pub(crate) request: Request,
    payload: String,
}

common_options!(SignJwt);

impl SignJwt {
    pub(crate) fn new(mut request: Request, claims: &impl Serialize) -> Self {
        let payload = request.accept(jwt::payload(claims, SystemTime::now())).unwrap_or_default();
        Self { request, payload }
    }

    /// Adds the claims `iat`, now, and `exp`, now plus `lifetime`: 1 s to 43200 s (12 h). Default:
    /// the claims are signed as they are.
    ///
    /// The call fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) if the claims already
    /// contain one of the two.
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        if self.request.is_valid() {
            let dated = jwt::dated(&self.payload, SystemTime::now(), lifetime);
            self.payload = self.request.accept(dated).unwrap_or_default();
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

/// A signed JSON Web Token. `Debug` doesn't show it.
///
/// ```
/// use gcp_iam_credentials::call::SignedJwt;
///
/// fn authorization(jwt: SignedJwt) -> String {
///     format!("Bearer {}", jwt.as_str())
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SignedJwt {
    key_id: String,
    jwt: String,
}

impl SignedJwt {
    /// Returns the id of the key that signed. The account's published keys contain it.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Returns the token in compact form. It is a secret if somebody accepts it as a credential:
    /// keep it out of logs.
    pub fn as_str(&self) -> &str {
        &self.jwt
    }

    /// Returns the token in compact form, by value.
    pub fn into_string(self) -> String {
        self.jwt
    }
}

impl fmt::Debug for SignedJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedJwt").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}
