//! What was verified, for people and for programs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::keys::Keys;
use crate::output::{Format, json_text, rfc3339};
use crate::terminal::{Colors, printable};

/// A signature that is valid.
#[derive(Debug)]
pub(super) struct Verdict {
    signed_by: String,
    /// The URL or the file of the keys.
    keys: String,
    key_id: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Token { claims: Map<String, Value>, audience_checked: bool },
    Blob { file: String },
}

impl Verdict {
    pub(super) fn of_token(
        keys: &Keys,
        key_id: String,
        claims: Map<String, Value>,
        audience_checked: bool,
    ) -> Self {
        Self {
            signed_by: keys.owner(),
            keys: keys.place(),
            key_id,
            what: What::Token { claims, audience_checked },
        }
    }

    pub(super) fn of_blob(keys: &Keys, key_id: String, file: String) -> Self {
        Self { signed_by: keys.owner(), keys: keys.place(), key_id, what: What::Blob { file } }
    }

    pub(super) fn show(&self, format: Format) -> String {
        match format {
            Format::Text => self.text(Colors::of_stdout(), SystemTime::now()),
            Format::Json => json_text(&self.json(SystemTime::now())),
        }
    }

    fn text(&self, colors: Colors, now: SystemTime) -> String {
        let valid = colors.green("valid");
        let mut text = format!("{valid}: signed by {}\n", printable(&self.signed_by));
        text += &format!("keys: {}\nkey id: {}\n", printable(&self.keys), printable(&self.key_id));
        match &self.what {
            What::Blob { file } => text + &format!("file: {}\n", printable(file)),
            What::Token { claims, audience_checked } => {
                let checked =
                    if *audience_checked { "" } else { " (not checked: name yours with --audience)" };
                text += &format!("audience: {}{checked}\n", shown(claims.get("aud")));
                text += &match end(claims) {
                    Some(end) => format!("expires: {} ({})\n", rfc3339(end), left(end, now)),
                    None => "expires: never, as far as it says\n".to_owned(),
                };
                text + "claims: " + &json_text(&Value::Object(claims.clone()))
            }
        }
    }

    fn json(&self, now: SystemTime) -> Value {
        let mut object = json!({
            "valid": true,
            "signed_by": self.signed_by,
            "keys": self.keys,
            "key_id": self.key_id,
        });
        match &self.what {
            What::Blob { file } => object["file"] = file.as_str().into(),
            What::Token { claims, audience_checked } => {
                object["audience_checked"] = (*audience_checked).into();
                let end = end(claims);
                object["expires_at"] = end.map(rfc3339).into();
                let left = end.map(|end| end.duration_since(now).unwrap_or_default().as_secs());
                object["expires_in"] = left.into();
                object["claims"] = Value::Object(claims.clone());
            }
        }
        object
    }
}

/// Returns the end of the token.
fn end(claims: &Map<String, Value>) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(claims.get("exp")?.as_u64()?))
}

/// Returns how long the token still lives. Clocks may differ a little, so it may have ended just now.
fn left(end: SystemTime, now: SystemTime) -> String {
    match end.duration_since(now) {
        Ok(left) => format!("in {} min {} s", left.as_secs() / 60, left.as_secs() % 60),
        Err(past) => format!("{} s ago, which clocks that differ may explain", past.duration().as_secs()),
    }
}

fn shown(claim: Option<&Value>) -> String {
    match claim {
        None => "none".to_owned(),
        Some(Value::String(text)) => printable(text),
        Some(other) => printable(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(claims: Value, audience_checked: bool) -> Verdict {
        let Value::Object(claims) = claims else { panic!("no object") };
        Verdict {
            signed_by: "Google".to_owned(),
            keys: "https://keys".to_owned(),
            key_id: "k".to_owned(),
            what: What::Token { claims, audience_checked },
        }
    }

    #[test]
    fn a_verdict_says_who_signed_for_whom_how_long_and_what() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let text = verdict(json!({"aud": "me", "exp": 1061}), false).text(Colors::none(), now);
        let expected = "valid: signed by Google\nkeys: https://keys\nkey id: k\n\
                        audience: me (not checked: name yours with --audience)\n\
                        expires: 1970-01-01T00:17:41Z (in 1 min 1 s)\nclaims: {\n  \"aud\": \"me\",\n  \"exp\": 1061\n}\n";
        assert_eq!(text, expected);
        let text = verdict(json!({"aud": ["a", "b"], "exp": 990}), true).text(Colors::none(), now);
        assert!(text.contains("audience: [\"a\",\"b\"]\n") && text.contains("(10 s ago, "), "{text}");
        let text = verdict(json!({}), true).text(Colors::none(), now);
        assert!(text.contains("audience: none\nexpires: never, as far as it says\n"), "{text}");
        for end in [253_402_300_800, i64::MAX as u64 / 1024, i64::MAX as u64, u64::MAX] {
            let value = verdict(json!({ "exp": end }), true).json(now);
            assert_eq!(value["claims"]["exp"], end, "{value}");
            verdict(json!({ "exp": end }), true).text(Colors::none(), now);
        }
    }
}
