//! What a credential file says about whose tokens it gives, compared with what it said before.

use crate::source::{Hop, SourceInfo};

/// Returns in which ways the identity in a file that has changed is another one, for people. `None`
/// if it is the same for certain, as for another key of the same account.
pub(super) fn identity_change(before: &SourceInfo, now: &SourceInfo) -> Option<String> {
    let facts = [
        ("credentials", before.description(), now.description()),
        ("principal", before.source_principal(), now.source_principal()),
        ("audience", before.audience(), now.audience()),
        ("quota project", before.quota_project(), now.quota_project()),
    ];
    let changed = facts.into_iter().filter(|(_, before, now)| before != now);
    let mut changes: Vec<String> = changed.map(|(name, before, now)| change(name, before, now)).collect();
    let [chain_before, chain_now] = [before, now].map(chain);
    if chain_before != chain_now {
        changes.push(change("impersonated account", chain_before.as_deref(), chain_now.as_deref()));
    }
    if before.source_principal().is_none() && now.source_principal().is_none() {
        changes.push("principal: unknown, because the file names none, so it may be another one".to_owned());
    }
    (!changes.is_empty()).then(|| changes.join("; "))
}

fn change(name: &str, before: Option<&str>, now: Option<&str>) -> String {
    let [before, now] = [before, now].map(|value| value.unwrap_or("unknown or none"));
    format!("{name}: {now}, before: {before}")
}

/// Returns all accounts through which the tokens are got, the last one being their principal.
fn chain(info: &SourceInfo) -> Option<String> {
    let accounts = |hop: &Hop| {
        let delegates = hop.delegates().iter().map(String::as_str);
        delegates.chain([hop.target()]).chain(hop.subject()).map(str::to_owned).collect::<Vec<_>>()
    };
    let accounts: Vec<String> = info.hops().iter().flat_map(accounts).collect();
    (!accounts.is_empty()).then(|| accounts.join(" -> "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> SourceInfo {
        SourceInfo::new().with_description("a login")
    }

    /// conf: F12
    #[test]
    fn another_key_of_the_same_account_is_no_other_identity() {
        let key = user().with_principal("a@p");
        assert_eq!(identity_change(&key, &key.clone().with_endpoint("https://t").with_scopes(["s"])), None);
    }

    /// conf: F12
    #[test]
    fn each_fact_that_differs_is_named_with_both_values() {
        let key = user().with_principal("a@p");
        for (now, expected) in [
            (key.clone().with_principal("b@p"), "principal: b@p, before: a@p"),
            (key.clone().with_description("a key"), "credentials: a key, before: a login"),
            (key.clone().with_audience("//pool"), "audience: //pool, before: unknown or none"),
            (key.clone().with_quota_project("q"), "quota project: q, before: unknown or none"),
            (user(), "principal: unknown or none, before: a@p"),
            (
                key.clone().with_hop(Hop::new("c@p").with_delegates(["d@p"])),
                "impersonated account: d@p -> c@p, before: unknown or none",
            ),
        ] {
            assert_eq!(identity_change(&key, &now).as_deref(), Some(expected));
        }
    }

    /// conf: F12
    #[test]
    fn a_login_without_a_name_may_be_that_of_somebody_else() {
        let change = identity_change(&user(), &user()).unwrap();
        assert!(change.contains("may be another"), "{change}");
    }
}
