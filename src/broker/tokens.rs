//! The tokens of callers, as the policy allows.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio::time::Instant;

use super::policy::{Allowed, Caller, Denial, Policy, Protocol, Request, Wanted};
use super::renewal;
use crate::error::shorten;
use crate::measurements::count_broker_request;
use crate::printable::printable;
use crate::{Credentials, Error, ImpersonationPool, Token};

/// Gives callers the tokens that a policy allows them, from a pool.
///
/// A [`BrokerServer`](super::BrokerServer) offers it to other programs. Cloning it is cheap, and clones share policy
/// and pool.
///
/// ```no_run
/// use gcp_iam_credentials::broker::{Broker, Policy};
/// use gcp_iam_credentials::{IamCredentialsClient, ImpersonationPool};
///
/// # fn broker() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = ImpersonationPool::builder(IamCredentialsClient::new()?).build();
/// let policy = Policy::from_json(&std::fs::read_to_string("policy.json")?)?;
/// let broker = Broker::new(pool, policy);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Broker {
    shared: Arc<Shared>,
}

struct Shared {
    pool: ImpersonationPool,
    policy: ArcSwap<Policy>,
}

/// Why a caller gets no token.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The policy doesn't allow it.
    Denied(Denial),
    /// The policy allows it, and there is no token.
    Failed(Error),
}

impl Broker {
    /// Makes a broker whose tokens are those of `pool`. Sends nothing.
    pub fn new(pool: ImpersonationPool, policy: Policy) -> Self {
        Self { shared: Arc::new(Shared { pool, policy: ArcSwap::from_pointee(policy) }) }
    }

    /// Puts another policy into force: for all requests from now on, those on open connections included.
    ///
    /// A token that a caller already has lives on: IAM can't revoke it.
    pub fn set_policy(&self, policy: Policy) {
        self.shared.policy.store(Arc::new(policy));
    }

    /// Returns the pool that the tokens come from.
    pub fn pool(&self) -> &ImpersonationPool {
        &self.shared.pool
    }

    /// Returns the policy in force.
    pub(super) fn policy(&self) -> Guard<Arc<Policy>> {
        self.shared.policy.load()
    }

    /// Returns a token to use at once. Waits for it for at most `patience`.
    pub(super) async fn token(
        &self,
        caller: &Caller,
        request: Request<'_>,
        patience: Duration,
    ) -> Result<Token, Refusal> {
        let end = Instant::now() + patience;
        let result = match self.credentials(caller, request) {
            Ok(credentials) => credentials.token_within(end).await.map_err(Refusal::Failed),
            Err(refusal) => Err(refusal),
        };
        report(request.protocol, caller, request.target, result.as_ref().err());
        result
    }

    /// Returns a token for a client that keeps it, and how long it lives.
    pub(super) async fn lasting_token(
        &self,
        caller: &Caller,
        request: Request<'_>,
    ) -> Result<(Token, Duration), Refusal> {
        let result = match self.credentials(caller, request) {
            Ok(credentials) => renewal::token(&credentials).await.map_err(Refusal::Failed),
            Err(refusal) => Err(refusal),
        };
        report(request.protocol, caller, request.target, result.as_ref().err());
        result
    }

    /// Returns the credentials of what the policy allows.
    fn credentials(&self, caller: &Caller, request: Request<'_>) -> Result<Credentials, Refusal> {
        let policy = self.policy();
        let Allowed { grant, scopes } = policy.decide(caller, &request)?;
        let acting = self.pool().impersonate(request.target).delegates(grant.delegates());
        let credentials = match request.wanted {
            Wanted::Identity { audience, with_email } => acting.include_email(with_email).id_token(audience),
            _ => match grant.lifetime() {
                Some(lifetime) => acting.lifetime(lifetime).access_token(scopes),
                None => acting.access_token(scopes),
            },
        };
        Ok(credentials?)
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("pool", self.pool()).field("policy", &**self.policy()).finish()
    }
}

/// Tells operators how a request ended. A refusal by the policy isn't worth a warning: anyone can cause it.
pub(super) fn report(protocol: Protocol, caller: &Caller, target: &str, refusal: Option<&Refusal>) {
    let target = shorten(target);
    let target = printable(&target);
    let result = match refusal {
        None => "ok",
        Some(Refusal::Denied(denial)) => {
            tracing::info!(%caller, %target, reason = %denial, "refused a token");
            "denied"
        }
        Some(Refusal::Failed(error)) => {
            tracing::warn!(%caller, %target, error = %error.in_one_line(), "there is no token");
            if error.is_transient() { "unavailable" } else { "failed" }
        }
    };
    count_broker_request(protocol.name(), result);
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}
