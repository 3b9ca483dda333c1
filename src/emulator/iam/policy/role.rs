//! Roles and their permissions.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::PolicyError;
use super::permissions::{
    ACT_AS, CREATE_ACCOUNT, DELETE_ACCOUNT, GET_ACCESS_TOKEN, GET_ACCOUNT, GET_ACCOUNT_POLICY, GET_KEY,
    GET_OPEN_ID_TOKEN, GET_PROJECT, GET_PROJECT_POLICY, GET_SERVICE, LIST_ACCOUNTS, LIST_KEYS,
    MANAGE_ACCOUNTS, ON_KEYS, ON_SERVICES, ON_TOKENS, SET_ACCOUNT_POLICY, SET_PROJECT_POLICY, USE_SERVICES,
};
use crate::roles::{SERVICE_USAGE_CONSUMER, TOKEN_CREATOR};

/// The name of a role that a grant gives: a predefined role, or a custom role of the policy.
///
/// Functions that take a role also take its name as a string.
///
/// ```
/// use gcp_iam_credentials::emulator::{Policy, Role};
///
/// let name = Role::TOKEN_CREATOR.to_string();
/// assert_eq!(name, "roles/iam.serviceAccountTokenCreator");
///
/// let signer: Role = "projects/p/roles/signer".parse()?;
/// let policy = Policy::new()
///     .role(&signer, ["iam.serviceAccounts.signBlob"])
///     .grant("allUsers", signer, "sa@p.iam.gserviceaccount.com");
/// policy.validate()?;
/// # Ok::<(), gcp_iam_credentials::emulator::PolicyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Role(Cow<'static, str>);

impl Role {
    /// `roles/iam.serviceAccountTokenCreator`: lets a principal act as an account in every way, and
    /// use it as a delegate.
    pub const TOKEN_CREATOR: Self = Self::predefined(TOKEN_CREATOR);

    /// `roles/iam.serviceAccountOpenIdTokenCreator`: lets a principal generate ID tokens.
    pub const OPENID_TOKEN_CREATOR: Self = Self::predefined("roles/iam.serviceAccountOpenIdTokenCreator");

    /// `roles/iam.workloadIdentityUser`: lets a federated identity generate access and ID tokens.
    pub const WORKLOAD_IDENTITY_USER: Self = Self::predefined("roles/iam.workloadIdentityUser");

    /// `roles/iam.serviceAccountUser`: lets a principal attach an account to resources. It isn't
    /// enough for tokens.
    pub const SERVICE_ACCOUNT_USER: Self = Self::predefined("roles/iam.serviceAccountUser");

    /// `roles/iam.serviceAccountViewer`: lets a principal see an account.
    pub const SERVICE_ACCOUNT_VIEWER: Self = Self::predefined("roles/iam.serviceAccountViewer");

    /// `roles/iam.serviceAccountAdmin`: lets a principal manage accounts and the grants on them, but not
    /// their keys.
    pub const SERVICE_ACCOUNT_ADMIN: Self = Self::predefined("roles/iam.serviceAccountAdmin");

    /// `roles/iam.serviceAccountKeyAdmin`: lets a principal manage the keys of accounts.
    pub const SERVICE_ACCOUNT_KEY_ADMIN: Self = Self::predefined("roles/iam.serviceAccountKeyAdmin");

    /// `roles/iam.serviceAccountCreator`: lets a principal create accounts.
    pub const SERVICE_ACCOUNT_CREATOR: Self = Self::predefined("roles/iam.serviceAccountCreator");

    /// `roles/iam.serviceAccountDeleter`: lets a principal delete accounts.
    pub const SERVICE_ACCOUNT_DELETER: Self = Self::predefined("roles/iam.serviceAccountDeleter");

    /// `roles/resourcemanager.projectIamAdmin`: lets a principal manage the grants on a project.
    pub const PROJECT_IAM_ADMIN: Self = Self::predefined("roles/resourcemanager.projectIamAdmin");

    /// `roles/iam.securityAdmin`: lets a principal manage the grants on projects and accounts.
    pub const SECURITY_ADMIN: Self = Self::predefined("roles/iam.securityAdmin");

    /// `roles/serviceusage.serviceUsageAdmin`: lets a principal enable and disable APIs.
    pub const SERVICE_USAGE_ADMIN: Self = Self::predefined("roles/serviceusage.serviceUsageAdmin");

    /// `roles/serviceusage.serviceUsageConsumer`: lets a principal use a project as quota project.
    pub const SERVICE_USAGE_CONSUMER: Self = Self::predefined(SERVICE_USAGE_CONSUMER);

    /// `roles/owner`. It isn't enough for tokens.
    pub const OWNER: Self = Self::predefined("roles/owner");

    /// `roles/editor`. It isn't enough for tokens.
    pub const EDITOR: Self = Self::predefined("roles/editor");

    /// `roles/viewer`. It isn't enough for tokens.
    pub const VIEWER: Self = Self::predefined("roles/viewer");

    const fn predefined(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// Returns the name: `roles/viewer`, for example.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns those permissions of a predefined role that the emulator checks, in groups.
    pub(crate) fn predefined_permissions(&self) -> Option<&'static [&'static [&'static str]]> {
        let (_, permissions) = PREDEFINED.iter().find(|(role, _)| role == self)?;
        Some(permissions)
    }
}

/// The predefined roles, with those of their permissions that the emulator checks, in groups.
static PREDEFINED: [(Role, &[&[&str]]); 16] = [
    (Role::TOKEN_CREATOR, &[&ON_TOKENS, &[GET_ACCOUNT, LIST_ACCOUNTS]]),
    (Role::OPENID_TOKEN_CREATOR, &[&[GET_OPEN_ID_TOKEN]]),
    (Role::WORKLOAD_IDENTITY_USER, &[&[GET_ACCESS_TOKEN, GET_OPEN_ID_TOKEN, GET_ACCOUNT, LIST_ACCOUNTS]]),
    (Role::SERVICE_ACCOUNT_USER, &[&[ACT_AS, GET_ACCOUNT, LIST_ACCOUNTS]]),
    (
        Role::SERVICE_ACCOUNT_VIEWER,
        &[&[GET_ACCOUNT, GET_ACCOUNT_POLICY, LIST_ACCOUNTS, GET_KEY, LIST_KEYS, GET_PROJECT]],
    ),
    (Role::SERVICE_ACCOUNT_ADMIN, &[&MANAGE_ACCOUNTS, &[SET_ACCOUNT_POLICY, GET_PROJECT]]),
    (Role::SERVICE_ACCOUNT_KEY_ADMIN, &[&ON_KEYS, &[GET_ACCOUNT, LIST_ACCOUNTS, GET_PROJECT]]),
    (Role::SERVICE_ACCOUNT_CREATOR, &[&[CREATE_ACCOUNT, GET_ACCOUNT, LIST_ACCOUNTS, GET_PROJECT]]),
    (Role::SERVICE_ACCOUNT_DELETER, &[&[DELETE_ACCOUNT, GET_ACCOUNT, LIST_ACCOUNTS, GET_PROJECT]]),
    (Role::PROJECT_IAM_ADMIN, &[&[GET_PROJECT, GET_PROJECT_POLICY, SET_PROJECT_POLICY]]),
    (
        Role::SECURITY_ADMIN,
        &[
            &[GET_ACCOUNT, GET_ACCOUNT_POLICY, LIST_ACCOUNTS, SET_ACCOUNT_POLICY, LIST_KEYS],
            &[GET_PROJECT, GET_PROJECT_POLICY, SET_PROJECT_POLICY],
        ],
    ),
    (Role::SERVICE_USAGE_ADMIN, &[&ON_SERVICES]),
    (Role::SERVICE_USAGE_CONSUMER, &[&[GET_SERVICE, USE_SERVICES]]),
    // Users of Google report that the next three aren't enough for tokens.
    (
        Role::OWNER,
        &[
            &MANAGE_ACCOUNTS,
            &ON_KEYS,
            &ON_SERVICES,
            &[ACT_AS, SET_ACCOUNT_POLICY, GET_PROJECT, GET_PROJECT_POLICY, SET_PROJECT_POLICY],
        ],
    ),
    (Role::EDITOR, &[&MANAGE_ACCOUNTS, &ON_KEYS, &ON_SERVICES, &[ACT_AS, GET_PROJECT, GET_PROJECT_POLICY]]),
    (
        Role::VIEWER,
        &[
            &[GET_ACCOUNT, GET_ACCOUNT_POLICY, LIST_ACCOUNTS, GET_KEY, LIST_KEYS],
            &[GET_PROJECT, GET_PROJECT_POLICY, GET_SERVICE],
        ],
    ),
];

/// Returns the names of the predefined roles, separated by commas.
pub(super) fn predefined_names() -> String {
    PREDEFINED.each_ref().map(|(role, _)| role.as_str()).join(", ")
}

impl TryFrom<String> for Role {
    type Error = PolicyError;

    fn try_from(name: String) -> Result<Self, PolicyError> {
        if name.is_empty() || name.contains(char::is_whitespace) {
            let problem = format!("{name:?}: a role has a name without spaces");
            return Err(PolicyError::new("", problem));
        }
        Ok(Self(Cow::Owned(name)))
    }
}

impl TryFrom<&str> for Role {
    type Error = PolicyError;

    fn try_from(name: &str) -> Result<Self, PolicyError> {
        name.to_owned().try_into()
    }
}

impl TryFrom<&String> for Role {
    type Error = PolicyError;

    fn try_from(name: &String) -> Result<Self, PolicyError> {
        name.clone().try_into()
    }
}

impl FromStr for Role {
    type Err = PolicyError;

    fn from_str(name: &str) -> Result<Self, PolicyError> {
        name.try_into()
    }
}

impl From<&Self> for Role {
    fn from(role: &Self) -> Self {
        role.clone()
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.0.into_owned()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
