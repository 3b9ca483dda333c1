//! The call `generate_id_token`.

use std::future::IntoFuture;

use super::{Request, token_from_reply};
use crate::client::call::GENERATE_ID_TOKEN;
use crate::proto::{GenerateIdTokenRequest, GenerateIdTokenResponse};
use crate::source::BoxFuture;
use crate::{Error, Token, jwt};

/// A call of [`IamCredentialsClient::generate_id_token`]. Await it to send it.
///
/// ```no_run
/// use gcp_iam_credentials::IamCredentialsClient;
///
/// # async fn call() -> Result<(), gcp_iam_credentials::Error> {
/// let client = IamCredentialsClient::new()?;
/// let target = "invoker@project.iam.gserviceaccount.com";
/// let token = client
///     .generate_id_token(target, "https://my-service.run.app")
///     .include_email(true)
///     .await?;
/// println!("expires at {:?}", token.expires_at());
/// # Ok(())
/// # }
/// ```
///
/// [`IamCredentialsClient::generate_id_token`]: crate::IamCredentialsClient::generate_id_token
#[must_use = "a call does nothing until it is awaited"]
#[derive(Clone)]
pub struct GenerateIdToken {
    pub(crate) request: Request,
    audience: String,
    include_email: bool,
}

common_options!(GenerateIdToken);

impl GenerateIdToken {
    pub(crate) fn new(mut request: Request, audience: Result<String, Error>) -> Self {
        let audience = request.accept(audience).unwrap_or_default();
        Self { request, audience, include_email: false }
    }

    /// Sets whether the token contains the claims `email` and `email_verified`. Default: no.
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
            let read = |reply: GenerateIdTokenResponse| match &*reply.token {
                "" => Err(Error::invalid_reply("the reply has no token")),
                token => token_from_reply(token, jwt::expiry(token)?),
            };
            request.send(&GENERATE_ID_TOKEN, message, read).await
        })
    }
}
