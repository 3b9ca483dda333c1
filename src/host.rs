//! Which hosts tokens and secrets may be sent to.

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

use std::net::IpAddr;

use http::Uri;

use crate::Error;
use crate::error::shorten;

/// The domain of the public Google Cloud.
pub(crate) const DEFAULT_UNIVERSE: &str = "googleapis.com";

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
    if parts.path_and_query.is_some_and(|path| path != "/") {
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

/// The hosts that a credential file may name: Google's, this machine's, and those that the program
/// allows.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    /// The universe that the program or its environment names.
    pub(crate) universe: Box<str>,
    pub(crate) hosts: Vec<HostPattern>,
}

impl Trust {
    /// Checks a URL from a credential file, to which secrets will be sent.
    pub(crate) fn check_url(&self, url: &str, field: &'static str) -> Result<Uri, Error> {
        let invalid = |expectation: String| Error::invalid(field, expectation);
        let uri: Uri = url.parse().map_err(|_| invalid("must be a URL".to_owned()))?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(invalid("must not contain a user or a password".to_owned()));
        }
        if is_loopback(&uri) && matches!(uri.scheme_str(), Some("http" | "https")) {
            return Ok(uri);
        }
        if uri.scheme_str() != Some("https") {
            return Err(invalid("must start with https://".to_owned()));
        }
        let host = uri.host().unwrap_or_default();
        let under = |domain: &str| {
            let lower = host.to_ascii_lowercase();
            lower.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if under(DEFAULT_UNIVERSE)
            || under(&self.universe)
            || self.hosts.iter().any(|known| known.matches(host))
        {
            return Ok(uri);
        }
        let error = invalid(format!("must be a host under {}, got {:?}", self.universe, shorten(host)));
        Err(error.fix_by("allow the host with `allow_hosts()` if credentials may be sent to it"))
    }

    /// Checks a universe from a credential file.
    pub(crate) fn check_universe(&self, domain: &str, field: &'static str) -> Result<(), Error> {
        check_universe(domain, field)?;
        if domain == DEFAULT_UNIVERSE || domain == &*self.universe {
            return Ok(());
        }
        let error = Error::invalid(field, format!("must be {:?}, got {:?}", self.universe, shorten(domain)));
        Err(error.fix_by("set the universe in the program or in GOOGLE_CLOUD_UNIVERSE_DOMAIN"))
    }
}

/// A host, or all hosts under a domain.
#[derive(Clone, Debug)]
pub(crate) enum HostPattern {
    Exact(Box<str>),
    /// All hosts that end with this. It starts with a dot.
    Under(Box<str>),
}

impl HostPattern {
    pub(crate) fn new(pattern: &str) -> Self {
        let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
        match pattern.strip_prefix('*').unwrap_or(pattern) {
            suffix if suffix.starts_with('.') => Self::Under(suffix.into()),
            // A star without a dot has no meaning, and no host contains one.
            _ => Self::Exact(pattern.into()),
        }
    }

    pub(crate) fn matches(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match self {
            Self::Exact(name) => host.eq_ignore_ascii_case(name),
            Self::Under(suffix) => host
                .len()
                .checked_sub(suffix.len())
                .and_then(|start| host.as_bytes().get(start..).filter(|_| start > 0))
                .is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes())),
        }
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

    fn trust(hosts: &[&str]) -> Trust {
        let hosts = hosts.iter().map(|host| HostPattern::new(host)).collect();
        Trust { universe: "example.goog".into(), hosts }
    }

    /// conf: M28
    #[test]
    fn credentials_go_only_to_google_the_universe_and_this_machine() {
        let trust = trust(&["tokens.corp.example", "*.psc.example"]);
        let check = |url| trust.check_url(url, "token_uri");
        for good in [
            "https://oauth2.googleapis.com/token",
            "https://googleapis.com/token",
            "https://sts.example.goog/v1/token",
            "http://127.0.0.1:8095/token",
            "https://tokens.corp.example/token",
            "https://iam.psc.example:8443/",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "token",
            "https://evil.com/token",
            "https://corp.example/token",
            "http://tokens.corp.example/token",
            "http://me@127.0.0.1/token",
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

    /// conf: M28
    #[test]
    fn a_universe_in_a_file_is_googles_or_the_programs() {
        let trust = trust(&[]);
        for good in ["googleapis.com", "example.goog"] {
            assert!(trust.check_universe(good, "universe_domain").is_ok(), "{good}");
        }
        for bad in ["evil.example", "sub.example.goog", "googleapis.com.evil.example", "a/b.com", ""] {
            let error = trust.check_universe(bad, "universe_domain").unwrap_err();
            assert_eq!(error.field(), Some("universe_domain"), "{bad}");
        }
    }
}
