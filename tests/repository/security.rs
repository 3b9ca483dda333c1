//! The tests that SECURITY.md links to.

use crate::files::{read, root};

/// The parties of the threat model. Each has a section.
const PARTIES: [&str; 8] = [
    "A hostile credential file",
    "A hostile reply of IAM",
    "A hostile target server",
    "A hostile proxy",
    "A caller with a forged ID token",
    "A reader of logs",
    "Another process on loopback",
    "A web page in the same browser",
];

#[test]
fn each_promise_links_to_tests_that_exist() {
    let page = read("SECURITY.md");
    let promises = promises(&page);
    assert!(promises.len() >= 30, "only {} promises are read", promises.len());
    let mut problems = Vec::new();
    for promise in promises {
        let links = links(&promise);
        if links.is_empty() {
            problems.push(format!("no test: {promise}"));
        }
        let missing = links.iter().filter(|(test, file)| !has_test(file, test));
        problems.extend(missing.map(|(test, file)| format!("{file} has no `{test}`")));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn each_party_has_a_section_with_what_it_can_do_and_what_it_cannot() {
    let page = read("SECURITY.md");
    for party in PARTIES {
        let section = page.split("\n## ").find(|section| section.starts_with(party));
        let section = section.unwrap_or_else(|| panic!("no section {party:?}"));
        assert!(section.contains("\nIt can:\n") && section.contains("\nIt can't:\n"), "{party}");
    }
}

#[test]
fn promises_and_links_are_read() {
    let page = "text\n* one ([`a_b`](src/c.rs),\n  [`d`](tests/e.rs)).\n* two\n\ntext";
    let promises = promises(page);
    assert_eq!(promises, ["one ([`a_b`](src/c.rs), [`d`](tests/e.rs)).", "two"]);
    assert_eq!(links(&promises[0]), [("a_b", "src/c.rs"), ("d", "tests/e.rs")]);
    assert_eq!(links(&promises[1]), []);
}

/// The items of all lists, each in one line.
fn promises(page: &str) -> Vec<String> {
    let mut promises: Vec<String> = Vec::new();
    let mut in_item = false;
    for line in page.lines() {
        if let Some(start) = line.strip_prefix("* ") {
            promises.push(start.to_owned());
            in_item = true;
        } else if line.starts_with("  ") && in_item {
            let promise = promises.last_mut().expect("an item");
            promise.push(' ');
            promise.push_str(line.trim());
        } else {
            in_item = false;
        }
    }
    promises
}

/// The names in code and the files of all links of the form ``[`name`](file)``.
fn links(text: &str) -> Vec<(&str, &str)> {
    let starts = text.split("[`").skip(1);
    starts
        .filter_map(|rest| rest.split_once("`]("))
        .filter_map(|(name, rest)| Some((name, rest.split_once(')')?.0)))
        .collect()
}

fn has_test(file: &str, test: &str) -> bool {
    let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
    text.contains(&format!("fn {test}("))
}
