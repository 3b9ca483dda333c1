//! Whether a caller may do what it asks for: names, projects, and the chain of delegates.

use std::sync::Arc;

use http::HeaderMap;

use crate::parse_service_account_path;

use crate::emulator::error::Refusal;
use crate::emulator::iam::account::{Account, is_well_formed, project_of};
use crate::emulator::iam::policy::{
    DisabledAccount, IMPLICIT_DELEGATION, MiddleHop, ProjectInName, USE_SERVICES, UnknownAccount,
};
use crate::emulator::iam::principal::Caller;
use crate::emulator::method::Method;
use crate::emulator::state::World;
use crate::headers::USER_PROJECT;

/// The accounts from the caller to the target, as e-mail addresses or unique ids.
#[derive(Debug)]
pub(crate) struct Chain<'a> {
    delegates: Vec<&'a str>,
    target: &'a str,
}

impl<'a> Chain<'a> {
    /// Reads the names of a request.
    pub(crate) fn parse(world: &World, delegates: &'a [String], name: &'a str) -> Result<Self, Refusal> {
        let target = account_of(world, name)?;
        let delegates = delegates.iter().map(|delegate| {
            // REST has been seen to take bare addresses here; it is not known whether gRPC does.
            if is_well_formed(delegate) { Ok(delegate.as_str()) } else { account_of(world, delegate) }
        });
        Ok(Self { delegates: delegates.collect::<Result<_, _>>()?, target })
    }

    pub(crate) fn target(&self) -> &'a str {
        self.target
    }
}

fn account_of<'a>(world: &World, name: &'a str) -> Result<&'a str, Refusal> {
    let (project, account) = parse_service_account_path(name).ok_or_else(Refusal::invalid_argument)?;
    if project != "-" {
        let choice = world.policy().map(|rules| rules.policy.ambiguities().project_in_name);
        if choice.unwrap_or_default() == ProjectInName::Refused {
            return Err(Refusal::invalid_argument());
        }
    }
    if !is_well_formed(account) {
        return Err(Refusal::malformed_account(account));
    }
    Ok(account)
}

/// Whether the API is enabled, and the quota project the caller's to use.
pub(crate) fn check_projects(
    world: &World,
    caller: &Caller,
    headers: &HeaderMap,
    target: &str,
) -> Result<(), Refusal> {
    let Some(rules) = world.policy() else { return Ok(()) };
    let policy = &rules.policy;
    let quota_project = headers.get(USER_PROJECT).and_then(|value| value.to_str().ok());
    if let Some(project) = quota_project {
        let allowed = policy.knows_project(project)
            && policy.allows_on_project(caller.member(), USE_SERVICES, project, rules.age(world));
        if !allowed {
            return Err(Refusal::user_project_denied(project));
        }
    }
    let of_target = || world.accounts.find(target).map(|account| account.project().to_owned());
    let consumer =
        quota_project.or_else(|| caller.account().map(project_of)).map(str::to_owned).or_else(of_target);
    match consumer {
        Some(project) if policy.is_api_disabled(&project) => {
            Err(Refusal::service_disabled(policy.project_number(&project)))
        }
        _ => Ok(()),
    }
}

/// Walks the chain hop by hop, and returns the target.
///
/// The caller needs a grant on the first delegate, each delegate one on the next, the last one on
/// the target: implicit delegation on delegates, the action's own permission on the target.
pub(crate) fn authorise(
    world: &World,
    caller: &Caller,
    method: Method,
    chain: &Chain<'_>,
) -> Result<Arc<Account>, Refusal> {
    let Some(rules) = world.policy() else { return Ok(world.accounts.get(chain.target)) };
    let (policy, age) = (&rules.policy, rules.age(world));
    let action = method.permission();
    let mut left = Arc::clone(caller.member());
    for (hop, delegate) in chain.delegates.iter().enumerate() {
        let reported = match policy.ambiguities().middle_hop {
            MiddleHop::ImplicitDelegation => IMPLICIT_DELEGATION,
            MiddleHop::Action => action,
        };
        let account = existing(world, delegate, reported, hop)?;
        if !policy.allows(&left, IMPLICIT_DELEGATION, account.email(), age) {
            return Err(Refusal::permission_denied(reported, hop));
        }
        left = Arc::clone(account.member());
    }
    let hop = chain.delegates.len();
    let target = existing(world, chain.target, action, hop)?;
    if policy.allows(&left, action, target.email(), age) {
        Ok(target)
    } else {
        Err(Refusal::permission_denied(action, hop))
    }
}

/// The account, if it is there and not disabled.
fn existing(world: &World, account: &str, permission: &str, hop: usize) -> Result<Arc<Account>, Refusal> {
    let Some(rules) = world.policy() else { return Ok(world.accounts.get(account)) };
    let choices = rules.policy.ambiguities();
    let Some(found) = world.account(account) else {
        return Err(match choices.unknown_account {
            UnknownAccount::NotFound => Refusal::unknown_account(account),
            UnknownAccount::PermissionDenied => Refusal::permission_denied(permission, hop),
        });
    };
    if rules.policy.is_disabled(found.email()) {
        return Err(match choices.disabled_account {
            DisabledAccount::PermissionDenied => Refusal::permission_denied(permission, hop),
            DisabledAccount::NotFound => Refusal::unknown_account(account),
        });
    }
    Ok(found)
}

/// Those of `permissions` that the caller has on an account.
pub(crate) fn held_permissions(
    world: &World,
    headers: &HeaderMap,
    name: &str,
    mut permissions: Vec<String>,
) -> Result<Vec<String>, Refusal> {
    let caller = Caller::identify(world, headers, Method::GenerateAccessToken)?;
    let (_, account) = parse_service_account_path(name).ok_or_else(Refusal::invalid_argument)?;
    if !is_well_formed(account) {
        return Err(Refusal::malformed_account(account));
    }
    let account = world.account(account).ok_or_else(|| Refusal::unknown_account(account))?;
    if let Some(rules) = world.policy() {
        let age = rules.age(world);
        permissions
            .retain(|permission| rules.policy.allows(caller.member(), permission, account.email(), age));
    }
    Ok(permissions)
}
