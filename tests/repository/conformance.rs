//! The ids that tests name in their doc comments, against the rows of `docs/conformance.md`.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::{read, root, rust_files, shown};

/// What starts the list of ids in a test's doc comment.
const MARK: &str = "/// conf: ";

#[test]
fn every_id_that_a_test_names_has_a_row() {
    let rows = rows(&read("docs/conformance.md"));
    let unknown: Vec<String> = named_ids()
        .into_iter()
        .filter(|(id, _)| !rows.contains(id))
        .map(|(id, file)| format!("{id} in {file}"))
        .collect();
    assert!(unknown.is_empty(), "not in docs/conformance.md:\n{}", unknown.join("\n"));
}

#[test]
fn every_row_is_named_by_a_test() {
    // A package of the crate doesn't contain the tests with other crates.
    if !root().join("examples/integrations").exists() {
        return;
    }
    let named = named_ids();
    let untested: Vec<String> =
        rows(&read("docs/conformance.md")).into_iter().filter(|id| !named.contains_key(id)).collect();
    assert!(untested.is_empty(), "no test names {}", untested.join(", "));
}

#[test]
fn rows_and_ids_are_read() {
    assert_eq!(rows("- **P1** One.\n  more\n- **M22** Two.\n"), ["M22", "P1"].map(str::to_owned).into());
    assert_eq!(ids("    /// conf: P17, G19\n    #[test]\n"), ["P17", "G19"]);
}

/// The rows of a page: lines that start with `- **ID** `.
fn rows(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter_map(|line| line.strip_prefix("- **"))
        .filter_map(|line| line.split_once("** "))
        .map(|(id, _)| id.to_owned())
        .collect()
}

/// The ids that tests name, each with one file that names it.
fn named_ids() -> BTreeMap<String, String> {
    let files = ["src", "tests", "examples"].map(|folder| rust_files(&root().join(folder)));
    let files = files.into_iter().flatten().filter(|file| !file.starts_with(root().join("tests/repository")));
    files
        .flat_map(|file| {
            let name = shown(&file);
            ids(&read(&name)).into_iter().map(move |id| (id, name.clone())).collect::<Vec<_>>()
        })
        .collect()
}

fn ids(text: &str) -> Vec<String> {
    let lists = text.lines().filter_map(|line| line.trim_start().strip_prefix(MARK));
    lists.flat_map(|list| list.split(',')).map(|id| id.trim().to_owned()).collect()
}
