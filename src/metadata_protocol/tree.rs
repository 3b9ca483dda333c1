//! The tree of values.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::{Alt, Page, Query};

/// A value, or a folder of nodes.
#[derive(Debug)]
pub(crate) enum Node {
    Folder(Folder),
    Text(String),
    Number(u64),
    /// Text with one line per entry, unless JSON is requested.
    Lines(Vec<String>),
    /// JSON, unless text is requested.
    List(Vec<String>),
    Token,
    Identity,
    /// Nothing: a folder doesn't contain it.
    Absent,
}

#[derive(Debug)]
pub(crate) struct Folder {
    keys: Keys,
    entries: Vec<(String, Node)>,
}

/// What the names of a folder's entries become in JSON.
#[derive(Clone, Copy, Debug)]
enum Keys {
    /// Google's own names: `numeric-project-id` becomes `numericProjectId`.
    CamelCase,
    /// Names that a user chose: they don't change.
    Verbatim,
    /// Numbers from 0: the folder becomes a list.
    Indexes,
}

impl Node {
    /// Returns a folder of Google's own names.
    pub(super) fn folder<const N: usize>(entries: [(&str, Self); N]) -> Self {
        let known = entries.into_iter().filter(|(_, node)| !matches!(node, Self::Absent));
        let entries = known.map(|(name, node)| (name.to_owned(), node)).collect();
        Self::Folder(Folder { keys: Keys::CamelCase, entries })
    }

    /// Returns a folder of names that a user chose.
    pub(super) fn named(entries: impl IntoIterator<Item = (String, Self)>) -> Self {
        Self::Folder(Folder { keys: Keys::Verbatim, entries: entries.into_iter().collect() })
    }

    /// Returns a folder of numbered entries.
    pub(super) fn numbered(entries: impl IntoIterator<Item = Self>) -> Self {
        let entries = entries.into_iter().enumerate().map(|(index, node)| (index.to_string(), node));
        Self::Folder(Folder { keys: Keys::Indexes, entries: entries.collect() })
    }

    /// Returns the node at a path below this one: `""`, `/` or `/instance/id`, for example.
    pub(super) fn find(&self, path: &str) -> Option<&Self> {
        let Some(rest) = path.strip_prefix('/') else { return path.is_empty().then_some(self) };
        let Self::Folder(folder) = self else { return None };
        if rest.is_empty() {
            return Some(self);
        }
        let (name, _) = rest.split_once('/').unwrap_or((rest, ""));
        let (_, node) = folder.entries.iter().find(|(entry, _)| entry == canonical(name))?;
        node.find(&rest[name.len()..])
    }

    /// Returns the page of this node in the format that the query asks for.
    pub(super) fn page(&self, query: &Query) -> Page {
        let by_default = match self {
            Self::List(_) => Alt::Json,
            _ if query.recursive => Alt::Json,
            _ => Alt::Text,
        };
        match (query.alt.unwrap_or(by_default), self) {
            (Alt::Json, Self::Folder(folder)) if !query.recursive => Page::json(&folder.names().into()),
            (Alt::Json, node) => Page::json(&node.to_json()),
            (Alt::Text, Self::Folder(folder)) if !query.recursive => Page::text(lines(&folder.names())),
            (Alt::Text, Self::Folder(folder)) => Page::text(folder.to_text()),
            (Alt::Text, node) => Page::text(node.to_text()),
        }
    }

    /// Returns the value in JSON. Tokens have none: they are `null`.
    fn to_json(&self) -> Value {
        match self {
            Self::Folder(folder) => folder.to_json(),
            Self::Text(text) => text.as_str().into(),
            Self::Number(number) => (*number).into(),
            Self::Lines(list) | Self::List(list) => list.clone().into(),
            Self::Token | Self::Identity | Self::Absent => Value::Null,
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Lines(list) | Self::List(list) => lines(list),
            Self::Folder(_) | Self::Token | Self::Identity | Self::Absent => String::new(),
        }
    }

    fn is_token(&self) -> bool {
        matches!(self, Self::Token | Self::Identity)
    }
}

impl Folder {
    /// Returns the names of the entries. Those of folders end with a slash.
    fn names(&self) -> Vec<String> {
        let name = |(name, node): &(String, Node)| match node {
            Node::Folder(_) => format!("{name}/"),
            _ => name.clone(),
        };
        self.entries.iter().map(name).collect()
    }

    fn to_json(&self) -> Value {
        let entries = self.entries.iter().filter(|(_, node)| !node.is_token());
        match self.keys {
            Keys::Indexes => entries.map(|(_, node)| node.to_json()).collect(),
            Keys::Verbatim => {
                entries.map(|(name, node)| (name.clone(), node.to_json())).collect::<Map<_, _>>().into()
            }
            Keys::CamelCase => {
                entries.map(|(name, node)| (camel_case(name), node.to_json())).collect::<Map<_, _>>().into()
            }
        }
    }

    /// Returns one line for each line of each value below: its path and the line.
    fn to_text(&self) -> String {
        let mut text = String::new();
        self.write_text("", &mut text);
        text
    }

    fn write_text(&self, prefix: &str, text: &mut String) {
        for (name, node) in self.entries.iter().filter(|(_, node)| !node.is_token()) {
            if let Node::Folder(folder) = node {
                folder.write_text(&format!("{prefix}{name}/"), text);
            } else {
                for line in node.to_text().lines() {
                    // Writing to a `String` can't fail.
                    let _ = writeln!(text, "{prefix}{name} {line}");
                }
            }
        }
    }
}

/// Returns the name of an entry. Some libraries use the name of the universe's domain from before its release.
fn canonical(name: &str) -> &str {
    if name == "universe_domain" { "universe-domain" } else { name }
}

fn lines(list: &[String]) -> String {
    list.iter().map(|line| format!("{line}\n")).collect()
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('-');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let first = word.len().min(1);
        camel.push_str(&word[..first].to_ascii_uppercase());
        camel.push_str(&word[first..]);
    }
    camel
}
