//! Which requests are refused because a foreign web page may have caused them.
//!
//! Anyone who can reach the port may control the emulator, except for a web page: a browser on this
//! machine would send its requests. Such a page gives itself away by its `Origin`, or, if it resolves its
//! own name to this machine (DNS rebinding), by that name in `Host`.
//!
//! Foreign pages may use what Google's front end lets every page use (see `cors`), and nothing else. The
//! control pages also check `Host`. Google's services can't, because their names may lead to the emulator.

use http::request::Parts;
use http::{HeaderName, Uri, header};
use tonic::Code;

use super::cors;
use crate::emulator::error::{ApiError, shorten};
use crate::own_hosts::OwnHosts;

/// The first segment of the control pages' paths.
const CONTROL_PAGES: &str = "/emulator";

/// Which site a browser's request comes from. See <https://www.w3.org/TR/fetch-metadata/>.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a request if a web page of another host may have caused it, unless all pages may send it.
pub(super) fn check(own_hosts: &OwnHosts, head: &Parts) -> Result<(), ApiError> {
    let path = head.uri.path();
    if is_control_page(path) {
        check_host(own_hosts, head)?;
    }
    if cors::is_open(path) { Ok(()) } else { check_origin(own_hosts, head) }
}

fn is_control_page(path: &str) -> bool {
    path.strip_prefix(CONTROL_PAGES).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Checks the host that the client believes to be connected to: in `Host`, in `:authority` or in the URL.
fn check_host(own_hosts: &OwnHosts, head: &Parts) -> Result<(), ApiError> {
    let in_url = head.uri.authority().map(http::uri::Authority::as_str);
    let hosts = values(head, &header::HOST).chain(in_url);
    let mut named = false;
    for host in hosts {
        named = true;
        if !own_hosts.contains(host) {
            let host = shorten(host);
            return Err(refused(&format!(
                "the host {host:?} isn't the emulator's\nfix: use localhost, or allow the host with \
                 --allow-host when the emulator is started"
            )));
        }
    }
    if named { Ok(()) } else { Err(refused("the request names no host")) }
}

/// Checks the web page that caused the request, if a browser says that one did.
fn check_origin(own_hosts: &OwnHosts, head: &Parts) -> Result<(), ApiError> {
    let mut from_own_page = false;
    for origin in values(head, &header::ORIGIN) {
        let is_own = |url: Uri| own_hosts.contain_url(&url) && url.path() == "/" && url.query().is_none();
        if !origin.parse().is_ok_and(is_own) {
            return Err(refused(&format!("a page of {:?} sent the request", shorten(origin))));
        }
        from_own_page = true;
    }
    // A request without `Origin`, such as that of an image, can come from another site too.
    let own_site = |site: &str| match site {
        "same-origin" | "none" => true,
        "same-site" => from_own_page,
        _ => false,
    };
    for site in values(head, &FETCH_SITE) {
        if !own_site(site) {
            return Err(refused("a page of another site sent the request"));
        }
    }
    Ok(())
}

/// Returns all values of a header. One that isn't text is neither a host nor an origin.
fn values<'h>(head: &'h Parts, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    head.headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or("?"))
}

fn refused(why: &str) -> ApiError {
    ApiError::new(Code::PermissionDenied, format!("The emulator refuses this request: {why}"))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// Returns whether a request with these headers is allowed.
    fn allowed(uri: &str, headers: &[(&str, &str)]) -> bool {
        let request = headers
            .iter()
            .fold(Request::builder().uri(uri), |request, (name, value)| request.header(*name, *value));
        let mut own_hosts = OwnHosts::default();
        assert!(own_hosts.add("emulator.test"));
        check(&own_hosts, &request.body(()).unwrap().into_parts().0).is_ok()
    }

    /// conf: A22
    #[test]
    fn every_host_of_a_request_must_be_the_emulators() {
        for (uri, hosts, expected) in [
            ("/emulator/", &["localhost:8095"][..], true),
            ("/emulator", &["emulator.test"], true),
            ("http://localhost/emulator/", &[], true),
            ("http://localhost/emulator/", &["localhost"], true),
            ("/emulator/", &[], false),
            ("/emulator/", &[""], false),
            ("/emulator/", &["evil.example"], false),
            ("/emulator/", &["evil.example:8095"], false),
            ("/emulator", &["evil.example"], false),
            ("/emulator/no/such/page", &["evil.example"], false),
            ("/emulator/", &["localhost", "evil.example"], false),
            ("http://evil.example/emulator/", &["localhost"], false),
            ("http://localhost/emulator/", &["evil.example"], false),
            ("http://localhost@evil.example/emulator/", &[], false),
            // The other pages are those of Google's services, which have many hosts.
            ("/token", &["evil.example"], true),
            ("/emulators", &["evil.example"], true),
        ] {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            assert_eq!(allowed(uri, &headers), expected, "{uri} {hosts:?}");
        }
    }

    /// conf: A22
    #[test]
    fn a_page_of_another_host_is_refused() {
        for (headers, expected) in [
            (&[][..], true),
            (&[("origin", "http://localhost:8095")], true),
            (&[("origin", "http://localhost:3000")], true),
            (&[("origin", "https://emulator.test")], true),
            (&[("origin", "HTTP://EMULATOR.test:1")], true),
            (&[("origin", "http://[::1]:8095")], true),
            (&[("origin", "null")], false),
            (&[("origin", "")], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "https://localhost.evil.example")], false),
            (&[("origin", "https://evil.example@localhost")], false),
            (&[("origin", "localhost")], false),
            (&[("origin", "file://localhost")], false),
            (&[("origin", "chrome-extension://localhost")], false),
            (&[("origin", "http://localhost http://evil.example")], false),
            (&[("origin", "http://localhost"), ("origin", "https://evil.example")], false),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "same-site"), ("origin", "http://localhost:3000")], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:3000")], false),
            (&[("sec-fetch-site", "")], false),
        ] {
            let headers: Vec<_> =
                [("host", "localhost")].into_iter().chain(headers.iter().copied()).collect();
            for path in ["/emulator/reset", "/v1/projects/p:setIamPolicy", "/computeMetadata/v1/", "/healthz"]
            {
                assert_eq!(allowed(path, &headers), expected, "{path} {headers:?}");
            }
            assert!(allowed("/token", &headers), "{headers:?}");
        }
    }
}
