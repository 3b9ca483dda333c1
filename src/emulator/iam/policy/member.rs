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
                        principalSet://…, allAuthenticatedUsers or allUsers";

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
pub struct Member(Cow<'static, str>);

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

    /// Returns the e-mail address if the member is a service account.
    pub(crate) fn as_service_account(&self) -> Option<&str> {
        self.0.strip_prefix("serviceAccount:")
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
    pub(crate) fn includes(&self, holder: Holder<'_>) -> bool {
        if self.0.starts_with("principalSet:") {
            return holder.sets.iter().any(|set| self.0 == *set)
                || names::whole_pool_includes(&self.0, holder.name);
        }
        if self.0 == holder.name || [Self::ALL_USERS, Self::ALL_AUTHENTICATED_USERS].contains(self) {
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
        Some(("serviceAccount", email)) => email.contains('@') && is_well_formed(email),
        Some(("user", email)) => email.contains('@') && !email.contains([' ', ':', '/']),
        Some(("group", group)) => !group.is_empty(),
        Some(("domain", domain)) => !domain.is_empty() && !domain.contains(['@', '/', ' ']),
        Some(("principal", rest)) => names::is_principal(rest),
        Some(("principalSet", rest)) => names::is_principal_set(rest),
        Some(_) => false,
    }
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

    #[test]
    fn a_member_has_one_of_the_known_forms() {
        for text in [
            "allUsers",
            "allAuthenticatedUsers",
            "user:a@example.com",
            "serviceAccount:sa@p.iam.gserviceaccount.com",
            "group:g@example.com",
            "domain:example.com",
            "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/subject/a/b:c",
            "principal://iam.googleapis.com/locations/global/workforcePools/staff/subject/a@b.c",
            "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/*",
            "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/group/admins",
            "principalSet://iam.googleapis.com/locations/global/workforcePools/staff/attribute.team/a/b",
        ] {
            assert_eq!(text.parse::<Member>().unwrap().as_str(), text);
        }
        for text in [
            "",
            "me",
            "user:",
            "user:a",
            "user:a b@c",
            "serviceAccount:sa",
            "serviceAccount:123",
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
        ] {
            let error = text.parse::<Member>().expect_err(text);
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
