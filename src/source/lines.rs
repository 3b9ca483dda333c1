//! The lines of an explanation.

use std::fmt;

use crate::printable::Printable;

/// Writes a line `name: value`, if there is a value.
pub(super) fn line(f: &mut fmt::Formatter<'_>, name: &str, value: Option<impl fmt::Display>) -> fmt::Result {
    match value {
        Some(value) => write!(f, "\n{name}: {}", Printable(value)),
        None => Ok(()),
    }
}

pub(super) fn joined(items: &[String]) -> Option<String> {
    (!items.is_empty()).then(|| items.join(", "))
}
