//! Explains hop by hop what a chain of accounts needs, and what the policy gives.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::authorization::{self, Chain};
use super::identities::Identities;
use super::policy::{Holder, Moment, Policy, Standing};
use super::principal::Principal;
use crate::emulator::error::ApiError;
use crate::emulator::method::Method;
use crate::roles::{IMPLICIT_DELEGATION, SERVICE_ACCOUNT};

/// What a request along a chain would lead to, and why.
#[derive(Debug)]
pub(crate) struct Explanation {
    pub(crate) hops: Vec<ExplainedHop>,
    /// Whether the principal is an account that is disabled, so that its tokens are refused.
    pub(crate) is_principal_disabled: bool,
    /// The error that the request would get.
    pub(crate) refusal: Option<ApiError>,
}

/// One hop: who needs which permission on which account.
#[derive(Debug)]
pub(crate) struct ExplainedHop {
    /// As policies name it: `user:alice@example.com`.
    pub(crate) member: String,
    pub(crate) account: String,
    pub(crate) permission: &'static str,
    pub(crate) finding: Finding,
}

/// What a policy says about one hop.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// There is no policy: everyone may do everything.
    NoPolicy,
    /// A grant gives the permission.
    Granted(GrantFacts),
    /// A grant comes into force after this time.
    Pending(GrantFacts, Duration),
    /// The condition of a grant isn't true.
    ConditionIsFalse(GrantFacts),
    NoGrant,
    UnknownAccount,
    DisabledAccount,
}

/// A grant, for people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GrantFacts {
    /// The role, or the permissions of a grant without one.
    pub(crate) gives: String,
    pub(crate) member: String,
    /// The project, if the grant isn't on the account itself.
    pub(crate) project: Option<String>,
}

impl Finding {
    pub(crate) fn is_allowed(&self) -> bool {
        matches!(self, Self::NoPolicy | Self::Granted(_))
    }
}

/// Explains a request of `principal`, as policies name it, for an account by way of delegates. All of them are e-mail
/// addresses or unique ids.
///
/// # Errors
///
/// Returns the error of a malformed name.
pub(crate) fn explain(
    identities: &Identities,
    principal: &str,
    method: Method,
    delegates: &[String],
    target: &str,
) -> Result<Explanation, ApiError> {
    let name = crate::service_account_path("-", target);
    let chain = Chain::parse(identities, delegates, &name)?;
    let refusal = authorization::foresee(identities, principal, method, &chain).err();
    let mut member = principal.to_owned();
    let mut hops = Vec::with_capacity(delegates.len() + 1);
    for account in delegates.iter().map(String::as_str).chain([target]) {
        let permission = if hops.len() < delegates.len() { IMPLICIT_DELEGATION } else { method.permission() };
        let (account, finding) = look_at(identities, &member, permission, account);
        let next = format!("{SERVICE_ACCOUNT}{account}");
        let member = std::mem::replace(&mut member, next);
        hops.push(ExplainedHop { member, account, permission, finding });
    }
    let is_principal_disabled = Principal::named(principal).check_enabled(identities, method).is_err();
    Ok(Explanation { hops, is_principal_disabled, refusal })
}

/// Returns the account's address, and whether `member` has the permission on it.
fn look_at(identities: &Identities, member: &str, permission: &str, account: &str) -> (String, Finding) {
    let Some(found) = identities.account(account) else {
        return (account.to_owned(), Finding::UnknownAccount);
    };
    let email = found.email().to_owned();
    let finding = match identities.policy() {
        None => Finding::NoPolicy,
        Some(active) if active.policy.is_disabled(&email) => Finding::DisabledAccount,
        Some(active) => finding(&active.policy, member, permission, &email, active.moment(&identities.clock)),
    };
    (email, finding)
}

fn finding(policy: &Policy, member: &str, permission: &str, email: &str, moment: Moment) -> Finding {
    let Some(reason) = policy.reason(Holder::from(member), permission, email, moment) else {
        return Finding::NoGrant;
    };
    let facts = GrantFacts {
        gives: reason.gives,
        member: reason.member.to_string(),
        project: reason.project.map(str::to_owned),
    };
    match reason.standing {
        Standing::InForce => Finding::Granted(facts),
        Standing::Pending(left) => Finding::Pending(facts, left),
        Standing::ConditionIsFalse => Finding::ConditionIsFalse(facts),
    }
}
