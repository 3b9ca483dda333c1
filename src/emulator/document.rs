//! Documents in JSON: what is an object, and what is wrong with one.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A value that is an object in a document.
///
/// serde accepts a list in its place, as the fields in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// Returns the message of serde_json's error, without the prefix of a nested error of a policy, and without a
/// value of the wrong type: it may be a token at the wrong place.
pub(crate) fn problem_of(error: &serde_json::Error) -> String {
    let problem = error.to_string().replace("invalid policy: ", "");
    match problem.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected ")) {
        Some((value, expected)) => {
            let kind = match value.split([' ', '`']).next().unwrap_or_default() {
                "sequence" => "list",
                "map" => "object",
                kind => kind,
            };
            let expected = expected.replacen("a sequence", "a list", 1).replacen("a map", "an object", 1);
            format!("expected {expected}, got a {kind}")
        }
        None => problem,
    }
}
