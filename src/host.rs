//! Which hosts tokens may go to.

use std::net::IpAddr;

use http::Uri;

use crate::Error;

/// The domain of the public Google Cloud.
pub(crate) const DEFAULT_UNIVERSE: &str = "googleapis.com";

/// Scheme and authority of a server, from a URL; an error names `field`.
pub(crate) fn origin(text: &str, field: &'static str) -> Result<Uri, Error> {
    let invalid = |problem: &'static str| Error::invalid(field, problem);
    let uri: Uri = text.parse().map_err(|_| invalid("is not a URL"))?;
    let parts = uri.into_parts();
    let Some(scheme) = parts.scheme.filter(|scheme| matches!(scheme.as_str(), "http" | "https")) else {
        return Err(invalid("must begin with https:// (or http:// on loopback)"));
    };
    let authority = parts.authority.filter(|authority| !authority.host().is_empty());
    let authority = authority.ok_or_else(|| invalid("has no host"))?;
    if authority.as_str().contains('@') {
        return Err(invalid("may not hold a user or a password"));
    }
    if authority.port_u16().is_none() && authority.as_str().len() != authority.host().len() {
        return Err(invalid("has an illegal port"));
    }
    if parts.path_and_query.is_some_and(|path| path != "/") {
        return Err(invalid("may not have a path: give scheme, host and port only"));
    }
    Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query("/")
        .build()
        .map_err(|_| invalid("is not a URL"))
}

/// Whether a URL's host is this machine: traffic to it leaves nothing.
pub(crate) fn is_loopback(uri: &Uri) -> bool {
    let Some(host) = uri.host() else { return false };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// A universe is a bare DNS name, since it becomes part of host names.
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
        Err(Error::invalid(field, "is not a bare domain name such as googleapis.com"))
    }
}

/// Checks that a URL from a credential file leads to Google, to `universe`, or to this machine:
/// secrets go there.
pub(crate) fn check_credential_url(url: &str, universe: &str, field: &'static str) -> Result<(), Error> {
    let invalid = |problem: String| Error::invalid(field, problem);
    let uri: Uri = url.parse().map_err(|_| invalid("is not a URL".to_owned()))?;
    if is_loopback(&uri) && matches!(uri.scheme_str(), Some("http" | "https")) {
        return Ok(());
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(invalid("may not hold a user or a password".to_owned()));
    }
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let under =
        |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if uri.scheme_str() != Some("https") {
        return Err(invalid("must begin with https://".to_owned()));
    }
    if !under(DEFAULT_UNIVERSE) && !under(universe) {
        return Err(invalid(format!(
            "leads to {host:?}, which is not under {universe}: credentials are not sent there"
        )));
    }
    Ok(())
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

    /// conf: M28
    #[test]
    fn credentials_go_only_to_google_the_universe_and_this_machine() {
        let check = |url| check_credential_url(url, "example.goog", "token_uri");
        for good in [
            "https://oauth2.googleapis.com/token",
            "https://googleapis.com/token",
            "https://sts.example.goog/v1/token",
            "http://127.0.0.1:8095/token",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "token",
            "https://evil.com/token",
            "http://oauth2.googleapis.com/token",
            "https://evilgoogleapis.com/token",
            "https://oauth2.googleapis.com.evil.com/token",
            "https://oauth2.googleapis.com@evil.com/token",
            "https://a@oauth2.googleapis.com/token",
            "http://169.254.169.254/token",
            "file://localhost/etc/passwd",
        ] {
            let error = check(bad).unwrap_err();
            assert_eq!(error.field(), Some("token_uri"), "{bad}");
        }
    }
}
