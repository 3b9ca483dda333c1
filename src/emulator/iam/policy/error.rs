//! The error of an invalid policy.

use std::convert::Infallible;
use std::fmt;

use super::examples::EXAMPLES;
use crate::document::Mistake;
use crate::emulator::error::ApiError;

/// Why a policy is invalid, and at which place.
///
/// Its text also has an example of what is expected there.
///
/// ```
/// use gcp_iam_credentials::emulator::Policy;
///
/// let email = "sa@p.iam.gserviceaccount.com";
/// let policy = Policy::new().grant("allUsers", "roles/typo", email);
/// let error = policy.validate().unwrap_err();
/// let path = r#"serviceAccounts["sa@p.iam.gserviceaccount.com"].grants[0].role"#;
/// assert_eq!(error.path(), path);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError(Mistake);

impl PolicyError {
    pub(crate) fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self(Mistake::new(path, problem))
    }

    /// Returns the place in the document:
    /// `serviceAccounts["sa@p.iam.gserviceaccount.com"].grants[0].role`.
    ///
    /// It is empty if the document as a whole is invalid, and for a member or role that isn't part of a
    /// policy.
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// Returns the same problem, whose place is inside `outer`.
    pub(super) fn inside(self, outer: &str) -> Self {
        Self(self.0.inside(outer))
    }

    /// Returns the same problem at `path`.
    pub(crate) fn at(self, path: impl Into<String>) -> Self {
        Self(self.0.at(path))
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, "policy", &EXAMPLES)
    }
}

impl std::error::Error for PolicyError {}

impl From<Mistake> for PolicyError {
    fn from(mistake: Mistake) -> Self {
        Self(mistake)
    }
}

impl From<PolicyError> for ApiError {
    fn from(error: PolicyError) -> Self {
        Self::invalid_field(error.path(), &error.to_string())
    }
}

impl From<Infallible> for PolicyError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
