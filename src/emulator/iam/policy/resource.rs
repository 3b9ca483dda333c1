//! What grants are on, and when a permission is needed.

use std::time::{Duration, SystemTime};

use crate::emulator::iam::account::project_of;

/// A resource on which there can be grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Resource<'a> {
    /// The service account with this e-mail address.
    Account(&'a str),
    /// The project with this id.
    Project(&'a str),
}

impl Resource<'_> {
    /// Returns the service, the type and the name, as conditions see them.
    pub(super) fn attributes(self) -> [String; 3] {
        match self {
            Self::Account(email) => [
                "iam.googleapis.com".to_owned(),
                "iam.googleapis.com/ServiceAccount".to_owned(),
                format!("projects/{}/serviceAccounts/{email}", project_of(email)),
            ],
            Self::Project(project) => [
                "cloudresourcemanager.googleapis.com".to_owned(),
                "cloudresourcemanager.googleapis.com/Project".to_owned(),
                format!("projects/{project}"),
            ],
        }
    }
}

/// When a permission is needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// How long the policy has been in force.
    pub(crate) age: Duration,
    /// The time that clients are told.
    pub(crate) time: SystemTime,
}
