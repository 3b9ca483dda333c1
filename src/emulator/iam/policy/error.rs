//! The error of an invalid policy.

use std::convert::Infallible;
use std::fmt;

use super::examples::example_at;
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
pub struct PolicyError {
    path: String,
    problem: String,
}

impl PolicyError {
    pub(crate) fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }

    /// Returns the place in the document:
    /// `serviceAccounts["sa@p.iam.gserviceaccount.com"].grants[0].role`.
    ///
    /// It is empty if the document as a whole is invalid, and for a member or role that isn't part of a
    /// policy.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the same problem, whose place is inside `outer`.
    pub(super) fn inside(self, outer: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("{outer}{dot}{}", self.path), ..self }
    }

    /// Returns the same problem at `path`.
    pub(crate) fn at(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "invalid policy: {}", self.problem)?,
            path => write!(f, "invalid policy at {path}: {}", self.problem)?,
        }
        match example_at(&self.path) {
            Some(example) => write!(f, "\nfix: write, for example, {example}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PolicyError {}

impl From<PolicyError> for ApiError {
    fn from(error: PolicyError) -> Self {
        Self::invalid_field(&error.path, &error.to_string())
    }
}

impl From<Infallible> for PolicyError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
