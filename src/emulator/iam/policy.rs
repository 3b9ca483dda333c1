//! Who may do what: the policy that an emulator enforces.

mod ambiguities;
mod check;
mod document;
mod lookup;
mod role;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::ambiguities::{DisabledAccount, MiddleHop, ProjectInName, UnknownAccount};
pub use self::document::PolicyError;
pub use self::role::{
    OPENID_TOKEN_CREATOR, SERVICE_ACCOUNT_USER, SERVICE_USAGE_CONSUMER, TOKEN_CREATOR, WORKLOAD_IDENTITY_USER,
};

use self::ambiguities::Ambiguities;
pub(crate) use self::role::{IMPLICIT_DELEGATION, USE_SERVICES};

/// Projects, accounts, users, and the grants between them.
///
/// Written in code, or read from JSON (`docs/emulator.md` has the format). With a policy, what it
/// does not name does not exist, unknown bearer tokens are refused, and every permission needs a
/// grant.
///
/// ```
/// use gcp_iam_credentials::emulator::{Policy, TOKEN_CREATOR};
///
/// let (middle, target) = ("middle@p.iam.gserviceaccount.com", "target@p.iam.gserviceaccount.com");
/// let policy = Policy::new()
///     .token("alice-token", "user:alice@example.com")
///     .grant("user:alice@example.com", TOKEN_CREATOR, middle)
///     .grant(&format!("serviceAccount:{middle}"), TOKEN_CREATOR, target);
/// policy.validate()?;
/// # Ok::<(), gcp_iam_credentials::emulator::PolicyError>(())
/// ```
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Policy {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    projects: BTreeMap<String, Project>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    service_accounts: BTreeMap<String, Rules>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    users: BTreeMap<String, User>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<String, Vec<String>>,
    /// Custom roles and their permissions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    roles: BTreeMap<String, BTreeSet<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<FixedToken>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata_server: Option<MetadataServer>,
    ambiguities: Ambiguities,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Project {
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<u64>,
    api_disabled: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    grants: Vec<Grant>,
}

/// What holds for one service account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Rules {
    #[serde(skip_serializing_if = "Option::is_none")]
    unique_id: Option<String>,
    disabled: bool,
    /// Access tokens may live for twelve hours.
    long_lifetimes: bool,
    /// The scopes for which it may act as any user of its domain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    domain_wide_delegation: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    grants: Vec<Grant>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Grant {
    members: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    permissions: BTreeSet<String>,
    /// How long after the policy came into force this grant does.
    #[serde(with = "document::duration", skip_serializing_if = "Duration::is_zero")]
    propagation: Duration,
}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct User {
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct FixedToken {
    token: String,
    pub(crate) principal: String,
    /// None: good for all scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scopes: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct MetadataServer {
    service_account: String,
}

impl Policy {
    /// A policy without projects, accounts and grants.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads `policy.json`.
    ///
    /// # Errors
    /// The text is no policy; the error names the place in the document.
    pub fn from_json(text: &str) -> Result<Self, PolicyError> {
        document::read(text)
    }

    /// The policy as `policy.json` has it.
    pub fn to_json(&self) -> String {
        // Maps of strings to plain data: this cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Checks what types cannot: names, members, roles, cycles of groups.
    ///
    /// # Errors
    /// Something refers to nothing, or makes no sense; the error names the place.
    pub fn validate(&self) -> Result<(), PolicyError> {
        document::validate(self)
    }

    /// Adds a service account that nobody may use yet.
    #[must_use]
    pub fn account(mut self, email: &str) -> Self {
        self.rules(email);
        self
    }

    /// Adds an account with that unique id, of digits only.
    #[must_use]
    pub fn account_with_id(mut self, email: &str, unique_id: &str) -> Self {
        self.rules(email).unique_id = Some(unique_id.to_owned());
        self
    }

    /// Adds an account that is disabled.
    #[must_use]
    pub fn disabled_account(mut self, email: &str) -> Self {
        self.rules(email).disabled = true;
        self
    }

    /// Lets access tokens of this account live for up to twelve hours, as the organisation policy
    /// `constraints/iam.allowServiceAccountCredentialLifetimeExtension` does.
    #[must_use]
    pub fn long_lifetimes(mut self, email: &str) -> Self {
        self.rules(email).long_lifetimes = true;
        self
    }

    /// Lets this account act as any user, for these scopes: domain-wide delegation.
    #[must_use]
    pub fn domain_wide_delegation<S: Into<String>>(
        mut self,
        email: &str,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.rules(email).domain_wide_delegation = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Grants `member` a role on an account: `user:…`, `serviceAccount:…`, `group:…`, `domain:…`,
    /// `principal://…`, `allAuthenticatedUsers` or `allUsers`. Adds the accounts that it names.
    #[must_use]
    pub fn grant(self, member: &str, role: &str, email: &str) -> Self {
        self.grant_after(Duration::ZERO, member, role, email)
    }

    /// [`grant`](Self::grant), in force only when the policy has been so for `propagation`.
    #[must_use]
    pub fn grant_after(mut self, propagation: Duration, member: &str, role: &str, email: &str) -> Self {
        self.add_grant(propagation, member, role, email);
        self
    }

    /// Grants `member` a role on a whole project, and so on all its accounts.
    #[must_use]
    pub fn grant_on_project(mut self, member: &str, role: &str, project: &str) -> Self {
        let grant = Grant::of_role(Duration::ZERO, member, role);
        self.projects.entry(project.to_owned()).or_default().grants.push(grant);
        self
    }

    /// Adds a custom role.
    #[must_use]
    pub fn role<S: Into<String>>(mut self, name: &str, permissions: impl IntoIterator<Item = S>) -> Self {
        self.roles.insert(name.to_owned(), permissions.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a group of members.
    #[must_use]
    pub fn group<S: Into<String>>(mut self, email: &str, members: impl IntoIterator<Item = S>) -> Self {
        self.groups.insert(email.to_owned(), members.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a bearer token of a principal. It never expires, and is good for all scopes.
    #[must_use]
    pub fn token(mut self, token: &str, principal: &str) -> Self {
        self.tokens.push(FixedToken {
            token: token.to_owned(),
            principal: principal.to_owned(),
            scopes: None,
        });
        self
    }

    /// Adds a bearer token of a principal that is good for these scopes only.
    #[must_use]
    pub fn token_with_scopes<S: Into<String>>(
        mut self,
        token: &str,
        principal: &str,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        let scopes = Some(scopes.into_iter().map(Into::into).collect());
        self.tokens.push(FixedToken { token: token.to_owned(), principal: principal.to_owned(), scopes });
        self
    }

    /// Adds a user whose refresh token is this one.
    #[must_use]
    pub fn user(mut self, email: &str, refresh_token: &str) -> Self {
        self.users.insert(email.to_owned(), User { refresh_token: Some(refresh_token.to_owned()) });
        self
    }

    /// Disables the API in a project.
    #[must_use]
    pub fn api_disabled(mut self, project: &str) -> Self {
        self.projects.entry(project.to_owned()).or_default().api_disabled = true;
        self
    }

    /// Puts a project into an organisation of that number, which ID tokens can show.
    #[must_use]
    pub fn organization(mut self, project: &str, number: u64) -> Self {
        self.projects.entry(project.to_owned()).or_default().organization = Some(number);
        self
    }

    /// The account whose tokens the metadata server hands out.
    #[must_use]
    pub fn metadata_account(mut self, email: &str) -> Self {
        self.rules(email);
        self.metadata_server = Some(MetadataServer { service_account: email.to_owned() });
        self
    }

    /// Chooses the permission that errors name for a delegate.
    #[must_use]
    pub fn middle_hop(mut self, choice: MiddleHop) -> Self {
        self.ambiguities.middle_hop = choice;
        self
    }

    /// Chooses the answer for accounts that do not exist.
    #[must_use]
    pub fn unknown_account(mut self, choice: UnknownAccount) -> Self {
        self.ambiguities.unknown_account = choice;
        self
    }

    /// Chooses the answer for disabled targets.
    #[must_use]
    pub fn disabled_accounts_are(mut self, choice: DisabledAccount) -> Self {
        self.ambiguities.disabled_account = choice;
        self
    }

    /// Chooses what becomes of names with a project.
    #[must_use]
    pub fn project_in_name(mut self, choice: ProjectInName) -> Self {
        self.ambiguities.project_in_name = choice;
        self
    }

    pub(crate) fn add_grant(&mut self, propagation: Duration, member: &str, role: &str, email: &str) {
        if let Some(account) = member.strip_prefix("serviceAccount:") {
            self.rules(account);
        }
        self.rules(email).grants.push(Grant::of_role(propagation, member, role));
    }

    /// Takes a role from a member; `false` if it had no such grant of its own.
    pub(crate) fn remove_grant(&mut self, member: &str, role: &str, email: &str) -> bool {
        let Some(rules) = self.service_accounts.get_mut(email) else { return false };
        let mut found = false;
        for grant in &mut rules.grants {
            if grant.role.as_deref() == Some(role) {
                let before = grant.members.len();
                grant.members.retain(|held| held != member);
                found |= grant.members.len() < before;
            }
        }
        rules.grants.retain(|grant| !grant.members.is_empty());
        found
    }

    fn rules(&mut self, email: &str) -> &mut Rules {
        self.service_accounts.entry(email.to_owned()).or_default()
    }
}

impl Grant {
    fn of_role(propagation: Duration, member: &str, role: &str) -> Self {
        Self {
            members: vec![member.to_owned()],
            role: Some(role.to_owned()),
            permissions: BTreeSet::new(),
            propagation,
        }
    }
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
            .field("ambiguities", &self.ambiguities)
            .finish()
    }
}
