//! The policy: projects, accounts, users, and the grants between them.

mod ambiguities;
mod bindings;
mod build;
mod check_federation;
mod condition;
mod cycles;
mod error;
mod examples;
mod external_account;
mod federation;
mod grant;
mod holder;
mod lookup;
mod machine;
mod member;
pub(crate) mod permissions;
#[cfg(test)]
mod random_changes;
mod read;
mod reason;
mod resource;
mod role;
mod service_accounts;
mod validate;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::ambiguities::Ambiguities;
use self::federation::IdentityPool;
use self::grant::Grant;
use self::machine::MetadataServer;
use self::service_accounts::DeletedAccount;
use crate::{document, json_duration};

pub use self::ambiguities::{DisabledAccount, MiddleHop, ProjectInName, UnknownAccount};
pub(crate) use self::bindings::Binding;
pub(crate) use self::condition::Condition;
pub use self::error::PolicyError;
pub use self::external_account::{DEFAULT_AWS_REGION, ExternalAccount};
pub use self::federation::IdentityProvider;
pub(crate) use self::federation::{AwsProvider, OidcProvider};
pub(crate) use self::grant::Standing;
pub(crate) use self::holder::Holder;
pub(crate) use self::machine::Machine;
pub use self::member::Member;
pub(crate) use self::reason::Access;
pub(crate) use self::resource::{Moment, Resource};
pub use self::role::Role;
pub(crate) use self::service_accounts::AccountDetails;

/// Projects, accounts, users, and the grants between them.
///
/// Build it in code, or read it with [`from_json`](Self::from_json). If an emulator has a policy,
/// then accounts that the policy doesn't name don't exist, unknown bearer tokens are rejected, and
/// every permission needs a grant.
///
/// Members and roles can be passed as strings. An invalid string is reported by
/// [`validate`](Self::validate) and by
/// [`EmulatorBuilder::start`](crate::emulator::EmulatorBuilder::start).
///
/// ```
/// use gcp_iam_credentials::emulator::{Member, Policy, Role};
///
/// let middle = "middle@p.iam.gserviceaccount.com";
/// let target = "target@p.iam.gserviceaccount.com";
/// let policy = Policy::new()
///     .token("alice-token", "user:alice@example.com")
///     .grant("user:alice@example.com", Role::TOKEN_CREATOR, middle)
///     .grant(Member::service_account(middle)?, Role::TOKEN_CREATOR, target);
/// policy.validate()?;
/// # Ok::<(), gcp_iam_credentials::emulator::PolicyError>(())
/// ```
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Policy {
    #[serde(deserialize_with = "document::objects_by_name", skip_serializing_if = "BTreeMap::is_empty")]
    projects: BTreeMap<String, ProjectPolicy>,
    #[serde(deserialize_with = "document::objects_by_name", skip_serializing_if = "BTreeMap::is_empty")]
    service_accounts: BTreeMap<String, AccountPolicy>,
    #[serde(deserialize_with = "document::objects_by_name", skip_serializing_if = "BTreeMap::is_empty")]
    users: BTreeMap<String, User>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<String, Vec<Member>>,
    /// Custom roles and their permissions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    roles: BTreeMap<Role, BTreeSet<String>>,
    #[serde(deserialize_with = "document::objects", skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<FixedToken>,
    #[serde(deserialize_with = "document::optional_object", skip_serializing_if = "Option::is_none")]
    metadata_server: Option<MetadataServer>,
    /// Workload identity pools and workforce pools, by their full names.
    #[serde(deserialize_with = "document::objects_by_name", skip_serializing_if = "BTreeMap::is_empty")]
    identity_pools: BTreeMap<String, IdentityPool>,
    #[serde(deserialize_with = "document::objects_by_name", skip_serializing_if = "BTreeMap::is_empty")]
    external_accounts: BTreeMap<String, ExternalAccount>,
    /// How long grants that are made with IAM's own API take to come into force.
    #[serde(with = "json_duration::serde_text", skip_serializing_if = "Duration::is_zero")]
    grant_propagation: Duration,
    #[serde(deserialize_with = "document::object")]
    ambiguities: Ambiguities,
    /// The accounts that were deleted, by their unique ids.
    #[serde(skip)]
    deleted: BTreeMap<String, DeletedAccount>,
    /// The first invalid member or role that was passed to a builder method.
    #[serde(skip)]
    first_error: Option<PolicyError>,
}

/// The rules of one project.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct ProjectPolicy {
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<u64>,
    api_disabled: bool,
    #[serde(deserialize_with = "document::objects", skip_serializing_if = "Vec::is_empty")]
    grants: Vec<Grant>,
}

/// The access rules of one service account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct AccountPolicy {
    #[serde(skip_serializing_if = "Option::is_none")]
    unique_id: Option<String>,
    disabled: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    display_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    /// Whether access tokens may live for up to 12 h instead of 1 h.
    long_lifetimes: bool,
    /// The scopes for which the account may act as any user.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    domain_wide_delegation: Vec<String>,
    #[serde(deserialize_with = "document::objects", skip_serializing_if = "Vec::is_empty")]
    grants: Vec<Grant>,
}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct User {
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

/// A bearer token that never expires.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct FixedToken {
    token: String,
    pub(crate) principal: Member,
    /// `None` if the token is valid for all scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scopes: Option<Vec<String>>,
}

impl fmt::Debug for Policy {
    /// Leaves out bearer and refresh tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("projects", &self.projects)
            .field("service_accounts", &self.service_accounts)
            .field("users", &self.users.keys())
            .field("groups", &self.groups)
            .field("roles", &self.roles)
            .field("tokens", &self.tokens.len())
            .field("metadata_server", &self.metadata_server)
            .field("identity_pools", &self.identity_pools)
            .field("external_accounts", &self.external_accounts)
            .field("grant_propagation", &self.grant_propagation)
            .field("ambiguities", &self.ambiguities)
            .finish_non_exhaustive()
    }
}
