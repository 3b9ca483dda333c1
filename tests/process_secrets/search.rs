//! Finds secrets in text, also encoded ones.

use std::collections::HashMap;
use std::fmt::Write;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

/// The length of the parts that are searched for, and the distance between their starts. So each 19
/// bytes of a secret in a row are found, and its first 12.
const PART: usize = 12;
const STEP: usize = 8;

/// Searches for parts of secrets.
#[derive(Default)]
pub(crate) struct Searcher {
    /// What each part is of.
    parts: HashMap<[u8; PART], String>,
}

impl Searcher {
    pub(crate) fn add(&mut self, name: &str, secret: &[u8]) {
        for (form, text) in forms(secret) {
            assert!(text.len() >= PART, "{name} is too short to be found");
            for part in text.windows(PART).step_by(STEP) {
                let part = part.try_into().expect("a window of this length");
                self.parts.entry(part).or_insert_with(|| format!("{name} ({form})"));
            }
        }
    }

    /// Returns one line for each secret that is in `text`, with what is around it.
    pub(crate) fn findings(&self, text: &str, place: &str) -> Vec<String> {
        let mut found: Vec<(&str, String)> = Vec::new();
        for (at, part) in text.as_bytes().windows(PART).enumerate() {
            let Some(name) = self.parts.get(part) else { continue };
            if found.iter().all(|(known, _)| known != name) {
                let around = &text.as_bytes()[at.saturating_sub(200)..(at + 60).min(text.len())];
                found.push((name, format!("{place}: {name}: …{}…", around.escape_ascii())));
            }
        }
        found.into_iter().map(|(_, line)| line).collect()
    }
}

/// The forms in which a secret can be shown.
fn forms(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let list = |format: fn(&u8) -> String| secret.iter().map(format).collect::<Vec<_>>();
    let mut forms = vec![
        ("plain", secret.to_vec()),
        ("hex", list(|byte| format!("{byte:02x}")).concat().into_bytes()),
        ("upper-case hex", list(|byte| format!("{byte:02X}")).concat().into_bytes()),
        ("percent", list(|byte| format!("%{byte:02x}")).concat().into_bytes()),
        ("upper-case percent", list(|byte| format!("%{byte:02X}")).concat().into_bytes()),
        ("list of numbers", list(u8::to_string).join(", ").into_bytes()),
        ("escaped", secret.escape_ascii().to_string().into_bytes()),
        ("form", form_encoded(secret)),
    ];
    // In a longer text, base64 depends on where the secret starts: there are three alignments.
    for start in 0..3 {
        let whole = &secret[start..];
        let whole = &whole[..whole.len() / 3 * 3];
        forms.push(("base64", BASE64_STANDARD_NO_PAD.encode(whole).into_bytes()));
        forms.push(("base64url", BASE64_URL_SAFE_NO_PAD.encode(whole).into_bytes()));
    }
    forms
}

/// Percent-encodes what is reserved in a form or a URL, and nothing else.
fn form_encoded(secret: &[u8]) -> Vec<u8> {
    let mut text = String::new();
    for byte in secret {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(*byte))
            }
            _ => write!(text, "%{byte:02X}").expect("a string takes everything"),
        }
    }
    text.into_bytes()
}

#[test]
fn a_secret_is_found_in_every_form_and_in_parts() {
    const SECRET: &[u8] = b"1//0g~Kq7vTz-hR4/xW9+pLm2sYd8";
    let mut searcher = Searcher::default();
    searcher.add("token", SECRET);
    let hex = |upper: bool| {
        SECRET.iter().fold(String::new(), |text, byte| {
            if upper { format!("{text}{byte:02X}") } else { format!("{text}{byte:02x}") }
        })
    };
    let plain = str::from_utf8(SECRET).unwrap();
    let mut texts = vec![
        plain.to_owned(),
        plain[..12].to_owned(),
        plain[3..22].to_owned(),
        format!("{SECRET:?}"),
        format!("{SECRET:#?}").replace(['\n', ' '], "").replace(',', ", "),
        hex(false),
        hex(true),
        SECRET.iter().map(|byte| format!("%{byte:02x}")).collect(),
        percent_encoding::percent_encode(SECRET, percent_encoding::NON_ALPHANUMERIC).to_string(),
        serde_json::to_string(&[plain]).unwrap(),
    ];
    for before in ["", "a", "ab", "abc"] {
        let longer = [before.as_bytes(), SECRET, b"xyz"].concat();
        texts.push(base64::prelude::BASE64_STANDARD.encode(&longer));
        texts.push(base64::prelude::BASE64_URL_SAFE.encode(&longer));
    }
    for text in texts {
        let found = searcher.findings(&format!("before {text} after"), "here");
        assert!(!found.is_empty() && found[0].starts_with("here: token ("), "not found in {text}: {found:?}");
    }
}

#[test]
fn what_is_no_secret_is_not_found() {
    let mut searcher = Searcher::default();
    searcher.add("token", b"Kq7vTzhR4xW9pLm2sYd8");
    for text in ["", "Kq7vTzhR4xW", "no token", "4b7137", &BASE64_STANDARD_NO_PAD.encode(b"another text")] {
        assert_eq!(searcher.findings(text, "here"), Vec::<String>::new(), "{text}");
    }
}
