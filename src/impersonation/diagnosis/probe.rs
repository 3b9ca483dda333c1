//! The calls of a diagnosis.

use std::time::Duration;

use super::Operation;
use crate::{Error, IamCredentialsClient, RetryPolicy, scopes};

/// The narrowest scope that an access token can have.
pub(super) const SCOPE: &str = scopes::USERINFO_EMAIL;

/// An audience that no service accepts.
pub(super) const AUDIENCE: &str = "https://diagnosis.invalid";

/// The lifetime of tokens and JWTs, which are dropped at once: 5 min.
const LIFETIME: Duration = Duration::from_secs(300);

const RETRY: RetryPolicy = RetryPolicy::new().max_attempts(3);

/// Makes the calls of one diagnosis.
pub(super) struct Probe<'a> {
    client: &'a IamCredentialsClient,
    /// The names of the delegates and the target.
    chain: &'a [String],
    lifetime: Duration,
}

impl<'a> Probe<'a> {
    /// `chain` ends with the target. `lifetime` is the one that was set for access tokens.
    pub(super) fn new(
        client: &'a IamCredentialsClient,
        chain: &'a [String],
        lifetime: Option<Duration>,
    ) -> Self {
        Self { client, chain, lifetime: lifetime.unwrap_or(LIFETIME) }
    }

    /// Tries an operation on the account that a hop leads to, over the hops before it.
    pub(super) async fn call(&self, operation: Operation, hop: usize) -> Result<(), Error> {
        let (account, delegates) = (&self.chain[hop], &self.chain[..hop]);
        match operation {
            Operation::AccessToken => {
                let lifetime = if hop == self.last() { self.lifetime } else { LIFETIME };
                let call = self.client.generate_access_token(account, [SCOPE]).delegates(delegates);
                call.lifetime(lifetime).retry(RETRY).await.map(drop)
            }
            Operation::IdToken => {
                let call = self.client.generate_id_token(account, AUDIENCE).delegates(delegates);
                call.retry(RETRY).await.map(drop)
            }
            Operation::SignBlob => {
                let call = self.client.sign_blob(account, "diagnosis").delegates(delegates);
                call.retry(RETRY).await.map(drop)
            }
            Operation::SignJwt => {
                let claims = serde_json::json!({ "aud": AUDIENCE });
                let call = self.client.sign_jwt(account, &claims).delegates(delegates);
                call.expires_in(LIFETIME).retry(RETRY).await.map(drop)
            }
        }
    }

    /// Returns the hop that leads to the target.
    pub(super) fn last(&self) -> usize {
        self.chain.len() - 1
    }
}
