//! What holds for every policy, caller and request.

use crate::ServiceAccountName;
use crate::broker::policy::{Caller, Policy, Protocol, Request, Wanted};
use crate::properties::text_lines;

/// A policy is read, or refused with a place that is in the document. Whatever it says, only a valid account whose
/// project is in the document is allowed, with scopes of the document, and a caller of whom nothing is known only by
/// a grant for anyone.
///
/// The input is a line with a principal, one with a target, and the policy.
pub fn broker_policies(data: &[u8]) {
    let Some([principal, target, text]) = text_lines::<3>(data) else { return };
    let policy = match Policy::from_json(text) {
        Ok(policy) => policy,
        Err(error) => {
            let start = error.path().split(['.', '[']).next().unwrap_or_default();
            assert!(start.is_empty() || text.contains(start) || text.contains('\\'), "{error}");
            assert!(error.to_string().len() <= 4 * text.len() + 1_000, "{error}");
            return;
        }
    };
    // What is escaped in the document can't be searched for.
    if text.contains('\\') {
        return;
    }
    let known = Caller::new().with_principal(principal).with_uid(7);
    for (caller, is_known) in [(known, true), (Caller::new(), false)] {
        for wanted in
            [Wanted::Access(&[]), Wanted::Identity { audience: "https://a.run.app", with_email: false }]
        {
            let request = Request { target, wanted, protocol: Protocol::Envoy };
            let Ok(allowed) = policy.decide(&caller, &request) else { continue };
            let name: Result<ServiceAccountName, _> = target.parse();
            assert_eq!(name.ok().map(|name| name.account().to_owned()).as_deref(), Some(target));
            let project = target.split_once('@').map_or(target, |(_, project)| project);
            assert!(text.contains(project), "{target}");
            assert!(allowed.scopes.iter().all(|scope| text.contains(scope)), "{:?}", allowed.scopes);
            assert!(is_known || text.contains("anyone"), "a caller of whom nothing is known");
            assert!(policy.lets(&caller, target));
        }
        if let Some(sole) = policy.target_of(&caller) {
            assert!(text.contains(sole), "{sole}");
        }
        assert!(is_known || !policy.has_peer(&caller), "a peer of whom nothing is known");
    }
}
