//! What a diagnosis found out about one hop.

use std::fmt;

use crate::error::RefusalCause;
use crate::{Error, ErrorKind, scopes};

/// What was found out about one hop.
///
/// ```
/// use gcp_iam_credentials::diagnosis::Finding;
///
/// fn role_to_grant(finding: &Finding) -> Option<&str> {
///     match finding {
///         Finding::MissingRole { role, .. } => Some(role),
///         _ => None,
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Finding {
    /// The principal may act as the account.
    Allowed,
    /// The principal may get the account's access tokens, and so it may probably use the account as a
    /// delegate too.
    LikelyAllowed,
    /// An earlier hop fails, so this one wasn't tried.
    NotReached,
    /// The principal lacks a role on the account.
    MissingRole {
        /// The permission that the service named, or else the one that the call needs.
        permission: String,
        /// A role that contains the permission.
        role: String,
        /// Whether the call needed exactly the permission that the operation needs on this hop.
        certain: bool,
    },
    /// The account doesn't exist, was created a moment ago, or is hidden from the principal.
    UnknownAccount,
    /// The API is disabled in this project.
    ApiDisabled {
        /// The project's number or id, if the service named it.
        project: Option<String>,
    },
    /// The source token's scopes aren't enough for the API.
    ScopeInsufficient,
    /// The principal may not use the quota project.
    QuotaProjectDenied {
        /// The project, if the service named it.
        project: Option<String>,
    },
    /// There is no source token, or the service rejects it.
    SourceFailed(Error),
    /// Another failure. If [`Error::is_transient`] returns `true`, a later diagnosis may succeed.
    Other(Error),
}

impl Finding {
    /// Returns whether the hop is allowed or likely allowed.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed | Self::LikelyAllowed)
    }

    /// Writes the finding for a hop on which `principal` acts as `account`.
    pub(super) fn explain(&self, f: &mut fmt::Formatter<'_>, principal: &str, account: &str) -> fmt::Result {
        match self {
            Self::Allowed => f.write_str("allowed"),
            Self::LikelyAllowed => f.write_str("likely allowed (its access tokens can be generated)"),
            Self::NotReached => f.write_str("not tried, because an earlier hop fails"),
            Self::MissingRole { permission, role, certain } => {
                let likely = if *certain { "" } else { "likely " };
                write!(f, "{likely}missing: {permission} on {account}, which {role} contains")
            }
            Self::UnknownAccount => f.write_str("the account doesn't exist, or is too new"),
            Self::ApiDisabled { project } => {
                let project = project.as_deref().unwrap_or("the caller's project");
                write!(f, "the API iamcredentials.googleapis.com is disabled in {project}")
            }
            Self::ScopeInsufficient => {
                let (wide, narrow) = (scopes::CLOUD_PLATFORM, scopes::IAM);
                write!(f, "the source token needs the scope {wide} or {narrow}")
            }
            Self::QuotaProjectDenied { project } => {
                let project = project.as_deref().unwrap_or("the quota project");
                write!(f, "{principal} may not use {project} as quota project")
            }
            Self::SourceFailed(error) => write!(f, "the source credentials fail: {}", error.without_advice()),
            Self::Other(error) => write!(f, "failed: {}", error.in_one_line()),
        }
    }
}

/// The failure of a probe.
pub(super) struct Failure {
    pub(super) finding: Finding,
    /// Decides which command fixes the hop.
    pub(super) cause: Option<RefusalCause>,
}

impl Failure {
    /// Classifies `error`. `certain` is whether the call needed exactly the permission that the operation
    /// needs.
    pub(super) fn new(error: Error, certain: bool) -> Self {
        let cause = match error.kind() {
            ErrorKind::Credentials => Some(RefusalCause::SourceTokenRejected),
            _ => error.refusal(),
        };
        let finding = match cause.clone() {
            Some(RefusalCause::MissingRole { permission, role }) => Finding::MissingRole {
                permission: permission.map(String::from).unwrap_or_default(),
                role: role.to_owned(),
                certain,
            },
            Some(RefusalCause::UnknownAccount) => Finding::UnknownAccount,
            Some(RefusalCause::ApiDisabled { project, .. }) => {
                Finding::ApiDisabled { project: project.map(String::from) }
            }
            Some(RefusalCause::ScopeInsufficient) => Finding::ScopeInsufficient,
            Some(RefusalCause::QuotaProjectDenied { project }) => {
                Finding::QuotaProjectDenied { project: project.map(String::from) }
            }
            Some(RefusalCause::SourceTokenExpired | RefusalCause::SourceTokenRejected) => {
                Finding::SourceFailed(error)
            }
            None => Finding::Other(error),
        };
        Self { finding, cause }
    }
}
