//! The names of IAM's roles and permissions that this crate knows.

/// Allows a principal to act as a service account in every way, and to pass through it as a
/// delegate: `roles/iam.serviceAccountTokenCreator`.
pub(crate) const TOKEN_CREATOR: &str = "roles/iam.serviceAccountTokenCreator";
/// Allows a principal to name a project as quota project:
/// `roles/serviceusage.serviceUsageConsumer`.
pub(crate) const SERVICE_USAGE_CONSUMER: &str = "roles/serviceusage.serviceUsageConsumer";

/// Needed to generate access tokens of an account.
pub(crate) const GET_ACCESS_TOKEN: &str = "iam.serviceAccounts.getAccessToken";
/// Needed to generate ID tokens of an account.
pub(crate) const GET_OPEN_ID_TOKEN: &str = "iam.serviceAccounts.getOpenIdToken";
/// Needed to sign bytes with an account's key.
pub(crate) const SIGN_BLOB: &str = "iam.serviceAccounts.signBlob";
/// Needed to sign JWTs with an account's key.
pub(crate) const SIGN_JWT: &str = "iam.serviceAccounts.signJwt";
/// Needed to use an account as a delegate.
#[cfg(feature = "emulator")]
pub(crate) const IMPLICIT_DELEGATION: &str = "iam.serviceAccounts.implicitDelegation";
/// Needed to name a project as quota project.
pub(crate) const USE_SERVICES: &str = "serviceusage.services.use";
