//! The tables of crates in ARCHITECTURE.md, against Cargo.toml.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::read;

/// The tables by the line before them, and what they list.
const TABLES: [(&str, Kind); 4] = [
    ("Always:", Kind::Required),
    ("With a feature:", Kind::Optional),
    ("To build:", Kind::Build),
    ("In tests, benchmarks and examples:", Kind::Dev),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Required,
    Optional,
    Build,
    Dev,
}

#[test]
fn each_dependency_has_a_reason_and_each_reason_a_dependency() {
    let listed = listed(&read("ARCHITECTURE.md"));
    let used = used(&read("Cargo.toml"));
    assert!(
        used.len() == 4 && used.values().all(|crates| crates.len() >= 3),
        "Cargo.toml isn't read: {used:?}"
    );
    for (_, kind) in TABLES {
        let (listed, used) = (&listed[&kind], &used[&kind]);
        let missing: Vec<_> = used.difference(listed).collect();
        assert!(missing.is_empty(), "ARCHITECTURE.md has no reason for these ({kind:?}): {missing:?}");
        let gone: Vec<_> = listed.difference(used).collect();
        assert!(gone.is_empty(), "Cargo.toml doesn't have these ({kind:?}): {gone:?}");
    }
}

#[test]
fn tables_and_manifests_are_read() {
    let page = "x\nAlways:\n\n| Crate | Reason |\n|---|---|\n| a, b-c | x, y |\n\nWith a feature:\n\n| d | `f` | z |\n\n";
    let listed = listed(page);
    assert_eq!(listed[&Kind::Required], BTreeSet::from(["a".to_owned(), "b-c".to_owned()]));
    assert_eq!(listed[&Kind::Optional], BTreeSet::from(["d".to_owned()]));
    let manifest = "[dependencies]\n# a comment\na = \"1\"\nd = { version = \"1\", optional = true }\n[dev-dependencies]\ne = \"2\"\n";
    let used = used(manifest);
    assert_eq!(used[&Kind::Required], BTreeSet::from(["a".to_owned()]));
    assert_eq!(used[&Kind::Optional], BTreeSet::from(["d".to_owned()]));
    assert_eq!(used[&Kind::Dev], BTreeSet::from(["e".to_owned()]));
}

/// The crates in the first column of each table.
fn listed(page: &str) -> BTreeMap<Kind, BTreeSet<String>> {
    let table = |title: &str| {
        let rest = page.split_once(&format!("\n{title}\n")).map_or("", |(_, rest)| rest);
        let rows = rest.lines().skip_while(|line| line.is_empty()).take_while(|line| line.starts_with('|'));
        let rows = rows.filter(|row| !row.starts_with("| Crate") && !row.starts_with("|--"));
        rows.filter_map(|row| row.split('|').nth(1))
            .flat_map(|cell| cell.split(','))
            .map(|name| name.trim().to_owned())
            .collect()
    };
    TABLES.iter().map(|(title, kind)| (*kind, table(title))).collect()
}

/// The dependencies of a manifest. Each is one line of its section.
fn used(manifest: &str) -> BTreeMap<Kind, BTreeSet<String>> {
    let mut used: BTreeMap<Kind, BTreeSet<String>> = BTreeMap::new();
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let kind = match section {
            "[dependencies]" if line.contains("optional = true") => Kind::Optional,
            "[dependencies]" => Kind::Required,
            "[build-dependencies]" => Kind::Build,
            "[dev-dependencies]" => Kind::Dev,
            _ => continue,
        };
        if let Some((name, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            used.entry(kind).or_default().insert(name.to_owned());
        }
    }
    used
}
