//! Which hosts tokens and secrets may be sent to.

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod service;
mod trust;

use std::net::IpAddr;

use http::Uri;

pub(crate) use self::service::Service;
pub(crate) use self::trust::{HostPattern, Trust};
use crate::Error;

/// The domain of the public Google Cloud.
pub(crate) const DEFAULT_UNIVERSE: &str = "googleapis.com";

/// Reads the URL of a server that gets requests: https, or http on this machine. Errors name `field`.
pub(crate) fn server_url(text: &str, field: &'static str) -> Result<Uri, Error> {
    let uri = url_with_host(text, field)?;
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_loopback(&uri) => Ok(uri),
        _ => Err(Error::invalid(field, "must start with https:// (or http:// on loopback)")),
    }
}

/// Reads a URL with any scheme. Errors name `field`.
pub(crate) fn url_with_host(text: &str, field: &'static str) -> Result<Uri, Error> {
    let uri: Uri = text.parse().map_err(|_| Error::invalid(field, "must be a URL"))?;
    match uri.host() {
        None | Some("") => Err(Error::invalid(field, "must be a URL with a host")),
        Some(_) => Ok(uri),
    }
}

/// Returns scheme and authority of a server's URL. Errors name `field`.
pub(crate) fn origin(text: &str, field: &'static str) -> Result<Uri, Error> {
    let invalid = |expectation: &'static str| Error::invalid(field, expectation);
    let uri: Uri = text.parse().map_err(|_| invalid("must be a URL"))?;
    let parts = uri.into_parts();
    let Some(scheme) = parts.scheme.filter(|scheme| matches!(scheme.as_str(), "http" | "https")) else {
        return Err(invalid("must start with https:// (or http:// for loopback)"));
    };
    let authority = parts.authority.filter(|authority| !authority.host().is_empty());
    let authority = authority.ok_or_else(|| invalid("must have a host"))?;
    if authority.as_str().contains('@') {
        return Err(invalid("must not contain a user or a password"));
    }
    if authority.port_u16().is_none() && authority.as_str().len() != authority.host().len() {
        return Err(invalid("must have a legal port"));
    }
    // The parser drops a fragment.
    if parts.path_and_query.is_some_and(|path| path != "/") || text.contains('#') {
        return Err(invalid("must have only scheme, host and port, got a path"));
    }
    Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query("/")
        .build()
        .map_err(|_| invalid("must be a URL"))
}

/// Returns whether a URL's host is this machine.
pub(crate) fn is_loopback(uri: &Uri) -> bool {
    let Some(host) = uri.host() else { return false };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// Checks a universe: it must be a bare DNS name, because it becomes part of host names.
pub(crate) fn check_universe(domain: &str, field: &'static str) -> Result<(), Error> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if domain.len() <= 253 && domain.contains('.') && domain.split('.').all(label) {
        Ok(())
    } else {
        Err(Error::invalid(field, "must be a bare domain name such as googleapis.com"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine_only() {
        for (url, loopback) in [
            ("http://localhost:1", true),
            ("http://LOCALHOST", true),
            ("http://127.0.0.1:80", true),
            ("http://127.8.9.1", true),
            ("http://[::1]:80", true),
            ("http://[::2]", false),
            ("http://10.0.0.1", false),
            ("http://127.0.0.1.example.com", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), loopback, "{url}");
        }
    }

    /// conf: G4
    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for text in [
            "",
            "https://",
            "ftp://host",
            "host",
            "https://user@host",
            "https://user:pw@host",
            "https://host/path",
            "https://host?q",
            "https://host#f",
            "https://host:port",
            "https://host:99999",
            "https://ho st",
        ] {
            let error = origin(text, "endpoint").unwrap_err();
            assert_eq!(error.field(), Some("endpoint"), "{text}");
        }
        assert_eq!(origin("http://[::1]:80", "endpoint").unwrap().to_string(), "http://[::1]:80/");
    }

    #[test]
    fn a_universe_is_a_bare_domain() {
        for bad in [
            "",
            "googleapis",
            "a/b.com",
            "a.com:1",
            "-a.com",
            "a..com",
            "a.com.",
            "ä.com",
            "http://a.com",
            "a@b.com",
        ] {
            assert!(check_universe(bad, "universe_domain").is_err(), "{bad}");
        }
        assert!(check_universe("apis-tpclp.goog", "universe_domain").is_ok());
    }
}
