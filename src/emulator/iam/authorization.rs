//! Decides whether a principal may do what it requests: names, projects, and the chain of delegates.

use std::sync::Arc;

use http::HeaderMap;

use super::account::{Account, is_well_formed, project_of};
use super::active_policy::ActivePolicy;
use super::identities::Identities;
use super::policy::{DisabledAccount, Holder, MiddleHop, ProjectInName, UnknownAccount};
use super::principal::Principal;
use crate::emulator::error::ApiError;
use crate::emulator::method::Method;
use crate::headers::USER_PROJECT;
use crate::parse_service_account_path;
use crate::roles::{IMPLICIT_DELEGATION, USE_SERVICES};

/// The accounts from the principal to the target, as e-mail addresses or unique ids.
#[derive(Debug)]
pub(crate) struct Chain<'a> {
    delegates: Vec<&'a str>,
    target: &'a str,
}

impl<'a> Chain<'a> {
    /// Reads the names of a request.
    pub(crate) fn parse(
        identities: &Identities,
        delegates: &'a [String],
        name: &'a str,
    ) -> Result<Self, ApiError> {
        let target = account_in(identities, name)?;
        let delegates = delegates.iter().map(|delegate| {
            // Over REST, Google accepts bare addresses here; it isn't known whether gRPC does too.
            if is_well_formed(delegate) { Ok(delegate.as_str()) } else { account_in(identities, delegate) }
        });
        Ok(Self { delegates: delegates.collect::<Result<_, _>>()?, target })
    }

    pub(crate) fn target(&self) -> &'a str {
        self.target
    }
}

/// Returns the account in a resource name.
fn account_in<'a>(identities: &Identities, name: &'a str) -> Result<&'a str, ApiError> {
    let (project, account) = parse_service_account_path(name).ok_or_else(ApiError::invalid_argument)?;
    if project != "-" {
        let choice = identities.policy().map(|active| active.policy.ambiguities().project_in_name);
        if choice.unwrap_or_default() == ProjectInName::Refused {
            return Err(ApiError::invalid_argument());
        }
    }
    if !is_well_formed(account) {
        return Err(ApiError::malformed_account(account));
    }
    Ok(account)
}

/// Checks that the API is enabled and that the principal may use the quota project.
pub(crate) fn check_projects(
    identities: &Identities,
    principal: &Principal,
    headers: &HeaderMap,
    target: &str,
) -> Result<(), ApiError> {
    let Some(active) = identities.policy() else { return Ok(()) };
    let (policy, moment) = (&active.policy, active.moment(&identities.clock));
    let named = headers.get(USER_PROJECT).and_then(|value| value.to_str().ok());
    let quota_project = named.map(|named| {
        // It is named by its id or its number.
        let id = policy
            .project_id(named)
            .filter(|project| policy.allows_on_project(principal.holder(), USE_SERVICES, project, moment));
        id.ok_or_else(|| ApiError::user_project_denied(named))
    });
    let quota_project = quota_project.transpose()?;
    let of_target = || identities.accounts.find(target).map(|account| account.project().to_owned());
    let consumer =
        quota_project.or_else(|| principal.account().map(project_of)).map(str::to_owned).or_else(of_target);
    match consumer {
        Some(project) if policy.is_api_disabled(&project) => {
            Err(ApiError::service_disabled(policy.project_number(&project)))
        }
        _ => Ok(()),
    }
}

/// Returns what a valid request of a principal would lead to, if it names no quota project: the target, or the error.
pub(crate) fn foresee(
    identities: &Identities,
    principal: &str,
    method: Method,
    chain: &Chain<'_>,
) -> Result<Arc<Account>, ApiError> {
    let principal = Principal::named(principal);
    principal.check_enabled(identities, method)?;
    check_projects(identities, &principal, &HeaderMap::new(), chain.target())?;
    authorize(identities, &principal, method, chain)
}

/// Checks the chain hop by hop and returns the target.
///
/// The principal needs a grant on the first delegate, each delegate needs one on the next, and the
/// last one on the target: implicit delegation on delegates, the method's permission on the target.
pub(crate) fn authorize(
    identities: &Identities,
    principal: &Principal,
    method: Method,
    chain: &Chain<'_>,
) -> Result<Arc<Account>, ApiError> {
    let action = method.permission();
    let Some(active) = identities.policy() else {
        if principal.holder().is_limited {
            return Err(ApiError::permission_denied(action, 0));
        }
        return Ok(identities.accounts.get(chain.target));
    };
    let (policy, moment) = (&active.policy, active.moment(&identities.clock));
    let mut previous: Option<Arc<Account>> = None;
    for (hop, delegate) in chain.delegates.iter().enumerate() {
        let reported = match policy.ambiguities().middle_hop {
            MiddleHop::ImplicitDelegation => IMPLICIT_DELEGATION,
            MiddleHop::Action => action,
        };
        let account = enabled_account(identities, &active, delegate, reported, hop)?;
        let holder = holder(principal, previous.as_deref());
        if !policy.allows(holder, IMPLICIT_DELEGATION, account.email(), moment) {
            return Err(ApiError::permission_denied(reported, hop));
        }
        previous = Some(account);
    }
    let hop = chain.delegates.len();
    let target = enabled_account(identities, &active, chain.target, action, hop)?;
    if policy.allows(holder(principal, previous.as_deref()), action, target.email(), moment) {
        Ok(target)
    } else {
        Err(ApiError::permission_denied(action, hop))
    }
}

/// Returns who needs the next grant: the delegate before it, or the principal.
fn holder<'a>(principal: &'a Principal, delegate: Option<&'a Account>) -> Holder<'a> {
    delegate.map_or_else(|| principal.holder(), |delegate| Holder::from(&**delegate.member()))
}

/// Returns the account, if it exists and isn't disabled.
fn enabled_account(
    identities: &Identities,
    active: &ActivePolicy,
    account: &str,
    permission: &str,
    hop: usize,
) -> Result<Arc<Account>, ApiError> {
    let ambiguities = active.policy.ambiguities();
    let Some(found) = identities.account(account) else {
        return Err(match ambiguities.unknown_account {
            UnknownAccount::NotFound => ApiError::unknown_account(account),
            UnknownAccount::PermissionDenied => ApiError::permission_denied(permission, hop),
        });
    };
    if active.policy.is_disabled(found.email()) {
        return Err(match ambiguities.disabled_account {
            DisabledAccount::PermissionDenied => ApiError::permission_denied(permission, hop),
            DisabledAccount::NotFound => ApiError::unknown_account(account),
        });
    }
    Ok(found)
}
