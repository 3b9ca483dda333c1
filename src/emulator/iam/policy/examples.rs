//! Examples of what a policy contains, for errors.

/// The parts of a policy by the names of their fields, each with an example.
pub(super) const EXAMPLES: [(&str, &str); 34] = [
    ("projects", r#""projects": {"my-project": {"apiDisabled": true}}"#),
    ("number", r#""number": 123456789012"#),
    ("organization", r#""organization": 123456789012"#),
    ("apiDisabled", r#""apiDisabled": true"#),
    ("serviceAccounts", r#""serviceAccounts": {"sa@p.iam.gserviceaccount.com": {"disabled": true}}"#),
    ("uniqueId", r#""uniqueId": "123456789012345678901""#),
    ("disabled", r#""disabled": true"#),
    ("displayName", r#""displayName": "The builder""#),
    ("description", r#""description": "Builds releases.""#),
    ("longLifetimes", r#""longLifetimes": true"#),
    ("domainWideDelegation", r#""domainWideDelegation": ["https://www.googleapis.com/auth/cloud-platform"]"#),
    (
        "grants",
        r#""grants": [{"members": ["user:alice@example.com"], "role": "roles/iam.serviceAccountTokenCreator"}]"#,
    ),
    ("members", r#""members": ["user:alice@example.com", "serviceAccount:sa@p.iam.gserviceaccount.com"]"#),
    ("role", r#""role": "roles/iam.serviceAccountTokenCreator""#),
    ("permissions", r#""permissions": ["iam.serviceAccounts.signBlob"]"#),
    ("propagation", r#""propagation": "120s""#),
    ("condition", r#""condition": {"expression": "request.time < timestamp('2030-01-01T00:00:00Z')"}"#),
    ("users", r#""users": {"alice@example.com": {"refreshToken": "1//alice"}}"#),
    ("refreshToken", r#""refreshToken": "1//alice""#),
    ("groups", r#""groups": {"admins@example.com": ["user:alice@example.com"]}"#),
    ("roles", r#""roles": {"projects/p/roles/signer": ["iam.serviceAccounts.signBlob"]}"#),
    ("tokens", r#""tokens": [{"token": "alice-token", "principal": "user:alice@example.com"}]"#),
    ("token", r#""token": "alice-token""#),
    ("principal", r#""principal": "user:alice@example.com""#),
    ("scopes", r#""scopes": ["https://www.googleapis.com/auth/cloud-platform"]"#),
    ("metadataServer", r#""metadataServer": {"serviceAccount": "sa@p.iam.gserviceaccount.com"}"#),
    (
        "identityPools",
        r#""identityPools": {"projects/1/locations/global/workloadIdentityPools/ci": {"disabled": false}}"#,
    ),
    (
        "providers",
        r#""providers": {"github": {"oidc": {"issuerUri": "https://token.actions.githubusercontent.com"}}}"#,
    ),
    ("attributeMapping", r#""attributeMapping": {"google.subject": "assertion.sub"}"#),
    ("attributeCondition", r#""attributeCondition": "assertion.repository_owner == 'octo'""#),
    (
        "externalAccounts",
        r#""externalAccounts": {"job": {"provider": "projects/1/locations/global/workloadIdentityPools/ci/providers/github"}}"#,
    ),
    ("grantPropagation", r#""grantPropagation": "120s""#),
    ("ambiguities", r#""ambiguities": {"middleHop": "action"}"#),
    ("bindings", r#""bindings": [{"role": "roles/viewer", "members": ["user:alice@example.com"]}]"#),
];

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::emulator::iam::policy::Policy;

    #[test]
    fn the_examples_are_valid() {
        for (name, example) in EXAMPLES {
            let document: Value = serde_json::from_str(&format!("{{{example}}}")).expect(example);
            assert!(document.get(name).is_some(), "{example}");
        }
        for part in ["projects", "serviceAccounts", "users", "groups", "roles", "tokens", "identityPools"] {
            let (_, example) = EXAMPLES.iter().find(|(name, _)| *name == part).unwrap();
            Policy::from_json(&format!("{{{example}}}")).expect(example);
        }
    }
}
