//! The account of a client of the metadata server.

use std::time::Duration;

use http::StatusCode;

use crate::broker::metadata::{Failure, machine_of};
use crate::broker::policy::{Caller, Denial, Protocol, Request, Wanted};
use crate::broker::tokens::{Broker, Refusal, report};
use crate::metadata_protocol::{Backend, Machine, Query};

/// What a client hears that gets nothing.
const REFUSED: &str = "not allowed";
const UNAVAILABLE: &str = "temporarily unavailable";
const FAILED: &str = "no identity";

/// The account that a caller acts as.
pub(super) struct Identity<'a> {
    broker: &'a Broker,
    caller: &'a Caller,
    target: String,
    scopes: Vec<String>,
    project: Option<&'a str>,
}

impl<'a> Identity<'a> {
    /// Returns the account that `target` names, or the one that the policy has for `caller`.
    pub(super) fn of(
        broker: &'a Broker,
        caller: &'a Caller,
        target: Option<&str>,
        project: Option<&'a str>,
    ) -> Result<Self, Failure> {
        let policy = broker.policy();
        let target = match target.or_else(|| policy.target_of(caller)) {
            Some(target) if policy.lets(caller, target) => target,
            target => {
                let refusal = Refusal::Denied(Denial::Caller);
                report(Protocol::Metadata, caller, target.unwrap_or_default(), Some(&refusal));
                return Err(Failure::new(StatusCode::FORBIDDEN, REFUSED));
            }
        };
        let scopes = policy.scopes_of(caller, target).into_iter().map(str::to_owned).collect();
        Ok(Self { broker, caller, target: target.to_owned(), scopes, project })
    }

    async fn token(&self, wanted: Wanted<'_>) -> Result<(String, Duration), Failure> {
        let request = Request { target: &self.target, wanted, protocol: Protocol::Metadata };
        match self.broker.lasting_token(self.caller, request).await {
            Ok((token, left)) => Ok((token.secret().to_owned(), left)),
            Err(refusal) => Err(Failure::from(&refusal)),
        }
    }
}

impl From<&Refusal> for Failure {
    /// Says whether it is worth trying again, and nothing else.
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Denied(_) => Self::new(StatusCode::FORBIDDEN, REFUSED),
            Refusal::Failed(error) => match Self::status_of(error) {
                unavailable @ StatusCode::SERVICE_UNAVAILABLE => Self::new(unavailable, UNAVAILABLE),
                status => Self::new(status, FAILED),
            },
        }
    }
}

impl Backend for Identity<'_> {
    type Failure = Failure;

    fn machine(&self) -> Machine {
        let universe = self.broker.pool().client().universe_domain();
        machine_of(&self.target, self.scopes.clone(), self.project, universe)
    }

    async fn access_token(&self, scopes: &[String]) -> Result<(String, Duration), Failure> {
        self.token(Wanted::LibraryAccess(scopes)).await
    }

    async fn id_token(&self, query: &Query) -> Result<String, Failure> {
        let wanted = Wanted::Identity { audience: &query.audience, with_email: query.full };
        Ok(self.token(wanted).await?.0)
    }
}
