//! The paths that pages name.

use crate::files::{files, read, root, shown};

/// The pages in the repository's root. CHANGELOG.md also names what is no more.
const PAGES: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"];

/// The folders whose files pages name from the repository's root.
const FOLDERS: [&str; 10] =
    ["src/", "tests/", "benches/", "examples/", "docs/", "ci/", ".ci/", "fuzz/", "proto/", "build.rs"];

#[test]
fn every_path_on_a_page_exists() {
    let folders = ["docs", "tests"].map(|folder| files(&root().join(folder), "md"));
    let pages = folders.iter().flatten().map(|page| shown(page)).chain(PAGES.map(str::to_owned));
    let missing: Vec<String> = pages
        .flat_map(|page| paths(&read(&page)).into_iter().map(move |path| (page.clone(), path)))
        .filter(|(_, path)| !root().join(path).exists())
        .map(|(page, path)| format!("{page}: {path}"))
        .collect();
    assert!(missing.is_empty(), "these paths don't exist:\n{}", missing.join("\n"));
}

#[test]
fn paths_are_read_from_code_and_links() {
    let page =
        "`src/a.rs` and `src/{b,c}/d.rs`, [e](docs/e.md#part), `src/NAME.rs`, `cargo run`, `tests/f*.rs`";
    assert_eq!(paths(page), ["src/a.rs", "src/b/d.rs", "src/c/d.rs", "docs/e.md"]);
}

/// The paths in code spans and links, without patterns.
fn paths(page: &str) -> Vec<String> {
    // A package of the crate doesn't contain all of them.
    let folders = FOLDERS.iter().filter(|folder| root().join(folder).exists());
    let folders: Vec<&str> = folders.copied().collect();
    let pieces = page.split(['`', '(', ')', '#']);
    let paths = pieces.filter(|piece| folders.iter().any(|folder| piece.starts_with(folder)));
    paths
        .filter(|path| !path.contains(['*', ' ', '<', '…']) && !path.contains("NAME"))
        .flat_map(expanded)
        .collect()
}

/// A path for each of the alternatives in its braces.
fn expanded(path: &str) -> Vec<String> {
    match path.split_once('{').and_then(|(start, rest)| Some((start, rest.split_once('}')?))) {
        None => vec![path.to_owned()],
        Some((start, (names, end))) => {
            names.split(',').flat_map(|name| expanded(&format!("{start}{name}{end}"))).collect()
        }
    }
}
