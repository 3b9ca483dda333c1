//! The names of identity pools, and of the principals in them.

/// The prefix of the names of principals and principal sets.
const DOMAIN: &str = "//iam.googleapis.com/";

/// Returns whether `name` is the name of a workload identity pool or of a workforce pool.
fn is_pool(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    match parts[..] {
        ["projects", number, "locations", "global", "workloadIdentityPools", pool] => {
            !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) && is_id(pool)
        }
        ["locations", "global", "workforcePools", pool] => is_id(pool),
        _ => false,
    }
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
fn is_attribute(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: &str = "//iam.googleapis.com/projects/12/locations/global/workloadIdentityPools/ci";

    #[test]
    fn a_whole_pool_includes_its_own_subjects_only() {
        let all = format!("principalSet:{POOL}/*");
        assert!(whole_pool_includes(&all, &format!("principal:{POOL}/subject/repo:a/b:ref:main")));
        for other in
            [format!("principal:{POOL}2/subject/s"), format!("principal:{POOL}"), "user:a@b.c".to_owned()]
        {
            assert!(!whole_pool_includes(&all, &other), "{other}");
        }
        for set in [format!("principalSet:{POOL}/group/*"), format!("principal:{POOL}/subject/*")] {
            assert!(!whole_pool_includes(&set, &format!("principal:{POOL}/subject/s")), "{set}");
        }
    }
}
