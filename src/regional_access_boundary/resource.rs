//! The resource whose boundary applies to tokens.

use crate::source::{Hop, SourceInfo};
use crate::{ServiceAccountName, service_account_path};

/// The prefix of the resource names of identity providers.
const PROVIDERS: &str = "//iam.googleapis.com/";
/// The end of the e-mail addresses of all service accounts.
const ACCOUNTS: &str = ".gserviceaccount.com";

/// The resource name of a service account, of a workload identity pool or of a workforce pool. It has
/// only characters that a URL may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource(String);

impl Resource {
    /// Returns the resource of the tokens that `info` describes; `None` if they have none, or if it isn't
    /// known.
    pub(super) fn of(info: &SourceInfo) -> Option<Self> {
        if info.access_boundary().is_some() {
            return None;
        }
        match (info.hops().last(), info.audience()) {
            (Some(hop), _) => Self::of_hop(hop),
            (None, Some(audience)) => Self::of_provider(audience),
            (None, None) => {
                let email = info.principal().filter(|_| !info.is_principal_likely())?;
                let is_account = email.contains('@') && email.ends_with(ACCOUNTS);
                is_account.then(|| Self::of_account(email)).flatten()
            }
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The last account, unless its tokens are for an application or of a user.
    fn of_hop(hop: &Hop) -> Option<Self> {
        let has_boundary = hop.audience().is_none() && hop.subject().is_none();
        has_boundary.then(|| Self::of_account(hop.target())).flatten()
    }

    fn of_account(account: &str) -> Option<Self> {
        let name: ServiceAccountName = account.parse().ok()?;
        Some(Self(service_account_path("-", name.account())))
    }

    /// The pool of a provider.
    fn of_provider(audience: &str) -> Option<Self> {
        let segments: Vec<_> = audience.strip_prefix(PROVIDERS)?.split('/').collect();
        let pool = match segments[..] {
            ["projects", _, "locations", "global", "workloadIdentityPools", _, "providers", _] => 6,
            ["locations", "global", "workforcePools", _, "providers", _] => 4,
            _ => return None,
        };
        let pool = &segments[..pool];
        pool.iter().all(|segment| is_segment(segment)).then(|| Self(pool.join("/")))
    }
}

fn is_segment(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    (1..=128).contains(&text.len()) && text.bytes().all(legal) && text != "." && text != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(info: SourceInfo) -> Option<String> {
        Resource::of(&info).map(|resource| resource.0)
    }

    fn account(hop: Hop) -> Option<String> {
        name(SourceInfo::new().with_principal("me@example.com").with_hop(hop))
    }

    /// conf: B1
    #[test]
    fn accounts_and_pools_have_a_resource() {
        let path = |account: &str| Some(format!("projects/-/serviceAccounts/{account}"));
        let key = SourceInfo::new().with_principal("k@p.iam.gserviceaccount.com");
        assert_eq!(name(key), path("k@p.iam.gserviceaccount.com"));
        for target in ["a@p.iam.gserviceaccount.com", "12345", "a@p.example"] {
            assert_eq!(account(Hop::new(target)), path(target));
        }
        let workload = "projects/123/locations/global/workloadIdentityPools/pool";
        let workforce = "locations/global/workforcePools/people";
        for pool in [workload, workforce] {
            let audience = format!("//iam.googleapis.com/{pool}/providers/idp");
            assert_eq!(name(SourceInfo::new().with_audience(&audience)).as_deref(), Some(pool));
            // A pool's tokens can be exchanged for those of an account, which has the say then.
            let acting = SourceInfo::new().with_audience(audience).with_hop(Hop::new("a@p.example"));
            assert_eq!(name(acting), path("a@p.example"));
        }
    }

    /// conf: B1
    #[test]
    fn other_identities_have_none() {
        for (info, reason) in [
            (SourceInfo::new(), "nothing is known"),
            (SourceInfo::new().with_principal("me@example.com"), "a user"),
            (SourceInfo::new().with_principal("p.iam.gserviceaccount.com"), "no address"),
            (SourceInfo::new().with_likely_principal("k@p.iam.gserviceaccount.com"), "a guess"),
            (SourceInfo::new().with_audience("//iam.googleapis.com/x/providers/idp"), "no pool"),
        ] {
            assert_eq!(name(info), None, "{reason}");
        }
        assert_eq!(account(Hop::new("a@p.example").with_audience("https://app")), None);
        assert_eq!(account(Hop::new("a@p.example").with_subject("me@example.com")), None);
        let key = SourceInfo::new().with_principal("k@p.iam.gserviceaccount.com");
        assert_eq!(name(key.with_access_boundary("a bucket")), None);
    }

    /// conf: B1
    #[test]
    fn a_name_that_changes_the_url_is_no_resource() {
        for pool in ["..", ".", "", "a?b", "a#b", "a%2fb", "a b", "a@b", "ä"] {
            let audience =
                format!("//iam.googleapis.com/locations/global/workforcePools/{pool}/providers/idp");
            assert_eq!(name(SourceInfo::new().with_audience(audience)), None, "{pool:?}");
        }
        for email in
            ["a/b@p.iam.gserviceaccount.com", "a?b@p.iam.gserviceaccount.com", "@x.gserviceaccount.com"]
        {
            assert_eq!(name(SourceInfo::new().with_principal(email)), None, "{email}");
        }
    }
}
