//! What the documentation of public items must have: each type an example, and each function that returns a
//! `Result` a section about its errors.

use serde_json::Value;

/// The messages and the stub that are compiled from the protos. Their module has an example for all of them.
const GENERATED: &str = "gcp_iam_credentials::proto::";

/// What a code block may have after its backticks if it is Rust that is compiled.
const COMPILED: [&str; 5] = ["rust", "no_run", "should_panic", "edition2021", "edition2024"];

/// Returns what is missing at an item, if something is: `listed` is its line in the listing, and `item` its
/// entry in rustdoc's JSON.
pub fn missing(listed: &str, item: &Value) -> Option<String> {
    let words: Vec<&str> = listed.split(' ').collect();
    if words.iter().any(|word| word.starts_with(GENERATED)) {
        return None;
    }
    let docs = item["docs"].as_str().unwrap_or_default();
    let inner = &item["inner"];
    let is_type =
        ["struct", "enum", "union", "trait", "type_alias"].iter().any(|kind| !inner[kind].is_null());
    if is_type && !has_example(docs) {
        return Some(format!("no example: {listed}"));
    }
    // The functions of an implementation are documented by its trait.
    let is_own_function = item["visibility"] == "public" && returns_result(&inner["function"]);
    (is_own_function && !docs.lines().any(|line| line.trim() == "# Errors"))
        .then(|| format!("no section `# Errors`: {listed}"))
}

/// Whether there is a code block that is compiled.
fn has_example(docs: &str) -> bool {
    let mut is_inside = false;
    docs.lines().filter_map(|line| line.trim_start().strip_prefix("```")).any(|tags| {
        is_inside = !is_inside;
        is_inside && tags.split(',').map(str::trim).all(|tag| tag.is_empty() || COMPILED.contains(&tag))
    })
}

fn returns_result(function: &Value) -> bool {
    let path = function["sig"]["output"]["resolved_path"]["path"].as_str();
    path.is_some_and(|path| path.rsplit("::").next() == Some("Result"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::missing;

    const TYPE: &str = "pub struct gcp_iam_credentials::A";
    const FUNCTION: &str = "pub fn gcp_iam_credentials::A::f() -> core::result::Result<(), E>";

    fn function(docs: &str, returned: &str) -> serde_json::Value {
        let output = json!({ "resolved_path": { "path": returned } });
        let inner = json!({ "function": { "sig": { "output": output } } });
        json!({ "docs": docs, "inner": inner, "visibility": "public" })
    }

    #[test]
    fn a_type_needs_an_example() {
        for kind in ["struct", "enum", "union", "trait", "type_alias"] {
            let item = |docs: &str| json!({ "docs": docs, "inner": { kind: {} } });
            assert_eq!(missing(TYPE, &item("An A.")), Some(format!("no example: {TYPE}")));
            assert_eq!(missing(TYPE, &item("An A.\n\n```no_run\nf();\n```\n")), None);
        }
        let undocumented = json!({ "docs": null, "inner": { "struct": {} } });
        assert!(missing(TYPE, &undocumented).is_some());
    }

    #[test]
    fn only_code_that_is_compiled_is_an_example() {
        for (docs, is_example) in [
            ("```\nf();\n```", true),
            ("# Part\n\n  ```rust,should_panic\n  f();\n  ```", true),
            ("```text\nf\n```", false),
            ("```text\nf\n```\n\n```\ng();\n```", true),
            ("```ignore\nf();\n```", false),
            ("```compile_fail\nf();\n```", false),
            ("```rust,ignore\nf();\n```", false),
        ] {
            let item = json!({ "docs": docs, "inner": { "struct": {} } });
            assert_eq!(missing(TYPE, &item).is_none(), is_example, "{docs}");
        }
    }

    #[test]
    fn a_function_that_can_fail_says_when() {
        let docs = "Does it.\n\n# Errors\n\n`InvalidInput`, always.";
        for returned in ["Result", "core::result::Result"] {
            let expected = format!("no section `# Errors`: {FUNCTION}");
            assert_eq!(missing(FUNCTION, &function("Does it.", returned)), Some(expected));
            assert_eq!(missing(FUNCTION, &function(docs, returned)), None);
        }
        assert_eq!(missing(FUNCTION, &function("Does it.", "Token")), None);
        let mut of_a_trait = function("Does it.", "Result");
        of_a_trait["visibility"] = json!("default");
        assert_eq!(missing(FUNCTION, &of_a_trait), None);
    }

    #[test]
    fn generated_items_need_nothing() {
        let item = json!({ "docs": "", "inner": { "struct": {} } });
        assert_eq!(missing("pub struct gcp_iam_credentials::proto::SignBlobRequest", &item), None);
    }
}
