//! JSON objects without duplicate members.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

/// An object whose text names each member once. Otherwise two readers could see different values.
pub(super) struct JsonObject(pub(super) Map<String, Value>);

impl JsonObject {
    /// Returns `None` if the text isn't JSON, isn't an object, or has a duplicate member.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = JsonObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object without duplicate members")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<JsonObject, A::Error> {
                let mut object = Map::new();
                while let Some((name, value)) = members.next_entry::<String, Value>()? {
                    if object.insert(name, value).is_some() {
                        return Err(A::Error::custom("a duplicate member"));
                    }
                }
                Ok(JsonObject(object))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_occurs_twice_makes_an_object_unreadable() {
        assert_eq!(JsonObject::read(br#"{"a":1,"b":{"a":2}}"#).unwrap().0["a"], 1);
        for text in [r#"{"a":1,"a":1}"#, r#"{"aud":"x","\u0061ud":"y"}"#, "[]", "7", "", "{", "{}x"] {
            assert!(JsonObject::read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
