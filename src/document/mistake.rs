//! What is wrong with a document, at which place, and what is right there.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use super::{Object, problem_of};

/// What is wrong with a document, and at which place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    path: String,
    problem: String,
}

impl Mistake {
    /// Returns a mistake at a place. The place is empty if the document as a whole is invalid.
    pub(crate) fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the same mistake, whose place is inside `outer`.
    pub(crate) fn inside(self, outer: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("{outer}{dot}{}", self.path), ..self }
    }

    /// Returns the same mistake at `path`.
    pub(crate) fn at(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// Writes what is wrong with `document`, and the example of the field at that place, or of the field
    /// that contains it.
    pub(crate) fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        document: &str,
        examples: &'static [(&str, &str)],
    ) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "invalid {document}: {}", self.problem)?,
            path => write!(f, "invalid {document} at {path}: {}", self.problem)?,
        }
        match example_at(&self.path, examples) {
            Some(example) => write!(f, "\nfix: write, for example, {example}"),
            None => Ok(()),
        }
    }
}

/// Reads a document that is an object. `is_map` says at which places the keys are names that a user chose.
pub(crate) fn read<T: DeserializeOwned>(text: &str, is_map: impl Fn(&str) -> bool) -> Result<T, Mistake> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let Object(document): Object<T> = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| Mistake::new(path_text(error.path(), is_map), problem_of(error.inner())))?;
    reader.end().map_err(|error| Mistake::new("", error.to_string()))?;
    Ok(document)
}

/// Returns the place of an error, with user-chosen names in brackets:
/// `serviceAccounts["sa@p.q"].disabled`.
fn path_text(path: &Path, is_map: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    let mut in_map = false;
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            Segment::Map { key } if in_map => text.push_str(&format!("[{key:?}]")),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                let dot = if text.is_empty() { "" } else { "." };
                text.push_str(&format!("{dot}{key}"));
            }
            Segment::Unknown => {}
        }
        in_map = is_map(&text);
    }
    text
}

/// Returns an example of what is at a place, or of the part that contains it.
fn example_at(path: &str, examples: &'static [(&str, &str)]) -> Option<&'static str> {
    let fields: Vec<_> = fields(path).collect();
    let example = |field: &&str| examples.iter().find(|(name, _)| name == field).map(|(_, example)| *example);
    fields.iter().rev().find_map(example)
}

/// Returns the names of the fields in a path, without what is in brackets: names that a user chose, and indexes.
fn fields(path: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    let mut depth = 0;
    let separates = move |letter: char| {
        match letter {
            '"' if !escaped => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => depth -= 1,
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
        depth > 0 || matches!(letter, '.' | ']')
    };
    path.split(separates).filter(|field| !field.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_consists_of_fields_and_of_what_is_in_brackets() {
        for (path, expected) in [
            ("", &[][..]),
            ("tokens[0].principal", &["tokens", "principal"]),
            (r#"serviceAccounts["sa@p.q"].grants[10].role"#, &["serviceAccounts", "grants", "role"]),
            (r#"groups["a\"].b[0]"][1]"#, &["groups"]),
        ] {
            assert_eq!(fields(path).collect::<Vec<_>>(), expected, "{path}");
        }
    }
}
