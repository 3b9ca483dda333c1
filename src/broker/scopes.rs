//! Which scopes a requested token gets.

use crate::scopes::CLOUD_PLATFORM;

/// Returns the scopes of the token for a request that names `requested`, of which `own` may be given.
/// `None` if the request is refused.
///
/// Libraries name the scopes of their API, often several of which one would do. A token with
/// `cloud-platform` is good for all of Google Cloud's APIs.
pub(super) fn granted<'s>(own: &'s [String], requested: &[String]) -> Option<Vec<&'s str>> {
    let named = |scope: &&String| requested.is_empty() || requested.contains(*scope);
    let granted: Vec<&str> = own.iter().filter(named).map(String::as_str).collect();
    match granted.is_empty() {
        false => Some(granted),
        true if own.iter().any(|scope| scope == CLOUD_PLATFORM) => {
            Some(own.iter().map(String::as_str).collect())
        }
        true => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: I13
    #[test]
    fn a_token_never_gets_a_scope_that_the_server_does_not_have() {
        let [read, write, pubsub] = ["read", "write", "pubsub"].map(|name| format!("https://s/{name}"));
        let all = CLOUD_PLATFORM.to_owned();
        for (own, requested, expected) in [
            (vec![&read, &write], vec![], Some(vec![&read, &write])),
            (vec![&read, &write], vec![&write], Some(vec![&write])),
            (vec![&read], vec![&pubsub, &write, &read], Some(vec![&read])),
            (vec![&read], vec![&pubsub], None),
            (vec![&read], vec![&all], None),
            (vec![&all], vec![&read, &write], Some(vec![&all])),
            (vec![&all], vec![&read, &all], Some(vec![&all])),
            (vec![&all, &pubsub], vec![&read], Some(vec![&all, &pubsub])),
            (vec![&all, &pubsub], vec![&pubsub], Some(vec![&pubsub])),
        ] {
            let owned = |scopes: &[&String]| scopes.iter().map(|scope| (*scope).clone()).collect::<Vec<_>>();
            let (own, requested) = (owned(&own), owned(&requested));
            let expected = expected.as_deref().map(owned);
            let granted = granted(&own, &requested).map(|scopes| scopes.join(" "));
            assert_eq!(granted, expected.map(|scopes| scopes.join(" ")), "{own:?} {requested:?}");
        }
    }
}
