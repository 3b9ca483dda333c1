//! Which other crates the public API may name. A new major version of one of them is a new major
//! version of this crate.

use std::collections::BTreeSet;

const LISTED: [&str; 16] = [
    "alloc",
    "core",
    "std",
    "gcp_iam_credentials",
    "bytes",
    // Behind the feature `gcp-auth`.
    "gcp_auth",
    // Behind the feature `google-cloud-auth`.
    "google_cloud_auth",
    "http",
    "http_body",
    "prost",
    "prost_types",
    // `serde` re-exports its traits from here.
    "serde_core",
    "tonic",
    "tonic_types",
    "tower_layer",
    "tower_service",
];

/// The lines that name another crate, each after the crate's name.
pub fn unlisted(listing: &str) -> Vec<String> {
    let named = |line| crates_in(line).into_iter().map(move |name| (name, line));
    let foreign = listing.lines().flat_map(named).filter(|(name, _)| !LISTED.contains(name));
    foreign.map(|(name, line)| format!("{name}: {line}")).collect()
}

/// The first names of the paths in a line, apart from generic parameters such as `S` in `S::Error`.
fn crates_in(line: &str) -> BTreeSet<&str> {
    let is_path_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    line.split(|c| !is_path_part(c))
        .filter_map(|path| path.split_once("::"))
        .map(|(first, _)| first)
        .filter(|first| first.starts_with(|c: char| c.is_lowercase()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::unlisted;

    #[test]
    fn listed_crates_are_allowed() {
        let line = "pub fn gcp_iam_credentials::f<S>(http::Uri, S::Error) -> <S as tower_service::Service>::Response";
        assert!(unlisted(line).is_empty(), "{:?}", unlisted(line));
    }

    #[test]
    fn another_crate_is_found_wherever_it_is_named() {
        for line in
            ["pub fn f(&reqwest::Client)", "impl<T: reqwest::Into> X for Y", "pub type A = Vec<reqwest::B>"]
        {
            assert_eq!(unlisted(line), [format!("reqwest: {line}")]);
        }
    }
}
