//! Roles and the permissions in them.

use crate::roles::{GET_ACCESS_TOKEN, GET_OPEN_ID_TOKEN, SIGN_BLOB, SIGN_JWT};
pub(crate) use crate::roles::{IMPLICIT_DELEGATION, USE_SERVICES};
pub use crate::roles::{SERVICE_USAGE_CONSUMER, TOKEN_CREATOR};

/// The role that lets a principal have ID tokens of an account.
pub const OPENID_TOKEN_CREATOR: &str = "roles/iam.serviceAccountOpenIdTokenCreator";
/// The role that lets a federated identity have access and ID tokens of an account.
pub const WORKLOAD_IDENTITY_USER: &str = "roles/iam.workloadIdentityUser";
/// The role that lets a principal attach an account to resources. It is not enough to have tokens.
pub const SERVICE_ACCOUNT_USER: &str = "roles/iam.serviceAccountUser";

const ACT_AS: &str = "iam.serviceAccounts.actAs";
const GET: &str = "iam.serviceAccounts.get";
const LIST: &str = "iam.serviceAccounts.list";

/// The predefined roles, each with those of its permissions that matter here.
pub(crate) const ROLES: [(&str, &[&str]); 9] = [
    (
        TOKEN_CREATOR,
        &[GET_ACCESS_TOKEN, GET_OPEN_ID_TOKEN, IMPLICIT_DELEGATION, SIGN_BLOB, SIGN_JWT, GET, LIST],
    ),
    (OPENID_TOKEN_CREATOR, &[GET_OPEN_ID_TOKEN]),
    (WORKLOAD_IDENTITY_USER, &[GET_ACCESS_TOKEN, GET_OPEN_ID_TOKEN, GET, LIST]),
    (SERVICE_ACCOUNT_USER, &[ACT_AS, GET, LIST]),
    (SERVICE_USAGE_CONSUMER, &[USE_SERVICES]),
    ("roles/iam.serviceAccountViewer", &[GET, LIST]),
    // Reported not to be enough for tokens.
    ("roles/owner", &[ACT_AS, GET, LIST, USE_SERVICES]),
    ("roles/editor", &[ACT_AS, GET, LIST, USE_SERVICES]),
    ("roles/viewer", &[GET, LIST]),
];

/// The permissions on service accounts that a policy may name.
pub(crate) const ACCOUNT_PERMISSIONS: [&str; 8] =
    [GET_ACCESS_TOKEN, GET_OPEN_ID_TOKEN, IMPLICIT_DELEGATION, SIGN_BLOB, SIGN_JWT, ACT_AS, GET, LIST];

/// Whether a predefined role has a permission; `None` if there is no such role.
pub(crate) fn predefined(role: &str, permission: &str) -> Option<bool> {
    let (_, permissions) = ROLES.iter().find(|(name, _)| *name == role)?;
    Some(permissions.contains(&permission))
}
