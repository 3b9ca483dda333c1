//! The calls of a diagnosis.

use std::time::Duration;

use super::Operation;
use super::finding::Failure;
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
    operation: Operation,
    lifetime: Option<Duration>,
}

impl<'a> Probe<'a> {
    /// `chain` ends with the target. `lifetime` is the one that was set for access tokens.
    pub(super) fn new(
        client: &'a IamCredentialsClient,
        chain: &'a [String],
        operation: Operation,
        lifetime: Option<Duration>,
    ) -> Self {
        Self { client, chain, operation, lifetime }
    }

    /// Tries the operation on the target.
    pub(super) async fn target(&self) -> Result<(), Error> {
        let (target, delegates) = self.hop(self.last());
        match self.operation {
            Operation::AccessToken => {
                let lifetime = self.lifetime.unwrap_or(LIFETIME);
                self.access_token(target, delegates, lifetime).await
            }
            Operation::IdToken => {
                let call = self.client.generate_id_token(target, AUDIENCE).delegates(delegates);
                call.retry(RETRY).await.map(drop)
            }
            Operation::SignBlob => {
                let call = self.client.sign_blob(target, "diagnosis").delegates(delegates);
                call.retry(RETRY).await.map(drop)
            }
            Operation::SignJwt => {
                let claims = serde_json::json!({ "aud": AUDIENCE });
                let call = self.client.sign_jwt(target, &claims).delegates(delegates);
                call.expires_in(LIFETIME).retry(RETRY).await.map(drop)
            }
        }
    }

    /// Finds the first hop that fails, given that the operation fails with `error`. Returns the
    /// hop's index and its failure.
    pub(super) async fn first_failure(&self, error: Error) -> (usize, Failure) {
        for index in 0..self.last() {
            let (delegate, delegates) = self.hop(index);
            if let Err(error) = self.access_token(delegate, delegates, LIFETIME).await {
                // This call needs `getAccessToken`, but the operation needs `implicitDelegation` here.
                let certain = false;
                return (index, Failure::new(error, certain));
            }
        }
        (self.last(), Failure::new(error, true))
    }

    async fn access_token(
        &self,
        target: &str,
        delegates: &[String],
        lifetime: Duration,
    ) -> Result<(), Error> {
        let call = self.client.generate_access_token(target, [SCOPE]).delegates(delegates);
        call.lifetime(lifetime).retry(RETRY).await.map(drop)
    }

    /// Returns an account of the chain, and the delegates that lead to it.
    fn hop(&self, index: usize) -> (&str, &[String]) {
        (&self.chain[index], &self.chain[..index])
    }

    fn last(&self) -> usize {
        self.chain.len() - 1
    }
}
