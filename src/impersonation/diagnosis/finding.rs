//! What a probe found out about one hop, and the command that fixes it.

use std::fmt;

use tonic::Code;

use super::Operation;
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
    /// The principal may get the account's access tokens. It may probably pass through the account
    /// too, as a delegate.
    LikelyAllowed,
    /// An earlier hop fails, so this one wasn't tried.
    NotReached,
    /// The principal lacks a role on the account.
    MissingRole {
        /// The permission that the service named, or the one that the probe needs.
        permission: String,
        /// A role that contains the permission.
        role: String,
        /// Whether the probe needed exactly the permission that the operation needs here.
        certain: bool,
    },
    /// The account doesn't exist, is too new, or is hidden from the caller.
    UnknownAccount,
    /// The API is disabled in this project.
    ApiDisabled {
        /// The project's number or id, if the service named it.
        project: Option<String>,
    },
    /// The source token's scopes don't include the API.
    ScopeInsufficient,
    /// The caller may not use the quota project.
    QuotaProjectDenied {
        /// The project, if the service named it.
        project: Option<String>,
    },
    /// There is no source token, or the service rejects it.
    BadSource(Error),
    /// Another failure. If [`Error::is_transient`] returns `true`, a later diagnosis may succeed.
    Other(Error),
}

impl Finding {
    /// Returns whether the hop is allowed, or likely allowed.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed | Self::LikelyAllowed)
    }

    /// `operation` is what the failed call tried.
    pub(super) fn from_error(error: Error, operation: Operation, certain: bool) -> Self {
        if error.kind() == ErrorKind::Credentials {
            return Self::BadSource(error);
        }
        let Some(service) = error.service() else { return Self::Other(error) };
        let project = || {
            let consumer = service.info("consumer")?;
            Some(consumer.strip_prefix("projects/").unwrap_or(consumer).to_owned())
        };
        match (service.code(), service.reason()) {
            (_, Some("SERVICE_DISABLED")) => Self::ApiDisabled { project: project() },
            (_, Some("ACCESS_TOKEN_SCOPE_INSUFFICIENT")) => Self::ScopeInsufficient,
            (_, Some("USER_PROJECT_DENIED")) => Self::QuotaProjectDenied { project: project() },
            (Code::PermissionDenied, None | Some("IAM_PERMISSION_DENIED")) => Self::MissingRole {
                permission: service.permission().unwrap_or(operation.permission()).to_owned(),
                role: roles::TOKEN_CREATOR.to_owned(),
                certain,
            },
            (Code::NotFound, _) => Self::UnknownAccount,
            (Code::Unauthenticated, _) => Self::BadSource(error),
            _ => Self::Other(error),
        }
    }

    /// The command that fixes a hop on which `member` acts as `account`.
    pub(super) fn command(&self, member: &str, account: &str) -> Option<String> {
        match self {
            Self::MissingRole { role, .. } => Some(format!(
                "gcloud iam service-accounts add-iam-policy-binding {account} --member={member} --role={role}"
            )),
            Self::ApiDisabled { project } => {
                let project = project.as_deref().unwrap_or("PROJECT");
                Some(format!("gcloud services enable iamcredentials.googleapis.com --project={project}"))
            }
            Self::QuotaProjectDenied { project } => Some(format!(
                "gcloud projects add-iam-policy-binding {} --member={member} --role={}",
                project.as_deref().unwrap_or("PROJECT"),
                roles::SERVICE_USAGE_CONSUMER
            )),
            Self::UnknownAccount => Some(format!("gcloud iam service-accounts describe {account}")),
            Self::ScopeInsufficient => {
                Some(format!("gcloud auth application-default login --scopes={}", scopes::CLOUD_PLATFORM))
            }
            Self::BadSource(_) => Some("gcloud auth application-default login".to_owned()),
            Self::Allowed | Self::LikelyAllowed | Self::NotReached | Self::Other(_) => None,
        }
    }

    /// Writes what it means for a hop on which `principal` acts as `account`.
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
            Self::BadSource(error) => write!(f, "the source credentials fail: {error}"),
            Self::Other(error) => write!(f, "failed: {error}"),
        }
    }
}
