//! The call `generate_access_token`.

use std::future::IntoFuture;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Request, token_from_reply};
use crate::client::call::GENERATE_ACCESS_TOKEN;
use crate::client::check::checked_lifetime;
use crate::proto::{GenerateAccessTokenRequest, GenerateAccessTokenResponse};
use crate::source::BoxFuture;
use crate::{Error, Token};

/// A call of [`IamCredentialsClient::generate_access_token`]. Await it to send it.
///
/// ```no_run
/// use std::time::Duration;
/// use gcp_iam_credentials::{IamCredentialsClient, scopes::CLOUD_PLATFORM};
///
/// # async fn call() -> Result<(), gcp_iam_credentials::Error> {
/// let client = IamCredentialsClient::new()?;
/// let target = "deployer@project.iam.gserviceaccount.com";
/// let token = client
///     .generate_access_token(target, [CLOUD_PLATFORM])
///     .delegates(["middle@project.iam.gserviceaccount.com"])
///     .lifetime(Duration::from_secs(600))
///     .await?;
/// println!("expires at {:?}", token.expires_at());
/// # Ok(())
/// # }
/// ```
///
/// [`IamCredentialsClient::generate_access_token`]: crate::IamCredentialsClient::generate_access_token
#[must_use = "a call does nothing until it is awaited"]
#[derive(Clone)]
pub struct GenerateAccessToken {
    pub(crate) request: Request,
    scopes: Vec<String>,
    lifetime: Option<Duration>,
}

common_options!(GenerateAccessToken);

impl GenerateAccessToken {
    pub(crate) fn new(mut request: Request, scopes: Result<Vec<String>, Error>) -> Self {
        let scopes = request.accept(scopes).unwrap_or_default();
        Self { request, scopes, lifetime: None }
    }

    /// Sets the token's lifetime: 1 s to 43200 s (12 h). Default: the service's, one hour.
    ///
    /// More than an hour needs the organization policy
    /// `constraints/iam.allowServiceAccountCredentialLifetimeExtension`.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = self.request.accept(checked_lifetime(lifetime));
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
                // A checked lifetime fits into the message's signed seconds.
                let lifetime = lifetime.and_then(|lifetime| prost_types::Duration::try_from(lifetime).ok());
                GenerateAccessTokenRequest { name, delegates, scope, lifetime }
            };
            let read = |reply: GenerateAccessTokenResponse| {
                token_from_reply(&reply.access_token, expiry(reply.expire_time)?)
            };
            request.send(&GENERATE_ACCESS_TOKEN, message, read).await
        })
    }
}

fn expiry(expire_time: Option<prost_types::Timestamp>) -> Result<SystemTime, Error> {
    let time = expire_time.ok_or_else(|| Error::invalid_reply("the reply has no expire_time"))?;
    let seconds = u64::try_from(time.seconds).ok();
    let nanos = u32::try_from(time.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    seconds
        .zip(nanos)
        .and_then(|(seconds, nanos)| UNIX_EPOCH.checked_add(Duration::new(seconds, nanos)))
        .ok_or_else(|| Error::invalid_reply("the reply's expire_time is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: M7
    #[test]
    fn an_expiry_out_of_range_is_an_error_and_a_distant_one_is_not() {
        let at = |seconds, nanos| expiry(Some(prost_types::Timestamp { seconds, nanos }));
        assert!(expiry(None).is_err());
        for (seconds, nanos) in
            [(-1, 0), (i64::MIN, 0), (i64::MAX, 0), (0, -1), (0, 1_000_000_000), (0, i32::MIN)]
        {
            let result = at(seconds, nanos);
            // Some systems can express the latest of these instants.
            assert!(result.is_err() || seconds == i64::MAX, "{seconds} {nanos}");
        }
        const YEAR_9999: i64 = 253_402_300_799;
        assert_eq!(
            at(YEAR_9999, 999_999_999).unwrap(),
            UNIX_EPOCH + Duration::new(YEAR_9999 as u64, 999_999_999)
        );
        assert!(token_from_reply("token", at(0, 0).unwrap()).is_err());
    }
}
