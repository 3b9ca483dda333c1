//! The machine that the metadata server belongs to.

use std::sync::Arc;

use super::account::{Account, DEFAULT_PROJECT, project_number_of};
use super::identities::Identities;
use super::policy::Machine as MachinePolicy;
use crate::emulator::fingerprint;
use crate::host::DEFAULT_UNIVERSE;
use crate::metadata_protocol::{Machine, MachineAccount};
use crate::scopes;

/// When every machine was created: 2020-09-13T12:26:40Z.
const CREATED: i64 = 1_600_000_000;

const DEFAULT_NAME: &str = "emulator";
const DEFAULT_ZONE: &str = "us-central1-a";

/// Returns the account whose tokens the metadata server returns, if the policy names one. Without a policy
/// there is a default one.
pub(crate) fn account(identities: &Identities) -> Option<Arc<Account>> {
    match identities.policy() {
        Some(active) => identities.account(active.policy.metadata_server()?),
        None => Some(identities.accounts.get(&format!("default@{DEFAULT_PROJECT}.iam.gserviceaccount.com"))),
    }
}

/// Returns the scopes of its tokens, unless a request names others.
pub(crate) fn default_scopes() -> Vec<String> {
    [scopes::CLOUD_PLATFORM, scopes::USERINFO_EMAIL].map(str::to_owned).to_vec()
}

/// Returns the machine.
pub(crate) fn of(identities: &Identities) -> Machine {
    let account = account(identities);
    let active = identities.policy();
    let policy = active.as_ref().map(|active| &active.policy);
    let MachinePolicy { name, id, zone, attributes, licenses } =
        policy.and_then(|policy| policy.machine()).cloned().unwrap_or_default();
    let project = account.as_ref().map_or(DEFAULT_PROJECT, |account| account.project()).to_owned();
    let name = name.unwrap_or_else(|| DEFAULT_NAME.to_owned());
    Machine {
        project_number: policy
            .map_or_else(|| project_number_of(&project), |policy| policy.project_number(&project)),
        id: id.unwrap_or_else(|| id_of(&project, &name)),
        name,
        zone: Some(zone.unwrap_or_else(|| DEFAULT_ZONE.to_owned())),
        created: CREATED,
        attributes,
        project_attributes: policy
            .and_then(|policy| policy.project_attributes())
            .cloned()
            .unwrap_or_default(),
        licenses,
        account: account
            .map(|account| MachineAccount { email: account.email().to_owned(), scopes: default_scopes() }),
        project: Some(project),
        universe: DEFAULT_UNIVERSE.to_owned(),
    }
}

/// Returns an id of 19 digits, the same for the same machine in every run.
fn id_of(project: &str, name: &str) -> u64 {
    const LEAST: u64 = 1_000_000_000_000_000_000;
    LEAST + fingerprint::number(&format!("{project}/{name}")) % (8 * LEAST)
}
