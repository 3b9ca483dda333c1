//! The functions of the language, except those that are part of its grammar.

use serde_json::Value;

/// The longest text or list that a function may make, so that no expression takes all memory.
const LARGEST: usize = 64 * 1024;

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    StartsWith,
    EndsWith,
    Contains,
    Extract,
    Split,
    Join,
    Replace,
    LowerAscii,
    UpperAscii,
    Size,
    ToText,
    /// Reads a time. Times are texts here, in a form that sorts by time.
    Timestamp,
}

/// The functions that are called on a value, with the number of further arguments.
const METHODS: [(&str, Function, usize); 10] = [
    ("startsWith", Function::StartsWith, 1),
    ("endsWith", Function::EndsWith, 1),
    ("contains", Function::Contains, 1),
    ("extract", Function::Extract, 1),
    ("split", Function::Split, 1),
    ("join", Function::Join, 1),
    ("replace", Function::Replace, 2),
    ("lowerAscii", Function::LowerAscii, 0),
    ("upperAscii", Function::UpperAscii, 0),
    ("size", Function::Size, 0),
];

/// The functions that are called with their argument.
const GLOBALS: [(&str, Function, usize); 3] =
    [("size", Function::Size, 1), ("string", Function::ToText, 1), ("timestamp", Function::Timestamp, 1)];

impl Function {
    /// Returns the function that is called on a value, with this number of further arguments.
    pub(super) fn method(name: &str, arguments: usize) -> Result<Self, String> {
        Self::find(&METHODS, name, arguments)
    }

    /// Returns the function that isn't called on a value, with this number of arguments.
    pub(super) fn global(name: &str, arguments: usize) -> Result<Self, String> {
        Self::find(&GLOBALS, name, arguments)
    }

    fn find(table: &[(&str, Self, usize)], name: &str, arguments: usize) -> Result<Self, String> {
        match table.iter().find(|(known, ..)| *known == name) {
            Some((_, function, expected)) if *expected == arguments => Ok(*function),
            Some((_, _, expected)) => Err(format!("{name}: expected {expected} arguments, got {arguments}")),
            None => {
                let known: Vec<_> = METHODS.iter().chain(&GLOBALS).map(|(name, ..)| *name).collect();
                let known = known.join(", ");
                Err(format!("unknown function {name}; known are {known}, has, exists and all"))
            }
        }
    }

    pub(super) fn apply(self, arguments: &[Value]) -> Result<Value, String> {
        match (self, arguments) {
            (Self::StartsWith, [Value::String(text), Value::String(start)]) => {
                Ok(text.starts_with(start.as_str()).into())
            }
            (Self::EndsWith, [Value::String(text), Value::String(end)]) => {
                Ok(text.ends_with(end.as_str()).into())
            }
            (Self::Contains, [Value::String(text), Value::String(part)]) => {
                Ok(text.contains(part.as_str()).into())
            }
            (Self::Extract, [Value::String(text), Value::String(template)]) => {
                extract(text, template).map(Value::from)
            }
            (Self::Split, [Value::String(text), Value::String(separator)]) => {
                let parts: Vec<_> = text.split(separator.as_str()).map(Value::from).take(LARGEST).collect();
                Ok(parts.into())
            }
            (Self::Join, [Value::Array(list), Value::String(separator)]) => join(list, separator),
            (Self::Replace, [Value::String(text), Value::String(old), Value::String(new)]) => {
                replace(text, old, new)
            }
            (Self::LowerAscii, [Value::String(text)]) => Ok(text.to_ascii_lowercase().into()),
            (Self::UpperAscii, [Value::String(text)]) => Ok(text.to_ascii_uppercase().into()),
            (Self::Size, [Value::String(text)]) => Ok(text.chars().count().into()),
            (Self::Size, [Value::Array(list)]) => Ok(list.len().into()),
            (Self::Size, [Value::Object(map)]) => Ok(map.len().into()),
            (Self::ToText, [Value::String(text)]) => Ok(text.clone().into()),
            (Self::ToText, [value @ (Value::Bool(_) | Value::Number(_))]) => Ok(value.to_string().into()),
            (Self::Timestamp, [Value::String(text)]) => {
                let time: prost_types::Timestamp = text
                    .parse()
                    .map_err(|_| format!("{text:?} isn't a time such as 2030-01-01T00:00:00Z"))?;
                Ok(prost_types::Timestamp { nanos: 0, ..time }.to_string().into())
            }
            _ => Err(format!("{self:?}: an argument has the wrong type")),
        }
    }
}

/// Returns the part of `text` at the place of the name in a template such as `role/{name}/`. It is empty if
/// the template doesn't match.
fn extract(text: &str, template: &str) -> Result<String, String> {
    let parts = template.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    let (before, (_, after)) = parts.ok_or("extract: a template contains one {name}")?;
    let start = text.find(before).map(|index| index + before.len());
    let rest = start.map_or("", |start| &text[start..]);
    let end = if after.is_empty() { Some(rest.len()) } else { rest.find(after) };
    Ok(end.map_or("", |end| &rest[..end]).to_owned())
}

fn join(list: &[Value], separator: &str) -> Result<Value, String> {
    let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
    let texts = texts.ok_or("join: expected a list of strings")?;
    bounded(texts.iter().map(|text| text.len() + separator.len()).sum())?;
    Ok(texts.join(separator).into())
}

fn replace(text: &str, old: &str, new: &str) -> Result<Value, String> {
    bounded(text.len() + text.matches(old).count().saturating_mul(new.len()))?;
    Ok(text.replace(old, new).into())
}

/// Refuses results that are too large.
pub(super) fn bounded(size: usize) -> Result<(), String> {
    if size <= LARGEST { Ok(()) } else { Err("a value of the expression is too large".to_owned()) }
}
