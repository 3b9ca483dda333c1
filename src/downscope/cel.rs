//! Conditions on the names of objects in Cloud Storage, in the Common Expression Language (CEL).

use std::fmt::Write;

/// Objects in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Objects {
    /// All objects in a folder.
    Folder(String),
    /// One object.
    Named(String),
    /// All objects whose names start with this, wherever it ends.
    StartingWith(String),
}

impl Objects {
    /// Returns the name of the option that chose them.
    pub(super) fn option(&self) -> &'static str {
        match self {
            Self::Folder(_) => "folder",
            Self::Named(_) => "object",
            Self::StartingWith(_) => "objects_starting_with",
        }
    }

    /// Returns what is wrong with their name.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let (Self::Folder(name) | Self::Named(name) | Self::StartingWith(name)) = self;
        match self {
            // Names may start with a slash, but then there is a folder without a name.
            Self::Folder(_) if name.trim_matches('/').is_empty() => Some("must be the name of a folder"),
            _ if name.is_empty() => Some("must not be empty: without it, the whole bucket is allowed"),
            _ if name.len() > 1024 => Some("must have at most 1024 bytes"),
            _ if name.contains(['\r', '\n']) => Some("must not contain a line end, as no object's name does"),
            _ => None,
        }
    }

    /// Returns the condition that is true for these objects in `bucket`, and for lists of them.
    pub(super) fn condition(&self, bucket: &str) -> String {
        let name = |object: &str| quoted(&format!("projects/_/buckets/{bucket}/objects/{object}"));
        match self {
            Self::Named(object) => format!("resource.name == {}", name(object)),
            Self::Folder(folder) if folder.ends_with('/') => starting_with(&name, folder),
            Self::Folder(folder) => starting_with(&name, &format!("{folder}/")),
            Self::StartingWith(prefix) => starting_with(&name, prefix),
        }
    }
}

/// A list has no object's name, but the prefix of the names that are listed.
fn starting_with(name: &impl Fn(&str) -> String, prefix: &str) -> String {
    format!(
        "resource.name.startsWith({}) || \
         api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith({})",
        name(prefix),
        quoted(prefix)
    )
}

/// Returns a string as a literal.
fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for character in text.chars() {
        match character {
            '\'' | '\\' => literal.extend(['\\', character]),
            control if control.is_control() => {
                // Writing to a string can't fail.
                let _ = write!(literal, "\\u{:04x}", u32::from(control));
            }
            other => literal.push(other),
        }
    }
    literal.push('\'');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith";

    /// conf: F13
    #[test]
    fn a_folder_ends_with_a_slash_so_it_matches_no_other_folder() {
        let expected = format!(
            "resource.name.startsWith('projects/_/buckets/b/objects/customer-1/') || {LIST}('customer-1/')"
        );
        for folder in ["customer-1", "customer-1/"] {
            assert_eq!(Objects::Folder(folder.into()).condition("b"), expected, "{folder}");
        }
        // This is a folder without a name, in the folder customer-1.
        let inner = Objects::Folder("customer-1//".into()).condition("b");
        assert_eq!(inner, expected.replace("customer-1/", "customer-1//"));
        let prefix = Objects::StartingWith("customer-1".into()).condition("b");
        assert_eq!(prefix, expected.replace("customer-1/", "customer-1"));
        let object = Objects::Named("a/b.txt".into()).condition("b");
        assert_eq!(object, "resource.name == 'projects/_/buckets/b/objects/a/b.txt'");
    }

    /// conf: F13
    #[test]
    fn a_name_cannot_end_its_literal() {
        for (name, literal) in [
            ("it's", r"'it\'s'"),
            (r"a\", r"'a\\'"),
            (r"\' || true || '", r"'\\\' || true || \''"),
            ("tab\there", r"'tab\u0009here'"),
            ("caf\u{e9} \u{1f980} \"x\"", "'caf\u{e9} \u{1f980} \"x\"'"),
            ("\u{85}", r"'\u0085'"),
        ] {
            assert_eq!(quoted(name), literal);
        }
    }

    /// conf: F13
    #[test]
    fn a_name_that_matches_everything_or_nothing_is_refused() {
        let long = "x".repeat(1025);
        for name in ["", "a\nb", "a\rb", &long] {
            for objects in [
                Objects::Folder(name.to_owned()),
                Objects::Named(name.to_owned()),
                Objects::StartingWith(name.to_owned()),
            ] {
                assert!(objects.problem().is_some(), "{objects:?}");
            }
        }
        for slashes in ["/", "//"] {
            assert!(Objects::Folder(slashes.into()).problem().is_some(), "{slashes}");
        }
    }
}
