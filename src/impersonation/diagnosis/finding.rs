//! What a diagnosis found out about one hop.

use std::fmt::{self, Write};

use super::fix::Reason;
use crate::error::RefusalCause;
use crate::{Error, ErrorKind, roles, scopes};

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
    /// The principal may do everything else with the account, and so it may probably use it as a
    /// delegate too.
    LikelyAllowed,
    /// An earlier hop fails, so nothing is known about this one.
    NotReached,
    /// The principal lacks a role on the account.
    MissingRole {
        /// The permission that the operation needs on this hop.
        permission: String,
        /// The narrowest predefined role that contains the permission.
        role: String,
        /// Whether the calls prove that this hop fails, and not one next to it.
        certain: bool,
    },
    /// The account doesn't exist, is disabled, was created a moment ago, or is hidden from the
    /// principal.
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
    pub(super) fn explain(&self, f: &mut impl Write, principal: &str, account: &str) -> fmt::Result {
        match self {
            Self::Allowed => f.write_str("allowed"),
            Self::LikelyAllowed => f.write_str("likely allowed (all other permissions are there)"),
            Self::NotReached => f.write_str("not known, because an earlier hop fails"),
            Self::MissingRole { permission, role, certain } => {
                let likely = if *certain { "" } else { "likely " };
                write!(f, "{likely}missing: {permission} on {account}, which {role} contains")
            }
            Self::UnknownAccount => f.write_str("the account doesn't exist, is disabled, or is too new"),
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
            Self::Other(error) => write!(f, "failed: {}", error.without_advice()),
        }
    }
}

/// The failure of one hop.
pub(super) struct Failure {
    pub(super) finding: Finding,
    /// Decides what fixes the hop.
    pub(super) reason: Option<Reason>,
}

impl Failure {
    /// Returns the failure of a hop on which the operation needs `permission`, but which lacks it.
    /// `principal` is the one that acts on the hop, if it is known.
    pub(super) fn missing(permission: &'static str, certain: bool, principal: Option<&str>) -> Self {
        let role = roles::granted_to(principal.unwrap_or_default(), Some(permission)).to_owned();
        let finding = Finding::MissingRole { permission: permission.to_owned(), role, certain };
        let cause = RefusalCause::MissingRole { named: None, needed: Some(permission) };
        Self { finding, reason: Some(Reason::Refusal(cause)) }
    }

    /// Returns the failure of a hop that isn't reached, because the source gets no token.
    pub(super) fn source(error: Error) -> Self {
        Self { finding: Finding::SourceFailed(error), reason: None }
    }

    /// Classifies an error other than a missing role.
    pub(super) fn other(error: Error) -> Self {
        if error.kind() == ErrorKind::Credentials {
            // A refusal in the error is one of the source's own calls.
            let reason = Some(Reason::Failure(error.clone()));
            return Self { finding: Finding::SourceFailed(error), reason };
        }
        let Some(cause) = error.refusal() else {
            return Self { finding: Finding::Other(error.clone()), reason: Some(Reason::Failure(error)) };
        };
        let finding = match &cause {
            RefusalCause::UnknownAccount => Finding::UnknownAccount,
            RefusalCause::ApiDisabled { project, .. } => {
                Finding::ApiDisabled { project: project.as_deref().map(str::to_owned) }
            }
            RefusalCause::ScopeInsufficient => Finding::ScopeInsufficient,
            RefusalCause::QuotaProjectDenied { project } => {
                Finding::QuotaProjectDenied { project: project.as_deref().map(str::to_owned) }
            }
            RefusalCause::SourceTokenExpired | RefusalCause::SourceTokenRejected => {
                Finding::SourceFailed(error)
            }
            RefusalCause::MissingRole { .. } => Finding::Other(error),
        };
        Self { finding, reason: Some(Reason::Refusal(cause)) }
    }
}
