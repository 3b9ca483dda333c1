//! How a subject token is written in a file or a reply.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::SubjectToken;

/// The most bytes that a file, a reply or an output may have. Tokens are far shorter.
pub(crate) const MAX_SIZE: usize = 128 << 10;

/// How a subject token is written.
#[derive(Debug)]
pub(crate) enum TokenFormat {
    /// The text is the token.
    Text,
    /// The token is in this field of a JSON object.
    Json { field: Box<str> },
}

impl TokenFormat {
    /// Takes the token out of `content`. The error says what is wrong, without any of the content.
    pub(crate) fn read(&self, content: &[u8]) -> Result<SubjectToken, String> {
        if content.len() > MAX_SIZE {
            return Err(format!("has more than {MAX_SIZE} bytes"));
        }
        match self {
            Self::Text => read_text(content),
            Self::Json { field } => read_json(content, field),
        }
    }
}

fn read_text(content: &[u8]) -> Result<SubjectToken, String> {
    let text = std::str::from_utf8(content).map_err(|_| "is not text in UTF-8".to_owned())?;
    let token = SubjectToken::new(text).ok_or("is empty: there is no subject token")?;
    if is_html(token.secret()) {
        return Err("is a page of HTML".to_owned());
    }
    match token.secret().chars().all(|character| !character.is_control() || character.is_ascii_whitespace()) {
        true => Ok(token),
        false => Err("contains control characters".to_owned()),
    }
}

fn read_json(content: &[u8], field: &str) -> Result<SubjectToken, String> {
    if content.trim_ascii().is_empty() {
        return Err("is empty: there is no subject token".to_owned());
    }
    let mut json = serde_json::Deserializer::from_slice(content);
    let value = FieldOfObject(field).deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    match value {
        Ok(Some(text)) => SubjectToken::new(&text)
            .ok_or_else(|| format!("has no subject token: its field {field:?} is empty")),
        Ok(None) => Err(format!("has no field {field:?}")),
        Err(_) if std::str::from_utf8(content).is_ok_and(is_html) => Err("is a page of HTML".to_owned()),
        Err(error) if error.is_data() => {
            Err(format!("is not a JSON object with exactly one field {field:?} that is a string"))
        }
        // The text of the error may contain a part of the content, so only the position is shown.
        Err(error) => Err(format!("is not JSON: error at line {}, column {}", error.line(), error.column())),
    }
}

/// Whether this is a page for people. A SAML assertion starts with `<` too.
fn is_html(text: &str) -> bool {
    let text = text.trim_start().as_bytes();
    let starts_with =
        |start: &[u8]| text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start));
    starts_with(b"<!doctype html") || starts_with(b"<html")
}

/// Reads the string in one field of an object. A second field of that name is an error.
struct FieldOfObject<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for FieldOfObject<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FieldOfObject<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<String>()? {
            if name != self.0 {
                map.next_value::<IgnoredAny>()?;
            } else if found.replace(map.next_value()?).is_some() {
                return Err(A::Error::custom("the field is there twice"));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection;
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::Value;

    use super::*;

    fn json() -> TokenFormat {
        TokenFormat::Json { field: "value".into() }
    }

    /// conf: F1, F2
    #[test]
    fn a_token_is_text_or_one_field_of_an_object() {
        for (format, content) in [
            (TokenFormat::Text, "a.b.c\n"),
            (TokenFormat::Text, "<saml2:Assertion/>"),
            (json(), r#"{"value":"a.b.c"}"#),
            (json(), " {\"count\": 7, \"value\": \" a.b.c\\n\", \"more\": {\"value\": 1}} \n"),
            (json(), r#"{"other":"x","other":"y","val\u0075e":"a.b.c"}"#),
        ] {
            assert!(format.read(content.as_bytes()).is_ok(), "{content}");
        }
    }

    /// conf: F1, F2
    #[test]
    fn content_without_exactly_one_token_is_refused_and_not_shown() {
        let long = format!("hidden{}", " ".repeat(1 << 20));
        for (format, content, problem) in [
            (TokenFormat::Text, "", "is empty"),
            (TokenFormat::Text, " \r\n", "is empty"),
            (TokenFormat::Text, "<!DOCTYPE HTML><p>hidden", "HTML"),
            (TokenFormat::Text, "\n<html>hidden", "HTML"),
            (TokenFormat::Text, "hidden\0", "control characters"),
            (TokenFormat::Text, &long, "more than 131072 bytes"),
            (json(), "", "is empty"),
            (json(), "{}", "no field \"value\""),
            (json(), r#"{"Value":"hidden"}"#, "no field \"value\""),
            (json(), r#"{"value":""}"#, "is empty"),
            (json(), r#"{"value":null}"#, "exactly one field"),
            (json(), r#"{"value":["hidden"]}"#, "exactly one field"),
            (json(), r#"{"value":"hidden","value":"hidden"}"#, "exactly one field"),
            (json(), r#"["hidden"]"#, "exactly one field"),
            (json(), r#""hidden""#, "exactly one field"),
            (json(), r#"{"value":"hidd"#, "is not JSON: error at line 1"),
            (json(), r#"{"value":"hidden"} hidden"#, "is not JSON"),
            (json(), "hidden", "is not JSON"),
            (json(), "<html>hidden</html>", "HTML"),
            (json(), &format!("{{\"value\":\"{long}\"}}"), "more than 131072 bytes"),
            (json(), &"[".repeat(100_000), "exactly one field"),
        ] {
            let error = format.read(content.as_bytes()).unwrap_err();
            assert!(error.contains(problem), "{content:.60}: {error}");
            assert!(!error.contains("hid"), "{error}");
        }
        assert!(TokenFormat::Text.read(b"hidden\xff").unwrap_err().contains("UTF-8"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        /// conf: F1, F2
        #[test]
        fn a_token_is_what_another_reader_of_json_finds(pieces in collection::vec(select(PIECES), 0..12)) {
            let text = pieces.concat();
            let found: Option<Value> = serde_json::from_str(&text).ok();
            let value = found.as_ref().and_then(|json| json.as_object()?.get("value")?.as_str());
            match json().read(text.as_bytes()) {
                Ok(token) => prop_assert_eq!(Some(token.secret()), value.map(str::trim_ascii), "{}", text),
                Err(error) => {
                    prop_assert!(!error.contains("hidden"), "{}: {}", text, error);
                    // The only text that just the other reader takes names the field twice.
                    let is_whole = value.is_some_and(|value| !value.trim_ascii().is_empty());
                    prop_assert!(!is_whole || text.matches("\"value\"").count() > 1, "{}: {}", text, error);
                }
            }
        }
    }

    const PIECES: &[&str] = &[
        "{",
        "}",
        "{",
        "}",
        "\"value\":",
        "\"hidden\"",
        "\"value\":\"hidden\"",
        ",",
        "\"other\":",
        "[",
        "]",
        " ",
        "7",
        "null",
        "\" \"",
    ];
}
