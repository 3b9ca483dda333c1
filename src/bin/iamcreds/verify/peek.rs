//! What a token says before anything is verified. It decides nothing but the words of advice.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// How a person asks Google about an access token. The token isn't an argument of a program.
const TOKENINFO: &str =
    "printf 'access_token=%s' \"$TOKEN\" | curl -sS -d @- https://oauth2.googleapis.com/tokeninfo";

/// What a JWT says of itself, unverified.
#[derive(Debug, Default)]
pub(super) struct Peek {
    pub(super) key_id: String,
    pub(super) issuer: Option<String>,
}

impl Peek {
    /// Looks into a token.
    ///
    /// # Errors
    ///
    /// A usage error if it isn't a JWT, with what can be done with it.
    pub(super) fn into(token: &str) -> Result<Self, Failure> {
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, _signature] = &parts[..] else { return Err(not_a_jwt(token)) };
        let header = object(header).ok_or_else(|| not_a_jwt(token))?;
        let text = |object: &Map<String, Value>, name: &str| object.get(name)?.as_str().map(str::to_owned);
        Ok(Self {
            key_id: text(&header, "kid").unwrap_or_default(),
            issuer: object(claims).and_then(|claims| text(&claims, "iss")),
        })
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// Says what can be done with a token that isn't a JWT. Never shows it.
fn not_a_jwt(token: &str) -> Failure {
    let (what, fix) = if token.is_empty() {
        ("no token", "pass it as an argument, or on standard input with -".to_owned())
    } else if token.starts_with("ya29.") {
        (
            "an access token is opaque: nothing in it can be verified, and only Google knows whose it is",
            format!("ask Google: {TOKENINFO}"),
        )
    } else if token.starts_with("1//") {
        ("this looks like a refresh token, which is a secret of a login and can't be verified", String::new())
    } else {
        ("not a JWT: expected three parts in base64url with dots between them", String::new())
    };
    match fix.is_empty() {
        true => Failure::usage(what),
        false => Failure::usage(what).fix_by(fix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(header: &str, claims: &str) -> String {
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.x", encode(header), encode(claims))
    }

    #[test]
    fn a_jwt_says_its_key_and_its_issuer() {
        let peek = Peek::into(&jwt(r#"{"kid":"k"}"#, r#"{"iss":"me"}"#)).unwrap();
        assert_eq!((peek.key_id.as_str(), peek.issuer.as_deref()), ("k", Some("me")));
        let peek = Peek::into(&jwt("{}", "[]")).unwrap();
        assert_eq!((peek.key_id.as_str(), peek.issuer), ("", None));
    }

    #[test]
    fn what_is_not_a_jwt_gets_a_clear_message_and_is_not_shown() {
        for (token, expected) in [
            ("", "no token"),
            ("ya29.secret", "opaque"),
            ("ya29.c.secret", "opaque"),
            ("1//secret", "refresh token"),
            ("secret", "three parts"),
            ("secret.secret.secret", "three parts"),
            ("a.b.c.d.e", "three parts"),
        ] {
            let text = Peek::into(token).unwrap_err().to_string();
            assert!(
                text.contains(expected) && !text.contains("secret.") && !text.contains("//secret"),
                "{text}"
            );
        }
    }
}
