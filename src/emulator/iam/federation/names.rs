//! The names of identity pools, of their providers, and of the principals in them.

/// What an error says if a text isn't the name of a pool.
pub(crate) const EXPECTED_POOL: &str = "expected projects/NUMBER/locations/global/workloadIdentityPools/POOL \
                                        or locations/global/workforcePools/POOL";

/// What an error says if a text isn't the name of a provider.
pub(crate) const EXPECTED_PROVIDER: &str = "expected the name of a pool, followed by /providers/PROVIDER";

/// The prefix of names in audiences, principals and principal sets.
const DOMAIN: &str = "//iam.googleapis.com/";

/// Returns whether `name` is the name of a workload identity pool or of a workforce pool.
pub(crate) fn is_pool(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    match parts[..] {
        ["projects", number, "locations", "global", "workloadIdentityPools", pool] => {
            !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) && is_id(pool)
        }
        ["locations", "global", "workforcePools", pool] => is_id(pool),
        _ => false,
    }
}

/// Returns whether `name` is the name of a workforce pool, or of a provider in one.
pub(crate) fn is_workforce(name: &str) -> bool {
    name.starts_with("locations/global/workforcePools/")
}

/// Splits the name of a provider into the name of its pool and its own id.
pub(crate) fn split_provider(name: &str) -> Option<(&str, &str)> {
    let (pool, provider) = name.rsplit_once("/providers/")?;
    (is_pool(pool) && is_id(provider)).then_some((pool, provider))
}

/// Returns the name of the provider in an audience.
pub(crate) fn provider_in(audience: &str) -> Option<&str> {
    audience.strip_prefix(DOMAIN)
}

/// Returns the audience of a provider: the value of `audience` in credential files.
pub(crate) fn audience_of(provider: &str) -> String {
    format!("{DOMAIN}{provider}")
}

/// Returns the name of the principal with this subject.
pub(crate) fn principal(pool: &str, subject: &str) -> String {
    format!("principal:{DOMAIN}{pool}/subject/{subject}")
}

/// Returns the name of the set of the principals with this value of an attribute.
pub(crate) fn attribute_set(pool: &str, attribute: &str, value: &str) -> String {
    format!("principalSet:{DOMAIN}{pool}/attribute.{attribute}/{value}")
}

/// Returns the name of the set of the principals in this group.
pub(crate) fn group_set(pool: &str, group: &str) -> String {
    format!("principalSet:{DOMAIN}{pool}/group/{group}")
}

/// Returns whether `rest`, which follows `principal:` in a member, names a principal.
pub(crate) fn is_principal(rest: &str) -> bool {
    let parts = rest.strip_prefix(DOMAIN).and_then(|name| name.split_once("/subject/"));
    parts.is_some_and(|(pool, subject)| is_pool(pool) && !subject.is_empty())
}

/// Returns whether `rest`, which follows `principalSet:` in a member, names a set of principals.
pub(crate) fn is_principal_set(rest: &str) -> bool {
    let Some(name) = rest.strip_prefix(DOMAIN) else { return false };
    if let Some(pool) = name.strip_suffix("/*") {
        return is_pool(pool);
    }
    if let Some((pool, group)) = name.split_once("/group/") {
        return is_pool(pool) && !group.is_empty();
    }
    let Some((pool, attribute)) = name.split_once("/attribute.") else { return false };
    let value = attribute.split_once('/');
    is_pool(pool) && value.is_some_and(|(name, value)| is_attribute(name) && !value.is_empty())
}

/// Returns whether the set of all principals of a pool, a member, includes `principal`.
pub(crate) fn whole_pool_includes(set: &str, principal: &str) -> bool {
    let pool = set.strip_prefix("principalSet:").and_then(|set| set.strip_suffix('*'));
    let rest = pool.and_then(|pool| principal.strip_prefix("principal:")?.strip_prefix(pool));
    rest.is_some_and(|rest| rest.starts_with("subject/"))
}

/// Returns whether `name` can follow `attribute.` in a mapping.
pub(crate) fn is_attribute(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: &str = "projects/12/locations/global/workloadIdentityPools/ci";

    #[test]
    fn a_provider_is_split_into_its_pool_and_its_id() {
        let name = format!("{POOL}/providers/github");
        assert_eq!(split_provider(&name), Some((POOL, "github")));
        assert_eq!(provider_in(&audience_of(&name)), Some(name.as_str()));
        let workforce = "locations/global/workforcePools/staff/providers/okta";
        assert_eq!(split_provider(workforce), Some(("locations/global/workforcePools/staff", "okta")));
        for wrong in
            ["", POOL, "projects/p/locations/global/workloadIdentityPools/ci/providers/x", "x/providers/y"]
        {
            assert_eq!(split_provider(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_whole_pool_includes_its_own_subjects_only() {
        let all = format!("principalSet://iam.googleapis.com/{POOL}/*");
        assert!(whole_pool_includes(&all, &principal(POOL, "repo:a/b:ref:main")));
        assert!(!whole_pool_includes(&all, &principal(&format!("{POOL}2"), "s")));
        assert!(!whole_pool_includes(&all, "user:a@b.c"));
        assert!(!whole_pool_includes(&group_set(POOL, "*"), &principal(POOL, "s")));
        assert!(!whole_pool_includes(&principal(POOL, "*"), &principal(POOL, "s")));
    }
}
