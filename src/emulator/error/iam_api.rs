//! The errors of IAM's own API, in Google's words as far as they are known.

use tonic::Code;

use super::{ApiError, shorten};

impl ApiError {
    /// The caller lacks a permission on a resource.
    pub(crate) fn permission_missing(permission: &str, resource: &str) -> Self {
        Self::with_reason(
            Code::PermissionDenied,
            format!("Permission '{permission}' denied on resource (or it may not exist)."),
            "IAM_PERMISSION_DENIED",
            super::google::IAM_DOMAIN,
            [("permission", permission.to_owned()), ("resource", shorten(resource))],
        )
    }

    /// There is no such account, and the caller may know that.
    pub(crate) fn unknown_service_account(name: &str) -> Self {
        Self::new(Code::NotFound, format!("Unknown service account: {} does not exist.", shorten(name)))
    }

    pub(crate) fn account_exists(id: &str, project: &str) -> Self {
        let message = format!("Service account {id} already exists within project projects/{project}.");
        Self::new(Code::AlreadyExists, message)
    }

    pub(crate) fn unknown_key(id: &str) -> Self {
        Self::new(Code::NotFound, format!("Service account key {} does not exist.", shorten(id)))
    }

    /// The policy changed between reading and writing.
    pub(crate) fn concurrent_policy_changes(sent: &str, current: &str) -> Self {
        let sent = shorten(sent);
        Self::new(
            Code::Aborted,
            format!(
                "There were concurrent policy changes. Please retry the whole read-modify-write with \
                 exponential backoff. The request's ETag '{sent}' did not match the current policy's ETag \
                 '{current}'."
            ),
        )
    }

    /// A change that would have no effect, because the emulator has no policy.
    pub(crate) fn no_policy() -> Self {
        Self::new(
            Code::FailedPrecondition,
            "The emulator has no policy, so all accounts exist and any bearer token has all permissions: this \
             change would have no effect.\nfix: start the emulator with a policy, or PUT one to /emulator/policy",
        )
    }
}
