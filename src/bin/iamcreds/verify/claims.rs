//! Checks the claims of a JWT that a service account signed. Unlike an ID token, it may lack any claim.

use std::time::{SystemTime, UNIX_EPOCH};

use gcp_iam_credentials::verify::IdTokenRules;
use serde_json::{Map, Value};

use super::refusal::NotAccepted;

/// What the claims must be. `None` is anything.
#[derive(Debug, Default)]
pub(super) struct ClaimRules<'a> {
    pub(super) audience: Option<&'a str>,
    pub(super) issuer: Option<&'a str>,
    pub(super) email: Option<&'a str>,
}

/// Checks the claims, and the times among them.
pub(super) fn check(claims: &Map<String, Value>, rules: &ClaimRules<'_>) -> Result<(), NotAccepted> {
    check_at(claims, rules, SystemTime::now())
}

fn check_at(claims: &Map<String, Value>, rules: &ClaimRules<'_>, now: SystemTime) -> Result<(), NotAccepted> {
    for (claim, expected) in [("iss", rules.issuer), ("aud", rules.audience), ("email", rules.email)] {
        let Some(expected) = expected else { continue };
        if !has(claims.get(claim), expected) {
            let got = claims.get(claim).map_or_else(|| "none".to_owned(), Value::to_string);
            return Err(NotAccepted::new(claim, format!("must be {expected:?}, got {got}")));
        }
    }
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let leeway = IdTokenRules::LEEWAY.as_secs();
    for claim in ["exp", "iat", "nbf"] {
        let Some(value) = claims.get(claim) else { continue };
        let Some(time) = value.as_u64() else {
            return Err(NotAccepted::new(claim, format!("must be a time in whole seconds, got {value}")));
        };
        if claim == "exp" && now >= time.saturating_add(leeway) {
            return Err(NotAccepted::new(claim, format!("must be in the future, got {} s ago", now - time)));
        }
        if claim != "exp" && time > now.saturating_add(leeway) {
            let ahead = time - now;
            return Err(NotAccepted::new(claim, format!("must not be in the future, got {ahead} s ahead")));
        }
    }
    Ok(())
}

/// Whether a claim is this text, or a list that contains it.
fn has(claim: Option<&Value>, expected: &str) -> bool {
    match claim {
        Some(Value::Array(list)) => list.iter().any(|item| item.as_str() == Some(expected)),
        Some(value) => value.as_str() == Some(expected),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    /// conf: I53
    #[test]
    fn each_claim_that_differs_is_named_with_what_was_expected_and_received() {
        let claims = json!({"iss": "a@p", "aud": ["x", "y"], "exp": 1000, "iat": 900});
        let audience = |audience| ClaimRules { audience: Some(audience), ..ClaimRules::default() };
        let issuer = |issuer| ClaimRules { issuer: Some(issuer), ..ClaimRules::default() };
        let email = ClaimRules { email: Some("e@p"), ..ClaimRules::default() };
        for (changes, rules, now, expected) in [
            (json!({}), audience("y"), 950, None),
            (json!({}), issuer("a@p"), 1029, None),
            (
                json!({"exp": null}),
                audience("x"),
                950,
                Some("`exp`: must be a time in whole seconds, got null"),
            ),
            (json!({}), audience("z"), 950, Some(r#"`aud`: must be "z", got ["x","y"]"#)),
            (json!({}), issuer("b@p"), 950, Some(r#"`iss`: must be "b@p", got "a@p""#)),
            (json!({}), email, 950, Some(r#"`email`: must be "e@p", got none"#)),
            (json!({}), ClaimRules::default(), 1030, Some("`exp`: must be in the future, got 30 s ago")),
            (
                json!({"nbf": 990}),
                ClaimRules::default(),
                959,
                Some("`nbf`: must not be in the future, got 31 s ahead"),
            ),
            (json!({"iat": u64::MAX}), ClaimRules::default(), 950, Some("`iat`: must not be in the future")),
        ] {
            let mut claims = claims.as_object().unwrap().clone();
            claims.extend(changes.as_object().unwrap().clone());
            let outcome = check_at(&claims, &rules, UNIX_EPOCH + Duration::from_secs(now));
            match (outcome, expected) {
                (Ok(()), None) => {}
                (Err(error), Some(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (outcome, expected) => panic!("{outcome:?} {expected:?}"),
            }
        }
        assert!(check_at(&Map::new(), &ClaimRules::default(), UNIX_EPOCH).is_ok(), "no claim is needed");
    }
}
