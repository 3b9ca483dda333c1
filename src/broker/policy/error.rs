//! The error of an invalid policy.

use std::fmt;

use crate::document::Mistake;

/// The fields of a policy, each with an example.
const EXAMPLES: [(&str, &str); 13] = [
    ("peers", r#""peers": [{"principal": "spiffe://example.org/ns/mesh/sa/gateway"}, {"uid": 101}]"#),
    ("targetHeader", r#""targetHeader": "x-act-as""#),
    (
        "grants",
        r#""grants": [{"callers": [{"uid": 1000}], "targets": ["shop@my-project.iam.gserviceaccount.com"], "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}]"#,
    ),
    ("callers", r#""callers": [{"principal": "spiffe://example.org/ns/shop/sa/web"}, {"uid": 1000}]"#),
    ("principal", r#""principal": "spiffe://example.org/ns/shop/*""#),
    ("source", r#""source": "10.0.0.0/8""#),
    ("uid", r#""uid": 1000"#),
    ("anyone", r#""anyone": true"#),
    ("targets", r#""targets": ["customer-*@my-project.iam.gserviceaccount.com"]"#),
    ("scopes", r#""scopes": ["https://www.googleapis.com/auth/cloud-platform"]"#),
    ("audiences", r#""audiences": ["https://*.run.app"]"#),
    ("lifetime", r#""lifetime": "1800s""#),
    ("delegates", r#""delegates": ["hop@my-project.iam.gserviceaccount.com"]"#),
];

/// Why a policy is invalid, and at which place.
///
/// Its text also has an example of what is expected there.
///
/// ```
/// use gcp_iam_credentials::broker::Policy;
///
/// let error = Policy::from_json(r#"{"grants": [{"callers": [], "targets": []}]}"#).unwrap_err();
/// assert_eq!(error.path(), "grants[0].callers");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError(Mistake);

impl PolicyError {
    /// Returns the place in the document: `grants[0].callers`. It is empty if the document as a whole is
    /// invalid.
    pub fn path(&self) -> &str {
        self.0.path()
    }
}

impl From<Mistake> for PolicyError {
    fn from(mistake: Mistake) -> Self {
        Self(mistake)
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, "policy", &EXAMPLES)
    }
}

impl std::error::Error for PolicyError {}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::broker::Policy;

    /// Returns a policy in which this is a field.
    fn policy_with(name: &str, field: &str) -> String {
        match name {
            "peers" | "targetHeader" | "grants" => format!("{{{field}}}"),
            "principal" | "source" | "uid" | "anyone" => {
                grant_with("callers", &format!("\"callers\": [{{{field}}}]"))
            }
            _ => grant_with(name, field),
        }
    }

    fn grant_with(name: &str, field: &str) -> String {
        let own = [
            ("callers", r#""callers": [{"uid": 1}]"#),
            ("targets", r#""targets": ["a@b.c"]"#),
            ("scopes", r#""scopes": ["email"]"#),
        ];
        let others: Vec<_> = own.iter().filter(|(own, _)| *own != name).map(|(_, field)| *field).collect();
        format!("{{\"grants\": [{{{}, {field}}}]}}", others.join(", "))
    }

    /// conf: Y1
    #[test]
    fn the_examples_in_errors_are_valid() {
        for (name, example) in EXAMPLES {
            let document: Value = serde_json::from_str(&format!("{{{example}}}")).expect(example);
            assert!(document.get(name).is_some(), "{example}");
            Policy::from_json(&policy_with(name, example)).expect(example);
        }
    }
}
