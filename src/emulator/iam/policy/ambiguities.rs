//! Where it is not known how Google answers.

use serde::{Deserialize, Serialize};

/// Where it is not known how Google answers: choose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Ambiguities {
    pub(crate) middle_hop: MiddleHop,
    pub(crate) unknown_account: UnknownAccount,
    pub(crate) disabled_account: DisabledAccount,
    pub(crate) project_in_name: ProjectInName,
}

/// Which permission an error names when a delegate may not be used. It is not known which one
/// Google names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum MiddleHop {
    /// `iam.serviceAccounts.implicitDelegation`, the one that is missing.
    #[default]
    ImplicitDelegation,
    /// The action's own, `iam.serviceAccounts.getAccessToken` for instance.
    Action,
}

/// How an account that does not exist is answered. Both have been seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum UnknownAccount {
    /// NOT_FOUND.
    #[default]
    NotFound,
    /// PERMISSION_DENIED, as if a grant were missing.
    PermissionDenied,
}

/// How a disabled target is answered. It is not known how Google does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum DisabledAccount {
    /// PERMISSION_DENIED, as if a grant were missing.
    #[default]
    PermissionDenied,
    /// NOT_FOUND.
    NotFound,
}

/// What becomes of a name with a project in place of `-`. The documentation calls it invalid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ProjectInName {
    /// INVALID_ARGUMENT.
    #[default]
    Refused,
    /// Taken as if it were `-`.
    Accepted,
}
