//! Reads `policy.json`.

use super::Policy;
use super::error::PolicyError;
use crate::document;

/// The parts of the document whose keys are names that a user chose.
const MAPS: [&str; 8] = [
    "projects",
    "serviceAccounts",
    "users",
    "groups",
    "roles",
    "identityPools",
    "externalAccounts",
    "metadataServer.projectAttributes",
];

/// The maps inside entries of those.
const INNER_MAPS: [&str; 3] = [".providers", ".attributeMapping", ".attributes"];

impl Policy {
    /// Reads the text of a `policy.json` and validates it.
    ///
    /// `docs/emulator-reference.md` describes the format.
    ///
    /// # Errors
    ///
    /// Returns a [`PolicyError`], with the place in the document, if the text isn't a valid policy.
    pub fn from_json(text: &str) -> Result<Self, PolicyError> {
        let policy: Self = document::read(text, is_map)?;
        policy.validate()?;
        Ok(policy)
    }

    /// Returns the policy as the text of a `policy.json`.
    pub fn to_json(&self) -> String {
        // A policy consists of maps with text keys and plain data, so this can't fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// Returns whether the keys at a place are names that a user chose.
fn is_map(place: &str) -> bool {
    MAPS.contains(&place) || INNER_MAPS.iter().any(|map| place.ends_with(map))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn error(json: &str) -> PolicyError {
        Policy::from_json(json).expect_err(json)
    }

    /// Returns a policy whose metadata server has this machine.
    fn with_machine(machine: &str) -> String {
        let account = "a@p.iam.gserviceaccount.com";
        format!(
            r#"{{"serviceAccounts": {{"{account}": {{}}}},
                "metadataServer": {{"serviceAccount": "{account}", "instance": {machine}}}}}"#
        )
    }

    #[test]
    fn a_mistake_in_the_machine_is_refused_with_its_place() {
        for (json, path) in [
            (with_machine(r#"{"name": "a b"}"#), "metadataServer.instance.name"),
            (with_machine(r#"{"id": -1}"#), "metadataServer.instance.id"),
            (with_machine(r#"{"zone": ""}"#), "metadataServer.instance.zone"),
            (with_machine(r#"{"attributes": {"a/b": ""}}"#), "metadataServer.instance.attributes"),
            (with_machine(r#"{"attributes": {"a": 1}}"#), r#"metadataServer.instance.attributes["a"]"#),
            (with_machine(r#"{"licenses": ["/"]}"#), "metadataServer.instance.licenses"),
            (with_machine("[]"), "metadataServer.instance"),
            (
                r#"{"metadataServer": {"projectAttributes": {"": "x"}}}"#.to_owned(),
                "metadataServer.projectAttributes",
            ),
            (
                r#"{"metadataServer": {"projectAttributes": {"a": 1}}}"#.to_owned(),
                r#"metadataServer.projectAttributes["a"]"#,
            ),
        ] {
            assert_eq!(error(&json).path(), path, "{json}");
        }
    }

    #[test]
    fn an_error_names_the_place() {
        for (json, path) in [
            ("", ""),
            ("[]", ""),
            ("{} trailing", ""),
            (r#"{"serviceAccounts": {"sa@p.q": ["7"]}}"#, r#"serviceAccounts["sa@p.q"]"#),
            (r#"{"tokens": [["t", "user:a@b"]]}"#, "tokens[0]"),
            (r#"{"ambiguities": []}"#, "ambiguities"),
            (r#"{"projets": {}}"#, "projets"),
            (r#"{"serviceAccounts": {"sa": {}}}"#, r#"serviceAccounts["sa"]"#),
            (r#"{"serviceAccounts": {"sa@p.q": {"disabled": 1}}}"#, r#"serviceAccounts["sa@p.q"].disabled"#),
            (
                r#"{"serviceAccounts": {"sa@p.q": {"uniqueId": "x"}}}"#,
                r#"serviceAccounts["sa@p.q"].uniqueId"#,
            ),
            (
                r#"{"serviceAccounts": {"sa@p.q": {"grants": [{"members": ["allUsers"], "role": "roles/x"}]}}}"#,
                r#"serviceAccounts["sa@p.q"].grants[0].role"#,
            ),
            (
                r#"{"serviceAccounts": {"sa@p.q": {"grants": [{"members": ["me"], "role": "roles/owner"}]}}}"#,
                r#"serviceAccounts["sa@p.q"].grants[0].members[0]"#,
            ),
            (
                r#"{"projects": {"p": {"grants": [{"members": ["allUsers"], "permissions": ["iam.serviceAccounts.sing"]}]}}}"#,
                r#"projects["p"].grants[0].permissions"#,
            ),
            (r#"{"projects": {"p": {"grants": [{"members": ["allUsers"]}]}}}"#, r#"projects["p"].grants[0]"#),
            (r#"{"groups": {"a@b": ["group:c@d"]}}"#, r#"groups["a@b"][0]"#),
            (r#"{"roles": {"roles/owner": []}}"#, r#"roles["roles/owner"]"#),
            (r#"{"tokens": [{"token": "t t", "principal": "user:a@b"}]}"#, "tokens[0].token"),
            (r#"{"tokens": [{"token": "t", "principal": "allUsers"}]}"#, "tokens[0].principal"),
            (r#"{"metadataServer": {"serviceAccount": "a@b.c"}}"#, "metadataServer.serviceAccount"),
            (r#"{"ambiguities": {"middleHop": "neither"}}"#, "ambiguities.middleHop"),
        ] {
            let error = error(json);
            assert_eq!(error.path(), path, "{json}: {error}");
            assert!(error.to_string().contains(path), "{error}");
            let has_example = error.to_string().contains("\nfix: write, for example, ");
            assert!(has_example || path.is_empty() || path == "projets", "{error}");
        }
    }

    /// conf: I12
    #[test]
    fn no_object_may_be_a_list() {
        let full = r#"{
            "projects": {"p": {"number": 7, "grants": [{"members": ["allUsers"], "role": "roles/viewer"}]}},
            "serviceAccounts": {"sa@p.q": {"grants": [{"members": ["allUsers"], "role": "roles/viewer",
                "condition": {"expression": "true", "title": "always"}}]}},
            "users": {"a@b.c": {"refreshToken": "r"}}, "groups": {"g@b.c": ["allUsers"]},
            "roles": {"projects/p/roles/r": ["a.b.c"]}, "tokens": [{"token": "t", "principal": "user:a@b.c"}],
            "metadataServer": {"serviceAccount": "sa@p.q", "instance": {"name": "n", "attributes": {"a": "b"}},
                "projectAttributes": {"a": "b"}},
            "identityPools": {"projects/1/locations/global/workloadIdentityPools/ci": {"providers": {
                "a": {"aws": {"accountId": "123456789012"}},
                "o": {"oidc": {"issuerUri": "https://i"}, "attributeMapping": {"google.subject": "'x'"}}}}},
            "externalAccounts": {"job": {"provider":
                "projects/1/locations/global/workloadIdentityPools/ci/providers/o"}},
            "ambiguities": {"middleHop": "action"}}"#;
        Policy::from_json(full).unwrap();
        let mut document: Value = serde_json::from_str(full).unwrap();
        let mut replaced = 0;
        while replace_object(&mut document, &mut replaced.clone()) {
            let error = error(&document.to_string()).to_string();
            assert!(error.contains("expected") && error.contains("got a list"), "{document}: {error}");
            document = serde_json::from_str(full).unwrap();
            replaced += 1;
        }
        assert_eq!(replaced, 28);
    }

    /// Replaces the object of this number by the list of its values. Returns `false` if there aren't so many.
    fn replace_object(value: &mut Value, number: &mut usize) -> bool {
        if let Value::Object(object) = value {
            if *number == 0 {
                *value = object.values().cloned().collect::<Vec<_>>().into();
                return true;
            }
            *number -= 1;
            return object.values_mut().any(|value| replace_object(value, number));
        }
        value.as_array_mut().into_iter().flatten().any(|value| replace_object(value, number))
    }

    #[test]
    fn a_mistake_in_a_provider_is_refused_with_its_place() {
        let pool = "projects/1/locations/global/workloadIdentityPools/ci";
        let with = |field: &str| {
            format!(r#"{{"oidc": {{"issuerUri": "https://i", "jwks": {{"keys": []}}}}, {field}}}"#)
        };
        for (provider, place) in [
            ("7", ""),
            ("{}", ""),
            (r#"{"oidc": []}"#, ".oidc"),
            (r#"{"aws": {"accountId": "1"}}"#, ".aws.accountId"),
            (r#"{"oidc": {"issuerUri": "https://i"}, "aws": {"accountId": "123456789012"}}"#, ""),
            (r#"{"oidc": {"issuerUri": "i", "jwks": {"keys": []}}}"#, ".oidc.issuerUri"),
            (r#"{"oidc": {"issuerUri": "https://i", "jwks": {}}}"#, ".oidc.jwks"),
            (r#"{"oidc": {"issuerUri": "https://i", "jwks": {"keys": 1}}}"#, ".oidc.jwks"),
            (r#"{"oidc": {"issuer": "https://i"}}"#, ".oidc.issuer"),
            (&with(r#""attributeMapping": {"google.sub": "'x'"}"#), r#".attributeMapping["google.sub"]"#),
            (&with(r#""attributeMapping": {"google.subject": 1}"#), r#".attributeMapping["google.subject"]"#),
            (&with(r#""attributeMapping": {"attribute.a": "'x'"}"#), ".attributeMapping"),
            (&with(r#""attributeCondition": "assertion.x ==""#), ".attributeCondition"),
        ] {
            let json = format!(r#"{{"identityPools": {{"{pool}": {{"providers": {{"p": {provider}}}}}}}}}"#);
            let error = error(&json);
            assert_eq!(error.path(), format!("identityPools[{pool:?}].providers[\"p\"]{place}"), "{error}");
        }
    }

    /// conf: X3
    #[test]
    fn a_field_of_an_external_account_without_an_effect_is_refused() {
        let pool = "projects/1/locations/global/workloadIdentityPools/ci";
        for (id, field, place) in [
            ("aws", r#""claims": {"sub": "s"}"#, ".claims"),
            ("aws", r#""role": "a/b""#, ".role"),
            ("aws", r#""region": """#, ".region"),
            ("oidc", r#""role": "r""#, ".role"),
            ("oidc", r#""rotatesRefreshTokens": true"#, ".rotatesRefreshTokens"),
            ("oidc", r#""imdsV2Only": true"#, ".imdsV2Only"),
            ("real", r#""claims": {}"#, ".provider"),
        ] {
            let json = format!(
                r#"{{"identityPools": {{"{pool}": {{"providers": {{
                    "aws": {{"aws": {{"accountId": "123456789012"}}}},
                    "oidc": {{"oidc": {{"issuerUri": "https://i"}}}},
                    "real": {{"oidc": {{"issuerUri": "https://i", "jwks": {{"keys": []}}}}}}}}}}}},
                    "externalAccounts": {{"a": {{"provider": "{pool}/providers/{id}", {field}}}}}}}"#
            );
            let error = error(&json);
            assert_eq!(error.path(), format!("externalAccounts[\"a\"]{place}"), "{error}");
        }
        for (json, path) in [
            (r#"{"identityPools": {"ci": {}}}"#, r#"identityPools["ci"]"#),
            (r#"{"externalAccounts": {"a": ["p"]}}"#, r#"externalAccounts["a"]"#),
            (r#"{"externalAccounts": {"a/b": {"provider": "p"}}}"#, r#"externalAccounts["a/b"]"#),
            (r#"{"externalAccounts": {"a": {"provider": "p"}}}"#, r#"externalAccounts["a"].provider"#),
        ] {
            assert_eq!(error(json).path(), path, "{json}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_type_is_not_shown() {
        for json in [
            r#"{"users": {"me@example.com": "hidden, expected x"}}"#,
            r#"{"tokens": "hidden"}"#,
            r#"{"serviceAccounts": {"sa@p.q": {"disabled": "hidden"}}}"#,
        ] {
            let text = error(json).to_string();
            assert!(text.contains("expected ") && text.contains("got a string"), "{text}");
            assert!(!text.contains("hidden"), "{text}");
        }
    }

    #[test]
    fn a_cycle_of_groups_is_shown() {
        let error =
            error(r#"{"groups": {"a@x": ["group:b@x"], "b@x": ["group:c@x"], "c@x": ["group:b@x"]}}"#);
        assert!(error.to_string().contains("b@x → c@x → b@x"), "{error}");
    }

    #[test]
    fn a_policy_written_as_json_is_read_back_unchanged() {
        let policy = Policy::new()
            .token_with_scopes("t", "user:a@example.com", ["scope"])
            .user("a@example.com", "hidden")
            .group("g@example.com", ["user:a@example.com"])
            .role("projects/p/roles/signer", ["iam.serviceAccounts.signBlob"])
            .grant("group:g@example.com", "projects/p/roles/signer", "sa@p.iam.gserviceaccount.com")
            .grant_after(
                std::time::Duration::from_millis(1500),
                "domain:example.com",
                crate::emulator::Role::TOKEN_CREATOR,
                "sa@p.iam.gserviceaccount.com",
            )
            .identity_provider(
                "locations/global/workforcePools/staff/providers/okta",
                crate::emulator::IdentityProvider::oidc("https://okta.example").condition("true"),
            )
            .external_account(
                "ada",
                crate::emulator::ExternalAccount::new("locations/global/workforcePools/staff/providers/okta")
                    .claim("sub", "ada@example.com"),
            )
            .api_disabled("q")
            .middle_hop(crate::emulator::MiddleHop::Action);
        assert_eq!(Policy::from_json(&policy.to_json()), Ok(policy.clone()), "{}", policy.to_json());
        let shown = format!("{policy:?}");
        assert!(!shown.contains("hidden"), "{shown}");
    }
}
