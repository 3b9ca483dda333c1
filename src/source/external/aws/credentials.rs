//! Credentials of AWS, with which requests are signed.

use std::fmt;

use serde::Deserialize;

/// An access key, and the token that belongs to it if it is temporary.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AwsCredentials {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    #[serde(rename = "Token")]
    pub(super) session_token: Option<String>,
}

impl AwsCredentials {
    /// Returns the credentials in the environment, if both parts of the key are there.
    pub(super) fn in_variables(variables: fn(&str) -> Option<String>) -> Option<Self> {
        Some(Self {
            access_key_id: variables("AWS_ACCESS_KEY_ID")?,
            secret_access_key: variables("AWS_SECRET_ACCESS_KEY")?,
            session_token: variables("AWS_SESSION_TOKEN"),
        })
    }

    /// Reads the reply of the metadata server. Returns `None` if it has no credentials.
    pub(super) fn from_json(reply: &[u8]) -> Option<Self> {
        let credentials: Self = serde_json::from_slice(reply).ok()?;
        let is_complete = !credentials.access_key_id.is_empty() && !credentials.secret_access_key.is_empty();
        is_complete.then_some(credentials)
    }
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCredentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: F4
    #[test]
    fn the_environment_must_have_both_parts_of_the_key() {
        let all = AwsCredentials::in_variables(|name| Some(format!("hidden {name}"))).unwrap();
        assert_eq!(all.session_token.as_deref(), Some("hidden AWS_SESSION_TOKEN"));
        assert!(!format!("{all:?}").contains("hidden AWS_S"), "{all:?}");
        let permanent =
            AwsCredentials::in_variables(|name| (name != "AWS_SESSION_TOKEN").then(|| name.to_owned()));
        assert_eq!(permanent.unwrap().session_token, None);
        for missing in [
            (|name: &str| (name != "AWS_ACCESS_KEY_ID").then(String::new)) as fn(&str) -> Option<String>,
            |name| (name != "AWS_SECRET_ACCESS_KEY").then(String::new),
        ] {
            assert!(AwsCredentials::in_variables(missing).is_none());
        }
    }

    /// conf: F4
    #[test]
    fn a_reply_without_a_whole_key_has_no_credentials() {
        let whole = br#"{"Code":"Success","AccessKeyId":"A","SecretAccessKey":"S","Token":"T"}"#;
        assert_eq!(AwsCredentials::from_json(whole).unwrap().session_token.as_deref(), Some("T"));
        for bad in [
            &b""[..],
            b"<html>",
            b"{}",
            br#"{"AccessKeyId":"A"}"#,
            br#"{"AccessKeyId":"A","SecretAccessKey":""}"#,
            br#"{"AccessKeyId":"A","SecretAccessKey":7}"#,
            br#"{"AccessKeyId":"A","AccessKeyId":"B","SecretAccessKey":"S"}"#,
            br#"{"AccessKeyId":"A","SecretAccessKey":"S""#,
        ] {
            assert!(AwsCredentials::from_json(bad).is_none(), "{bad:?}");
        }
    }
}
