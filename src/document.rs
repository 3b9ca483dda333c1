//! Documents in JSON: what is an object, and what is wrong with one.

mod mistake;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

pub(crate) use self::mistake::{Mistake, read};

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

/// For `#[serde(deserialize_with = …)]` on an object.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Object::deserialize(deserializer).map(|Object(value)| value)
}

/// For `#[serde(deserialize_with = …)]` on an object that may be `null`.
pub(crate) fn optional_object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(|object| object.map(|Object(value)| value))
}

/// For `#[serde(deserialize_with = …)]` on a list of objects.
pub(crate) fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Vec::deserialize(deserializer).map(|list| list.into_iter().map(|Object(value)| value).collect())
}

/// For `#[serde(deserialize_with = …)]` on objects that have names.
pub(crate) fn objects_by_name<'de, D, T>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let named = BTreeMap::deserialize(deserializer)?;
    Ok(named.into_iter().map(|(name, Object(value))| (name, value)).collect())
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
    let text = error.to_string().replace("invalid policy: ", "");
    let Some((value, expected)) =
        text.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "))
    else {
        return text;
    };
    let (expected, place) = match expected.split_once(" at line ") {
        Some((expected, place)) => (expected, format!(" at line {place}")),
        None => (expected, String::new()),
    };
    let expected = match expected {
        "a sequence" => "a list",
        "a map" => "an object",
        "u16" | "u32" | "u64" | "f64" => "a number",
        expected => expected,
    };
    let got = match value.split([' ', '`']).next().unwrap_or_default() {
        "sequence" => "a list",
        "map" => "an object",
        "integer" | "floating" => "a number",
        "boolean" => "a boolean",
        "string" => "a string",
        _ => "null",
    };
    format!("expected {expected}, got {got}{place}")
}
