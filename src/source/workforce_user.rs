//! A person who signed in with a workforce pool as a source: the refresh token that
//! `gcloud auth application-default login --login-config` stores.

use std::fmt;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::external::OauthClient;
use super::token_endpoint::{ClientAuthentication, Grant, TokenEndpoint};
use super::{BoxFuture, FetchRequest, SourceInfo, TokenSource};
use crate::{Error, Token};

/// Exchanges the refresh token for an access token.
pub(crate) struct WorkforceUserSource {
    endpoint: TokenEndpoint,
    client: OauthClient,
    /// The refresh token to use next. The endpoint may replace it at each use, and then refuses the old
    /// one. So it is locked during an exchange: two at once would send the same token.
    refresh_token: Mutex<Box<str>>,
    info: SourceInfo,
}

impl WorkforceUserSource {
    pub(crate) fn new(
        endpoint: TokenEndpoint,
        client: OauthClient,
        refresh_token: &str,
        info: SourceInfo,
    ) -> Self {
        let info = info.with_endpoint(endpoint.uri());
        Self { endpoint, client, refresh_token: Mutex::new(refresh_token.into()), info }
    }

    async fn token(&self, deadline: Instant) -> Result<Token, Error> {
        let Ok(mut refresh_token) = timeout_at(deadline, self.refresh_token.lock()).await else {
            return Err(Error::timeout("another exchange of the refresh token took too long", None));
        };
        let OauthClient { id, secret } = &self.client;
        let client = ClientAuthentication { id, secret };
        let grant = Grant::SignIn { client, refresh_token: &refresh_token };
        let granted = self.endpoint.redeem(grant, deadline).await?;
        if let Some(next) = granted.refresh_token {
            *refresh_token = next;
        }
        Ok(granted.token)
    }
}

impl TokenSource for WorkforceUserSource {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(self.token(request.deadline()))
    }

    fn info(&self) -> SourceInfo {
        self.info.clone()
    }
}

impl fmt::Debug for WorkforceUserSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkforceUserSource")
            .field("endpoint", &self.endpoint)
            .field("client", &self.client)
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(feature = "emulator")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::emulator::{Emulator, ExternalAccount, IdentityProvider, Policy};
    use crate::http_client::HttpClient;
    use crate::source::FetchReason;

    const PROVIDER: &str = "locations/global/workforcePools/staff/providers/okta";

    async fn start() -> (Emulator, WorkforceUserSource) {
        let person = ExternalAccount::new(PROVIDER).claim("sub", "ada").rotates_refresh_tokens();
        let policy = Policy::new()
            .identity_provider(PROVIDER, IdentityProvider::oidc("https://okta.example"))
            .external_account("ada", person);
        let emulator = Emulator::builder().policy(policy).start().await.unwrap();
        let file = emulator.external_account_authorized_user_json("ada").unwrap();
        let file: serde_json::Value = serde_json::from_str(&file).unwrap();
        let text = |field: &str| file[field].as_str().unwrap();
        let endpoint = TokenEndpoint::new(&HttpClient::shared(), text("token_url"), "token_url").unwrap();
        let client = OauthClient { id: text("client_id").into(), secret: text("client_secret").into() };
        let source = WorkforceUserSource::new(endpoint, client, text("refresh_token"), SourceInfo::new());
        (emulator, source)
    }

    /// conf: F10
    #[tokio::test]
    async fn fetches_at_once_use_each_refresh_token_once() {
        let (_emulator, source) = start().await;
        let fetch = || source.fetch(FetchRequest::new(FetchReason::Requested));
        let (one, two, three) = tokio::join!(fetch(), fetch(), fetch());
        for token in [one, two, three] {
            token.unwrap();
        }
    }

    /// conf: F10
    #[tokio::test]
    async fn a_fetch_that_waits_for_another_one_ends_at_its_deadline() {
        let (_emulator, source) = start().await;
        let _other = source.refresh_token.lock().await;
        let request = FetchRequest::new(FetchReason::Empty).with_time_limit(Duration::from_millis(20));
        let error = source.fetch(request).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
}
