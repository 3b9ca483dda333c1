//! The length of files. Clippy checks the length of functions (`too_many_lines`).

use crate::files::{root, rust_files, shown};

/// A file that is longer is about more than one thing.
const MOST_LINES: usize = 450;

#[test]
fn no_file_is_too_long() {
    let files = ["src", "tests", "benches", "examples"].map(|folder| rust_files(&root().join(folder)));
    let lines = |file: &std::path::PathBuf| std::fs::read_to_string(file).expect("UTF-8").lines().count();
    let long: Vec<String> = files
        .iter()
        .flatten()
        .map(|file| (lines(file), file))
        .filter(|(lines, _)| *lines > MOST_LINES)
        .map(|(lines, file)| format!("{} has {lines} lines", shown(file)))
        .collect();
    assert!(long.is_empty(), "at most {MOST_LINES} lines:\n{}", long.join("\n"));
}
