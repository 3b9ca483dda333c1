//! The guide: its pages are in the module, and each begins with what the reader will have at its end.

use crate::files::{files, read, root, shown};

/// The pages of the guide, as paths from the repository's root.
fn pages() -> Vec<String> {
    let pages: Vec<String> = files(&root().join("docs/guide"), "md").iter().map(|page| shown(page)).collect();
    assert!(!pages.is_empty(), "no page in docs/guide");
    pages
}

#[test]
fn each_page_is_in_the_module_and_linked_from_the_readme() {
    let (module, readme) = (read("src/guide.rs"), read("README.md"));
    for page in pages() {
        assert!(module.contains(&format!("\"../{page}\"")), "src/guide.rs has no module for {page}");
        assert!(readme.contains(&format!("({page})")), "README.md doesn't link {page}");
    }
}

#[test]
fn each_page_begins_with_what_it_is_for() {
    let wrong: Vec<String> =
        pages().into_iter().filter(|page| !read(page).starts_with("At the end of this page, ")).collect();
    assert!(wrong.is_empty(), "these pages begin in another way: {wrong:?}");
}

#[test]
fn the_module_lists_each_of_its_pages() {
    let module = read("src/guide.rs");
    let names: Vec<&str> = module.lines().filter_map(|line| line.strip_prefix("pub mod ")).collect();
    assert!(!names.is_empty());
    for name in names.iter().map(|name| name.trim_end_matches(" {}")) {
        assert!(
            module.contains(&format!("[`{name}`]")),
            "the page of the module `guide` doesn't list {name}"
        );
    }
}
