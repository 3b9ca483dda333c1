//! The names of IAM's roles and permissions that this crate knows.

/// Allows a principal to act as a service account in every way, and to pass through it as a
/// delegate: `roles/iam.serviceAccountTokenCreator`.
pub(crate) const TOKEN_CREATOR: &str = "roles/iam.serviceAccountTokenCreator";
/// Allows a principal to generate ID tokens of a service account, and nothing else:
/// `roles/iam.serviceAccountOpenIdTokenCreator`.
pub(crate) const OPENID_TOKEN_CREATOR: &str = "roles/iam.serviceAccountOpenIdTokenCreator";
/// Allows a principal to name a project as quota project:
/// `roles/serviceusage.serviceUsageConsumer`.
pub(crate) const SERVICE_USAGE_CONSUMER: &str = "roles/serviceusage.serviceUsageConsumer";

/// Allows federated identities and workloads to get tokens of a service account:
/// `roles/iam.workloadIdentityUser`.
pub(crate) const WORKLOAD_IDENTITY_USER: &str = "roles/iam.workloadIdentityUser";

/// Needed to generate access tokens of an account.
pub(crate) const GET_ACCESS_TOKEN: &str = "iam.serviceAccounts.getAccessToken";
/// Needed to generate ID tokens of an account.
pub(crate) const GET_OPEN_ID_TOKEN: &str = "iam.serviceAccounts.getOpenIdToken";
/// Needed to sign bytes with an account's key.
pub(crate) const SIGN_BLOB: &str = "iam.serviceAccounts.signBlob";
/// Needed to sign JWTs with an account's key.
pub(crate) const SIGN_JWT: &str = "iam.serviceAccounts.signJwt";
/// Needed to use an account as a delegate.
pub(crate) const IMPLICIT_DELEGATION: &str = "iam.serviceAccounts.implicitDelegation";
/// Needed to name a project as quota project.
pub(crate) const USE_SERVICES: &str = "serviceusage.services.use";

/// Precedes a service account as policies name it.
pub(crate) const SERVICE_ACCOUNT: &str = "serviceAccount:";

/// What a policy names in place of a principal that isn't known.
pub(crate) const UNKNOWN_MEMBER: &str = "MEMBER";

/// Returns the narrowest predefined role that contains a permission.
pub(crate) fn containing(permission: Option<&str>) -> &'static str {
    match permission {
        Some(GET_OPEN_ID_TOKEN) => OPENID_TOKEN_CREATOR,
        Some(USE_SERVICES) => SERVICE_USAGE_CONSUMER,
        // It contains all other permissions that calls need.
        _ => TOKEN_CREATOR,
    }
}

/// Returns the predefined role by which `member` gets a permission on an account: the narrowest one, or
/// the usual one of federated identities.
pub(crate) fn granted_to(member: &str, permission: Option<&str>) -> &'static str {
    match permission {
        Some(GET_ACCESS_TOKEN | GET_OPEN_ID_TOKEN) if is_federated(member) => WORKLOAD_IDENTITY_USER,
        permission => containing(permission),
    }
}

/// Whether this is the name of a federated identity, which is the same in policies.
pub(crate) fn is_federated(principal: &str) -> bool {
    principal.starts_with("principal") && principal.contains("://")
}

/// Returns a principal as policies name it: `user:me@example.com`, for example.
pub(crate) fn member(principal: Option<&str>) -> String {
    match principal {
        None => UNKNOWN_MEMBER.to_owned(),
        Some(principal) if is_federated(principal) => principal.to_owned(),
        Some(principal) if principal.ends_with(".gserviceaccount.com") => service_account_member(principal),
        Some(principal) => format!("user:{principal}"),
    }
}

/// Returns a service account as policies name it.
pub(crate) fn service_account_member(account: &str) -> String {
    format!("{SERVICE_ACCOUNT}{account}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: A12
    #[test]
    fn a_principal_is_named_as_in_policies() {
        for (principal, expected) in [
            (None, "MEMBER"),
            (Some("me@example.com"), "user:me@example.com"),
            (Some("sa@p.iam.gserviceaccount.com"), "serviceAccount:sa@p.iam.gserviceaccount.com"),
            (
                Some("42-compute@developer.gserviceaccount.com"),
                "serviceAccount:42-compute@developer.gserviceaccount.com",
            ),
            (
                Some("principal://iam.googleapis.com/locations/global/workforcePools/p/subject/me"),
                "principal://iam.googleapis.com/locations/global/workforcePools/p/subject/me",
            ),
        ] {
            assert_eq!(member(principal), expected);
        }
    }
}
