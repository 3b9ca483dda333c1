//! Members: those whom a grant gives a role.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::PolicyError;
use super::holder::Holder;
use crate::emulator::iam::account::is_well_formed;
use crate::emulator::iam::federation::names;

/// What an error says if a text isn't a member.
const EXPECTED: &str = "a member is user:…, serviceAccount:…, group:…, domain:…, principal://…, \
                        principalSet://…, deleted:…, projectOwner:…, projectEditor:…, projectViewer:…, \
                        allAuthenticatedUsers or allUsers; for example user:alice@example.com";

/// Who gets a role by a grant: an account, a user, a group, a domain, or everyone.
///
/// Its text is the one in IAM's policies. Functions that take a member also take its text.
///
/// ```
/// use gcp_iam_credentials::emulator::{Member, Policy, Role};
///
/// let account = "builder@p.iam.gserviceaccount.com";
/// let alice: Member = "user:alice@example.com".parse()?;
/// let builder = Member::service_account(account)?;
/// assert_eq!(builder.to_string(), format!("serviceAccount:{account}"));
/// assert!("alice@example.com".parse::<Member>().is_err());
///
/// let policy = Policy::new()
///     .grant(alice, Role::TOKEN_CREATOR, account)
///     .grant("group:admins@example.com", Role::TOKEN_CREATOR, account)
///     .group("admins@example.com", ["user:bob@example.com"]);
/// policy.validate()?;
/// # Ok::<(), gcp_iam_credentials::emulator::PolicyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Member(pub(super) Cow<'static, str>);

impl Member {
    /// `allUsers`: everyone.
    pub const ALL_USERS: Self = Self(Cow::Borrowed("allUsers"));

    /// `allAuthenticatedUsers`: everyone with a valid token.
    pub const ALL_AUTHENTICATED_USERS: Self = Self(Cow::Borrowed("allAuthenticatedUsers"));

    /// Returns the user with this e-mail address.
    ///
    /// # Errors
    ///
    /// Returns a [`PolicyError`] if `email` isn't an e-mail address.
    pub fn user(email: &str) -> Result<Self, PolicyError> {
        format!("user:{email}").try_into()
    }

    /// Returns the service account with this e-mail address.
    ///
    /// # Errors
    ///
    /// Returns a [`PolicyError`] if `email` isn't an e-mail address.
    pub fn service_account(email: &str) -> Result<Self, PolicyError> {
        format!("serviceAccount:{email}").try_into()
    }

    /// Returns the service account with this valid e-mail address.
    pub(super) fn of_account(email: &str) -> Self {
        Self(Cow::Owned(format!("serviceAccount:{email}")))
    }

    /// Returns the group with this e-mail address.
    ///
    /// # Errors
    ///
    /// Returns a [`PolicyError`] if `email` is empty.
    pub fn group(email: &str) -> Result<Self, PolicyError> {
        format!("group:{email}").try_into()
    }

    /// Returns all users of this domain.
    ///
    /// # Errors
    ///
    /// Returns a [`PolicyError`] if `domain` isn't a domain.
    pub fn domain(domain: &str) -> Result<Self, PolicyError> {
        format!("domain:{domain}").try_into()
    }

    /// Returns the text: `user:alice@example.com`, for example.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the e-mail address if the member is a service account of Google Cloud.
    pub(crate) fn as_service_account(&self) -> Option<&str> {
        self.0.strip_prefix("serviceAccount:").filter(|email| !email.ends_with(']'))
    }

    /// Returns the e-mail address if the member is a group.
    pub(crate) fn as_group(&self) -> Option<&str> {
        self.0.strip_prefix("group:")
    }

    /// Returns whether the member names one identity, which can have a token.
    pub(crate) fn is_principal(&self) -> bool {
        ["user:", "serviceAccount:", "principal://"].iter().any(|kind| self.0.starts_with(kind))
    }

    /// Returns whether the member includes `holder`. For groups, [`Policy`](super::Policy) decides.
    ///
    /// A holder with the name of a set, a group or a domain stands for any identity in it.
    pub(crate) fn includes(&self, holder: Holder<'_>) -> bool {
        if self.0 == holder.name {
            return true;
        }
        if self.0.starts_with("principalSet:") {
            return holder.sets.iter().any(|set| self.0 == *set)
                || names::whole_pool_includes(&self.0, holder.name);
        }
        if [Self::ALL_USERS, Self::ALL_AUTHENTICATED_USERS].contains(self) {
            return true;
        }
        let Some(domain) = self.0.strip_prefix("domain:") else { return false };
        let of_user = holder.name.strip_prefix("user:").and_then(|email| email.split_once('@'));
        of_user.is_some_and(|(_, of_user)| of_user == domain)
    }
}

/// Returns whether `text` is the text of a member.
fn is_member(text: &str) -> bool {
    match text.split_once(':') {
        None => matches!(text, "allUsers" | "allAuthenticatedUsers"),
        Some(("serviceAccount", account)) => {
            (account.contains('@') && is_well_formed(account)) || is_kubernetes_account(account)
        }
        Some(("user", email)) => email.contains('@') && !email.contains([' ', ':', '/']),
        Some(("group", group)) => !group.is_empty(),
        Some(("domain", domain)) => !domain.is_empty() && !domain.contains(['@', '/', ' ']),
        Some(("deleted", rest)) => is_deleted(rest),
        // They stand for those who have the basic roles on a project, on its buckets of Cloud Storage.
        Some(("projectOwner" | "projectEditor" | "projectViewer", project)) => is_project(project),
        Some(("principal", rest)) => names::is_principal(rest),
        Some(("principalSet", rest)) => names::is_principal_set(rest),
        Some(_) => false,
    }
}

/// Returns whether `text` is a service account of Kubernetes: `PROJECT.svc.id.goog[NAMESPACE/NAME]`.
fn is_kubernetes_account(text: &str) -> bool {
    let parts = text.strip_suffix(']').and_then(|rest| rest.split_once(".svc.id.goog["));
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    parts.is_some_and(|(project, account)| {
        let name = |name: &str| !name.is_empty() && name.bytes().all(legal);
        is_project(project)
            && account.split_once('/').is_some_and(|(space, account)| name(space) && name(account))
    })
}

/// Returns whether `text` is what follows `deleted:`, such as `user:a@example.com?uid=123`.
fn is_deleted(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix("principal:") {
        return names::is_principal(rest);
    }
    let kind_and_uid = text.rsplit_once("?uid=");
    kind_and_uid.is_some_and(|(member, uid)| {
        let kind = member.split(':').next().unwrap_or_default();
        ["user", "serviceAccount", "group"].contains(&kind)
            && is_member(member)
            && !uid.is_empty()
            && uid.bytes().all(|b| b.is_ascii_digit())
    })
}

fn is_project(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b':');
    !text.is_empty() && text.bytes().all(legal)
}

impl TryFrom<String> for Member {
    type Error = PolicyError;

    fn try_from(text: String) -> Result<Self, PolicyError> {
        if is_member(&text) {
            Ok(Self(Cow::Owned(text)))
        } else {
            Err(PolicyError::new("", format!("{text:?}: {EXPECTED}")))
        }
    }
}

impl TryFrom<&str> for Member {
    type Error = PolicyError;

    fn try_from(text: &str) -> Result<Self, PolicyError> {
        text.to_owned().try_into()
    }
}

impl TryFrom<&String> for Member {
    type Error = PolicyError;

    fn try_from(text: &String) -> Result<Self, PolicyError> {
        text.clone().try_into()
    }
}

impl FromStr for Member {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        text.try_into()
    }
}

impl From<&Self> for Member {
    fn from(member: &Self) -> Self {
        member.clone()
    }
}

impl From<Member> for String {
    fn from(member: Member) -> Self {
        member.0.into_owned()
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBERS: [&str; 19] = [
        "allUsers",
        "allAuthenticatedUsers",
        "user:a@example.com",
        "serviceAccount:sa@p.iam.gserviceaccount.com",
        "serviceAccount:my-project.svc.id.goog[default/my-account]",
        "group:g@example.com",
        "domain:example.com",
        "deleted:serviceAccount:sa@p.iam.gserviceaccount.com?uid=123456789012345678901",
        "deleted:user:a@example.com?uid=1",
        "deleted:group:g@example.com?uid=1",
        "deleted:principal://iam.googleapis.com/locations/global/workforcePools/staff/subject/me",
        "projectOwner:my-project",
        "projectEditor:my-project",
        "projectViewer:example.com:my-project",
        "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/subject/a/b:c",
        "principal://iam.googleapis.com/locations/global/workforcePools/staff/subject/a@b.c",
        "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/*",
        "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/group/admins",
        "principalSet://iam.googleapis.com/locations/global/workforcePools/staff/attribute.team/a/b",
    ];

    const NO_MEMBERS: [&str; 32] = [
        "",
        "me",
        "user:",
        "user:a",
        "user:a b@c",
        "serviceAccount:sa",
        "serviceAccount:123",
        "serviceAccount:p.svc.id.goog[default]",
        "serviceAccount:p.svc.id.goog[/x]",
        "serviceAccount:p.svc.id.goog[a/b",
        "deleted:",
        "deleted:user:a@example.com",
        "deleted:user:a@example.com?uid=",
        "deleted:user:a@example.com?uid=x",
        "deleted:domain:example.com?uid=1",
        "deleted:deleted:user:a@example.com?uid=1?uid=1",
        "projectOwner:",
        "projectOwner:a b",
        "group:",
        "domain:",
        "domain:a@b",
        "principal:",
        "principal://",
        "principal://iam.googleapis.com/x",
        "principal://iam.googleapis.com/projects/p/locations/global/workloadIdentityPools/ci/subject/s",
        "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/subject/",
        "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/*",
        "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/subject/s",
        "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/attribute.Team/a",
        "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/attribute.team",
        "role:x",
        "allusers",
    ];

    #[test]
    fn a_member_has_one_of_the_known_forms() {
        for text in MEMBERS {
            assert_eq!(text.parse::<Member>().unwrap().as_str(), text);
        }
        for text in NO_MEMBERS {
            let error = text.parse::<Member>().expect_err(text);
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn a_deleted_member_includes_nobody() {
        for text in MEMBERS {
            let named = text.strip_prefix("deleted:").unwrap_or(text).split("?uid=").next().unwrap();
            let includes = text.parse::<Member>().unwrap().includes(named.into());
            if text.starts_with("deleted:") {
                assert!(!includes, "{text}");
            } else if text.starts_with("user:") || text.starts_with("serviceAccount:") {
                assert!(includes, "{text}");
            }
        }
    }
}
