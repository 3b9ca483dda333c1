//! Text of policies and requests, as the page shows it.

use maud::{Markup, html};

use crate::printable::printable;

/// How many characters of a text the page shows. The journal in JSON has all of them.
const SHOWN: usize = 300;

/// Returns a text that someone else may have chosen: cut if it is long, with invisible characters and those
/// that change the direction of writing escaped, and without an effect on the direction of what follows.
pub(super) fn text(text: &str) -> Markup {
    html! { bdi { (cut(text, SHOWN)) } }
}

/// Returns at most `shown` characters of a text, made printable. Says how many there are if there are more.
pub(super) fn cut(text: &str, shown: usize) -> String {
    match text.char_indices().nth(shown) {
        None => printable(text).into_owned(),
        Some((end, _)) => {
            format!("{}… ({} characters)", printable(&text[..end]), text.chars().count())
        }
    }
}

/// Returns an account's address, or a principal, in the few characters for which there is room: without what
/// all service accounts have in common.
pub(super) fn short(name: &str) -> String {
    let name = ["serviceAccount:", "user:"].iter().find_map(|kind| name.strip_prefix(kind)).unwrap_or(name);
    let name = name.strip_suffix(".iam.gserviceaccount.com").unwrap_or(name);
    // What distinguishes federated identities is at the end.
    match name.rsplit_once("/workloadIdentityPools/").or_else(|| name.rsplit_once("/workforcePools/")) {
        Some((_, rest)) => rest.to_owned(),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_escaped_isolated_and_cut() {
        let hostile = "<script>alert('x')</script>\u{202e}\"&\u{7}";
        let shown = text(hostile).into_string();
        assert_eq!(shown, "<bdi>&lt;script&gt;alert('x')&lt;/script&gt;\\u{202e}&quot;&amp;\\u{7}</bdi>");
        let long = "ü".repeat(100_000);
        assert_eq!(cut(&long, 3), "üüü… (100000 characters)");
        assert_eq!(cut("üüü", 3), "üüü");
    }

    #[test]
    fn what_distinguishes_a_name_is_what_stays() {
        for (name, expected) in [
            ("serviceAccount:builder@shop.iam.gserviceaccount.com", "builder@shop"),
            ("user:alice@example.com", "alice@example.com"),
            ("group:admins@example.com", "group:admins@example.com"),
            (
                "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/attribute.repository/octo/shop",
                "ci/attribute.repository/octo/shop",
            ),
            ("allUsers", "allUsers"),
        ] {
            assert_eq!(short(name), expected);
        }
    }
}
