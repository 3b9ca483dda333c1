//! What holds for every list of scopes.

use super::check::checked_scopes;
use crate::properties::assert_names_a_field;

/// A list is accepted if it has a scope and each one would be accepted alone. Otherwise the error
/// names the first one that isn't.
pub fn scopes(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let list: Vec<&str> = if text.is_empty() { Vec::new() } else { text.split('\n').collect() };
    let first_bad = list.iter().position(|scope| checked_scopes([scope]).is_err());
    match checked_scopes(&list) {
        Ok(checked) => {
            assert_eq!(checked, list);
            assert!(!list.is_empty() && first_bad.is_none());
            checked.iter().for_each(|scope| holds_for_a_valid_scope(scope));
        }
        Err(error) => {
            assert_names_a_field(&error);
            let field = first_bad.map_or_else(|| "scopes".to_owned(), |index| format!("scopes[{index}]"));
            assert_eq!(error.field(), Some(&*field));
            assert_eq!(list.is_empty(), first_bad.is_none(), "{list:?}");
        }
    }
}

/// Scopes are joined with spaces, and sent in forms, claims and URLs. Each is a URL, or one of three
/// words.
fn holds_for_a_valid_scope(scope: &str) {
    assert!(!scope.is_empty() && scope.chars().all(|c| ('!'..='~').contains(&c) && c != ','), "{scope:?}");
    let is_word = matches!(scope, "openid" | "email" | "profile");
    assert!(is_word || scope.split_once("://").is_some_and(|(_, rest)| !rest.is_empty()), "{scope:?}");
}
