//! Decides whether a caller gets a token.

use std::fmt;

use super::Policy;
use super::caller::Caller;
use super::grant::Grant;
use super::request::{Protocol, Request, Wanted};

/// What a policy allows.
#[derive(Clone, Debug)]
pub(in crate::broker) struct Allowed<'p> {
    pub(in crate::broker) grant: &'p Grant,
    /// Those of the access token; none for an ID token.
    pub(in crate::broker) scopes: Vec<&'p str>,
}

/// Why a policy refuses a token: what of the request no grant has, while one has all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::broker) enum Denial {
    Target,
    Caller,
    Audience,
    Scopes,
}

impl Policy {
    /// Decides whether `caller` gets a token. The first grant that allows it counts.
    pub(in crate::broker) fn decide(
        &self,
        caller: &Caller,
        request: &Request<'_>,
    ) -> Result<Allowed<'_>, Denial> {
        let mut denial = Denial::Target;
        for grant in self.grants.iter().filter(|grant| grant.has_target(request.target)) {
            if !grant.has_caller(caller) {
                denial = denial.max(Denial::Caller);
                continue;
            }
            match &request.wanted {
                Wanted::Identity { audience, .. } if grant.has_audience(audience) => {
                    return Ok(Allowed { grant, scopes: Vec::new() });
                }
                Wanted::Identity { .. } => denial = denial.max(Denial::Audience),
                wanted => match grant.scopes_for(wanted) {
                    Some(scopes) => return Ok(Allowed { grant, scopes }),
                    None => denial = denial.max(Denial::Scopes),
                },
            }
        }
        Err(denial)
    }

    /// Returns whether any grant lets `caller` act as `target`.
    pub(in crate::broker) fn lets(&self, caller: &Caller, target: &str) -> bool {
        self.grants.iter().any(|grant| grant.has_target(target) && grant.has_caller(caller))
    }

    /// Returns the account that a caller acts as if it names none: the one of the first grant for it, if that
    /// grant has no other.
    pub(in crate::broker) fn target_of(&self, caller: &Caller) -> Option<&str> {
        self.grants.iter().find(|grant| grant.has_caller(caller))?.sole_target()
    }

    /// Returns the scopes that access tokens of a target may have for a caller.
    pub(in crate::broker) fn scopes_of(&self, caller: &Caller, target: &str) -> Vec<&str> {
        let request = Request { target, wanted: Wanted::Access(&[]), protocol: Protocol::Metadata };
        self.decide(caller, &request).map(|allowed| allowed.scopes).unwrap_or_default()
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Target => "no grant is for the target",
            Self::Caller => "no grant for the target is for the caller",
            Self::Audience => "no grant of the caller for the target has the audience",
            Self::Scopes => "no grant of the caller for the target has all of the scopes",
        })
    }
}
