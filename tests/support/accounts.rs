//! The principals of tests.

/// The account whose key file is the source.
pub(crate) const KEY: &str = "key@project.iam.gserviceaccount.com";
/// The first delegate.
pub(crate) const FIRST: &str = "first@project.iam.gserviceaccount.com";
/// The second delegate.
pub(crate) const SECOND: &str = "second@project.iam.gserviceaccount.com";
/// The account to act as.
pub(crate) const TARGET: &str = "target@project.iam.gserviceaccount.com";
/// The user whose login is the source.
pub(crate) const USER: &str = "me@example.com";

/// Returns the name of a service account in policies.
pub(crate) fn member(account: &str) -> String {
    format!("serviceAccount:{account}")
}
