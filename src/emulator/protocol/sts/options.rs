//! The options of a token exchange.

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;

use crate::emulator::error::{OauthError, shorten};
use crate::emulator::iam::federation::access_boundary::AccessBoundary;
use crate::emulator::iam::federation::names::{is_workforce, provider_in};

/// The longest options, in bytes.
const LONGEST: usize = 4096;

/// The longest project, in bytes.
const LONGEST_PROJECT: usize = 32;

/// What Google's API has as options.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Options {
    pub(super) access_boundary: Option<AccessBoundary>,
    user_project: Option<String>,
    /// Has no effect here.
    #[serde(rename = "audiences")]
    _audiences: Vec<String>,
    /// Has no effect here.
    #[serde(rename = "bindCertFingerprint")]
    _bind_cert_fingerprint: Option<Value>,
}

impl Options {
    /// Reads the text of a request for this audience. Clients percent-encode the JSON, or don't.
    pub(super) fn read(text: &str, audience: &str) -> Result<Self, OauthError> {
        let invalid =
            |problem: &str| OauthError::new("invalid_request", format!("Invalid options: {problem}"));
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.len() > LONGEST {
            return Err(invalid("they are too long."));
        }
        let mut decoded = text.to_owned();
        if !text.starts_with('{') {
            let spaced = text.replace('+', " ");
            let utf8 = percent_decode_str(&spaced).decode_utf8();
            decoded = utf8.map_err(|_| invalid("they aren't UTF-8."))?.into_owned();
        }
        // serde would accept a list as the fields in order.
        if !decoded.starts_with('{') {
            return Err(invalid("they aren't a JSON object."));
        }
        let options: Self = serde_json::from_str(&decoded)
            .map_err(|error| invalid(&format!("{}.", shorten(&error.to_string()))))?;
        if let Some(project) = &options.user_project {
            if !provider_in(audience).is_some_and(is_workforce) {
                return Err(invalid("only a workforce pool has a userProject."));
            }
            if project.is_empty() || project.len() > LONGEST_PROJECT {
                return Err(invalid("a userProject has 1 to 32 bytes."));
            }
        }
        options.access_boundary.as_ref().map_or(Ok(()), AccessBoundary::check)?;
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_once_and_twice_encoded() {
        let workforce = "//iam.googleapis.com/locations/global/workforcePools/staff/providers/okta";
        let workload =
            "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/providers/p";
        let rule = |rule: &str| format!(r#"{{"accessBoundary": {{"accessBoundaryRules": [{rule}]}}}}"#);
        let good = r#"{"availableResource": "//storage.googleapis.com/projects/_/buckets/b",
            "availablePermissions": ["inRole:roles/storage.objectViewer"],
            "availabilityCondition": {"title": "t", "expression": "true"}}"#;
        for (text, audience) in [
            ("", ""),
            ("{}", ""),
            (r#"{"userProject": "p"}"#, workforce),
            ("%7B%22userProject%22%3A%20%22p%22%7D", workforce),
            (&rule(good), ""),
            (&rule(&[good; 10].join(",")), ""),
        ] {
            assert!(Options::read(text, audience).is_ok(), "{text}");
        }
        for (text, audience) in [
            ("[]", ""),
            ("%ff", ""),
            (r#"{"unknown": 1}"#, ""),
            (r#"{"userProject": "p"}"#, workload),
            (r#"{"userProject": ""}"#, workforce),
            (&format!(r#"{{"userProject": "{}"}}"#, "p".repeat(33)), workforce),
            (&rule(""), ""),
            (&rule(&[good; 11].join(",")), ""),
            (&rule(r#"{"availableResource": "b", "availablePermissions": ["inRole:roles/viewer"]}"#), ""),
            (&rule(r#"{"availableResource": "//b", "availablePermissions": []}"#), ""),
            (&rule(r#"{"availableResource": "//b", "availablePermissions": ["storage.objects.get"]}"#), ""),
            (&" ".repeat(LONGEST + 1), ""),
        ] {
            let error = Options::read(text, audience).expect_err(text);
            assert_eq!(error.error, "invalid_request", "{text}");
        }
    }
}
