//! Maps the claims of a token to a principal, and checks the condition of its provider.

use serde_json::{Map, Value, json};

use super::cel::{Expression, Variables};
use super::names;
use crate::emulator::error::OauthError;
use crate::emulator::iam::policy::IdentityProvider;

/// The longest `google.subject`, in bytes.
const LONGEST_SUBJECT: usize = 127;

type Attributes = Map<String, Value>;

/// A principal of an identity pool.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FederatedPrincipal {
    /// `principal://…`
    pub(crate) name: String,
    /// The sets by attribute and by group that include it: `principalSet://…`
    pub(crate) sets: Vec<String>,
}

impl FederatedPrincipal {
    /// Returns the principal of `pool` to which `provider` maps the claims.
    pub(super) fn map(pool: &str, provider: &IdentityProvider, assertion: Value) -> Result<Self, OauthError> {
        let mut variables = Variables::from([("assertion", assertion)]);
        let (google, attributes) = mapped(provider, &variables)?;
        let Some(subject) = google.get("subject").and_then(Value::as_str).filter(|text| !text.is_empty())
        else {
            let problem = "Could not obtain a value for google.subject from the given credential.";
            return Err(OauthError::new("invalid_request", problem));
        };
        if subject.len() > LONGEST_SUBJECT {
            let problem = "The size of mapped attribute google.subject exceeds the 127 bytes limit. Either modify \
                           your attribute mapping or the incoming assertion to produce a mapped attribute that is \
                           less than 127 bytes.";
            return Err(OauthError::new("invalid_request", problem));
        }
        let principal =
            Self { name: names::principal(pool, subject), sets: sets(pool, &google, &attributes) };
        variables.insert("google", google.into());
        variables.insert("attribute", attributes.into());
        if fulfills_condition(provider, &variables) {
            Ok(principal)
        } else {
            let problem = "The given credential is rejected by the attribute condition.";
            Err(OauthError::new("unauthorized_client", problem))
        }
    }
}

/// Returns the attributes of `google`, and those of `attribute`. An attribute whose expression has no value is
/// left out, because tokens of one issuer don't all have the same claims.
fn mapped(
    provider: &IdentityProvider,
    variables: &Variables,
) -> Result<(Attributes, Attributes), OauthError> {
    let (mut google, mut attributes) = (Map::new(), Map::new());
    for (name, text) in provider.mapping() {
        let Ok(value) = Expression::parse(text).and_then(|expression| expression.evaluate(variables)) else {
            continue;
        };
        let is_valid = match name {
            "google.groups" => value.as_array().is_some_and(|groups| groups.iter().all(Value::is_string)),
            _ => value.is_string(),
        };
        if !is_valid {
            let problem = format!("The mapped attribute {name} has the wrong type.");
            return Err(OauthError::new("invalid_request", problem));
        }
        match name.split_once('.') {
            Some(("google", name)) => google.insert(name.to_owned(), value),
            Some((_, name)) => attributes.insert(name.to_owned(), value),
            None => None,
        };
    }
    Ok((google, attributes))
}

fn sets(pool: &str, google: &Attributes, attributes: &Attributes) -> Vec<String> {
    let groups =
        google.get("groups").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let groups = groups.map(|group| names::group_set(pool, group));
    let attributes = attributes.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
    let attributes = attributes.map(|(name, value)| names::attribute_set(pool, name, value));
    groups.chain(attributes).collect()
}

/// Returns `false` also if the condition can't be evaluated: for example, because a claim is missing.
fn fulfills_condition(provider: &IdentityProvider, variables: &Variables) -> bool {
    let Some(condition) = &provider.attribute_condition else { return true };
    let value = Expression::parse(condition).and_then(|condition| condition.evaluate(variables));
    value == Ok(json!(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: &str = "projects/1/locations/global/workloadIdentityPools/ci";

    fn map(provider: &IdentityProvider, assertion: Value) -> Result<FederatedPrincipal, &'static str> {
        FederatedPrincipal::map(POOL, provider, assertion).map_err(|refused| refused.error)
    }

    /// Returns a provider with these attributes and this condition.
    fn provider(mapping: Value, condition: Option<&str>) -> IdentityProvider {
        serde_json::from_value(json!({"attributeMapping": mapping, "attributeCondition": condition})).unwrap()
    }

    #[test]
    fn claims_become_a_subject_and_sets() {
        let mapping = json!({"google.subject": "'repo:' + assertion.repository", "google.groups": "assertion.teams",
            "attribute.actor": "assertion.actor", "attribute.absent": "assertion.absent"});
        let assertion = json!({"repository": "octo/shop", "teams": ["a", "b"], "actor": "ada"});
        let principal = map(&provider(mapping, None), assertion).unwrap();
        assert_eq!(principal.name, format!("principal://iam.googleapis.com/{POOL}/subject/repo:octo/shop"));
        let set = |rest: &str| format!("principalSet://iam.googleapis.com/{POOL}/{rest}");
        assert_eq!(principal.sets, [set("group/a"), set("group/b"), set("attribute.actor/ada")]);
    }

    #[test]
    fn an_assertion_that_cannot_be_mapped_or_does_not_fulfill_the_condition_is_refused() {
        let subject = || json!({"google.subject": "assertion.sub"});
        for (mapping, condition, assertion, refused) in [
            (subject(), None, json!({}), "invalid_request"),
            (subject(), None, json!({"sub": ""}), "invalid_request"),
            (subject(), None, json!({"sub": 1}), "invalid_request"),
            (subject(), None, json!({"sub": "x".repeat(128)}), "invalid_request"),
            (
                json!({"google.subject": "assertion.sub", "google.groups": "assertion.sub"}),
                None,
                json!({"sub": "s"}),
                "invalid_request",
            ),
            (subject(), Some("false"), json!({"sub": "s"}), "unauthorized_client"),
            (subject(), Some("'yes'"), json!({"sub": "s"}), "unauthorized_client"),
            (subject(), Some("assertion.x == 1"), json!({"sub": "s"}), "unauthorized_client"),
            (subject(), Some("google.subject == 't'"), json!({"sub": "s"}), "unauthorized_client"),
        ] {
            assert_eq!(map(&provider(mapping, condition), assertion), Err(refused), "{condition:?}");
        }
        assert!(map(&provider(subject(), None), json!({"sub": "x".repeat(127)})).is_ok());
        assert!(map(&provider(json!({}), Some("google.subject == 's'")), json!({"sub": "s"})).is_ok());
    }
}
