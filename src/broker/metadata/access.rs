//! Which requests are served, whoever sends them.

use std::sync::LazyLock;

use http::{HeaderMap, StatusCode, Uri, header};

use super::Failure;
use crate::own_hosts::OwnHosts;

/// Names of the metadata server that no web page can have: a page would have to come from them.
const GOOGLES_NAMES: [&str; 2] = ["metadata.google.internal", "169.254.169.254"];

/// The hosts under which the server is reached.
static HOSTS: LazyLock<OwnHosts> = LazyLock::new(|| {
    let mut hosts = OwnHosts::default();
    for name in GOOGLES_NAMES {
        hosts.add(name);
    }
    hosts
});

/// Checks the host that the client believes to be connected to. A web page that resolves its own name
/// to this machine (DNS rebinding) gives itself away by that name.
pub(in crate::broker) fn check_host(headers: &HeaderMap, uri: &Uri) -> Result<(), Failure> {
    let named = headers.get_all(header::HOST).into_iter().map(|host| host.to_str().unwrap_or("?"));
    let mut hosts = named.chain(uri.authority().map(http::uri::Authority::as_str)).peekable();
    if hosts.peek().is_some() && hosts.all(|host| HOSTS.contains(host)) {
        return Ok(());
    }
    Err(Failure::new(StatusCode::FORBIDDEN, "the request's host isn't that of the metadata server"))
}

/// Returns the path and query below `prefix`, which has no slash at its end.
pub(in crate::broker) fn inside(prefix: &str, uri: &Uri) -> Option<Uri> {
    let path = uri.path_and_query()?.as_str().strip_prefix(prefix)?;
    match path.as_bytes().first() {
        // The prefix alone is the folder above all others, with or without a slash.
        None => Some(Uri::from_static("/")),
        Some(b'/') => path.parse().ok(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// conf: I11
    #[test]
    fn only_hosts_of_this_machine_and_googles_names_are_served() {
        for (uri, hosts, expected) in [
            ("/", &["127.0.0.1:4000"][..], true),
            ("/", &["localhost"], true),
            ("/", &["[::1]:4000"], true),
            ("/", &["metadata.google.internal"], true),
            ("/", &["METADATA.google.internal.:80"], true),
            ("/", &["169.254.169.254"], true),
            ("http://127.0.0.1:4000/", &["127.0.0.1:4000"], true),
            ("/", &[], false),
            ("/", &[""], false),
            ("/", &["evil.example:4000"], false),
            ("/", &["metadata"], false),
            ("/", &["10.0.0.1"], false),
            ("/", &["localhost", "evil.example"], false),
            ("http://evil.example/", &["localhost"], false),
            ("/", &["localhost@evil.example"], false),
        ] {
            let request = hosts.iter().fold(Request::get(uri), |request, host| request.header("host", *host));
            let (head, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(check_host(&head.headers, &head.uri).is_ok(), expected, "{uri} {hosts:?}");
        }
    }

    /// conf: I12
    #[test]
    fn only_paths_below_the_prefix_are_served() {
        let inside = |prefix: &str, path: &'static str| {
            super::inside(prefix, &Uri::from_static(path)).map(|uri| uri.to_string())
        };
        assert_eq!(inside("", "/computeMetadata/v1/?a=b").as_deref(), Some("/computeMetadata/v1/?a=b"));
        assert_eq!(inside("/x", "/x/computeMetadata/v1/?a=b").as_deref(), Some("/computeMetadata/v1/?a=b"));
        for root in ["/x", "/x/"] {
            assert_eq!(inside("/x", root).as_deref(), Some("/"), "{root}");
        }
        for outside in ["/", "/xy/", "/y/x/", "/computeMetadata/v1/", "/x%2f", "/X/"] {
            assert_eq!(inside("/x", outside), None, "{outside}");
        }
    }
}
