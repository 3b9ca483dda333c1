//! The arrows of ARCHITECTURE.md, against the `use` lines and paths of `src/`.

use crate::cycles::cycles;
use crate::files::{read, root};
use crate::rules::Rules;
use crate::tree::Tree;

/// The program: another crate, which can use only what this one makes public.
const PROGRAM: &str = "bin";

fn library() -> Tree {
    Tree::read(&root().join("src/lib.rs"), &root().join("src"), PROGRAM)
}

#[test]
fn modules_use_only_what_the_arrows_allow() {
    let rules = Rules::from_page(&read("ARCHITECTURE.md")).expect("rules in ARCHITECTURE.md");
    let breaches = rules.breaches(&library());
    assert!(breaches.is_empty(), "ARCHITECTURE.md doesn't allow this:\n{}", breaches.join("\n"));
}

#[test]
fn files_do_not_depend_on_each_other_in_a_circle() {
    let cycles: Vec<String> = cycles(&library().dependencies()).into_iter().collect();
    assert!(cycles.is_empty(), "circular dependencies:\n{}", cycles.join("\n"));
}
