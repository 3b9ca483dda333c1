//! What holds for every name.

use super::*;
use crate::properties::{assert_names_a_field, text_lines};

/// A valid name prints as what it was parsed from, and contains nothing that has a meaning in a URL
/// or in a command. An invalid one is an error that names the field.
pub fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match ServiceAccountName::parse_field(text, "delegates[1]") {
        Ok(name) => holds_for_a_valid_name(name, text),
        Err(error) => {
            assert_eq!(error.field(), Some("delegates[1]"));
            assert_names_a_field(&error);
        }
    }
    if let Some([project, account]) = text_lines(data) {
        let whole = |part: &str| !part.is_empty() && !part.contains('/');
        let path = service_account_path(project, account);
        let parts = (whole(project) && whole(account)).then_some((project, account));
        assert_eq!(parse_service_account_path(&path), parts, "{path:?}");
    }
}

fn holds_for_a_valid_name(name: ServiceAccountName, text: &str) {
    let (path, account) = (name.as_str().to_owned(), name.account().to_owned());
    assert!(path == text || account == text, "{text:?} became {path:?}");
    assert_eq!(parse_service_account_path(&path), Some((name.project(), &*account)));
    assert_eq!(path.parse().ok(), Some(name.clone()));
    assert_eq!(
        serde_json::to_value(&name).ok().and_then(|value| value.as_str().map(str::to_owned)),
        Some(path)
    );

    let has_meaning =
        |c: char| !c.is_ascii() || c.is_ascii_whitespace() || "/?#%:;&|$'\"\\`<>(){}[]*!~^=,".contains(c);
    assert!(!account.contains(has_meaning), "{account:?}");
    assert!(account.bytes().all(|b| b.is_ascii_digit()) || account.matches('@').count() == 1, "{account:?}");
    assert!(!name.project().contains(['/', '?', '#', '%', ' ']), "{name}");

    let wire = name.clone().into_wire();
    let again = ServiceAccountName::try_from(wire.clone()).ok();
    assert_eq!(again.as_ref().map(|again| (again.project(), again.account())), Some(("-", &*account)));
    assert_eq!(again.map(ServiceAccountName::into_wire), Some(wire));
}
