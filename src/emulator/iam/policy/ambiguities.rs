//! Choices for behavior of Google's service that isn't documented.

use serde::{Deserialize, Serialize};

/// The choices for behavior that isn't documented.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Ambiguities {
    pub(crate) middle_hop: MiddleHop,
    pub(crate) unknown_account: UnknownAccount,
    pub(crate) disabled_account: DisabledAccount,
    pub(crate) project_in_name: ProjectInName,
}

/// The permission that an error names if a delegate may not be used. It isn't known which one
/// Google names.
///
/// ```
/// use gcp_iam_credentials::emulator::{MiddleHop, Policy};
///
/// let policy = Policy::new().middle_hop(MiddleHop::Action);
/// # let _ = policy;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum MiddleHop {
    /// `iam.serviceAccounts.implicitDelegation`, which is the missing one.
    #[default]
    ImplicitDelegation,
    /// The permission of the method: `iam.serviceAccounts.getAccessToken`, for example.
    Action,
}

/// The error for an account that doesn't exist. Google is known to return either.
///
/// ```
/// use gcp_iam_credentials::emulator::{Policy, UnknownAccount};
///
/// let error = UnknownAccount::PermissionDenied;
/// let policy = Policy::new().unknown_account_error(error);
/// # let _ = policy;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum UnknownAccount {
    /// `NOT_FOUND`.
    #[default]
    NotFound,
    /// `PERMISSION_DENIED`, as if a grant were missing.
    PermissionDenied,
}

/// The error for a disabled delegate or target. It isn't known which one Google returns.
///
/// ```
/// use gcp_iam_credentials::emulator::{DisabledAccount, Policy};
///
/// let policy = Policy::new().disabled_account_error(DisabledAccount::NotFound);
/// # let _ = policy;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum DisabledAccount {
    /// `PERMISSION_DENIED`, as if a grant were missing.
    #[default]
    PermissionDenied,
    /// `NOT_FOUND`.
    NotFound,
}

/// Whether resource names with a project instead of `-` are refused. Google's documentation calls
/// such names invalid.
///
/// ```
/// use gcp_iam_credentials::emulator::{Policy, ProjectInName};
///
/// let policy = Policy::new().project_in_name(ProjectInName::Accepted);
/// # let _ = policy;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ProjectInName {
    /// Refused with `INVALID_ARGUMENT`.
    #[default]
    Refused,
    /// Accepted, as if the project were `-`.
    Accepted,
}
