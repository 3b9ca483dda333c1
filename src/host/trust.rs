//! Which hosts a credential file may name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

use super::{DEFAULT_UNIVERSE, Service, check_universe, is_loopback};
use crate::Error;
use crate::error::shorten;

/// The metadata servers of AWS and Azure, which have no https.
#[cfg_attr(not(feature = "credential-files"), allow(dead_code))]
const METADATA_SERVERS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// The hosts that a credential file may name: Google's, this machine's, and those that the program
/// allows.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    /// The universe that the program or its environment names.
    pub(crate) universe: Box<str>,
    pub(crate) hosts: Vec<HostPattern>,
}

impl Trust {
    /// Checks a URL from a credential file, to which secrets will be sent: any host of Google's.
    pub(crate) fn check_url(&self, url: &str, field: &'static str) -> Result<Uri, Error> {
        let under = |host: &str, domain: &str| {
            let lower = host.to_ascii_lowercase();
            lower.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let expected = format!("a host under {}", self.universe);
        self.check(url, field, &expected, |host| under(host, DEFAULT_UNIVERSE) || under(host, &self.universe))
    }

    /// Checks a URL from a credential file, to which secrets will be sent: one service of Google's.
    pub(crate) fn check_service_url(
        &self,
        url: &str,
        field: &'static str,
        service: Service,
    ) -> Result<Uri, Error> {
        let expected = format!("{} or another host of that service", service.host(&self.universe));
        self.check(url, field, &expected, |host| self.is_host_of(service, host))
    }

    /// Returns whether Google serves this service at `host`, in one of the universes that are trusted.
    pub(crate) fn is_host_of(&self, service: Service, host: &str) -> bool {
        [DEFAULT_UNIVERSE, &self.universe].iter().any(|universe| service.is_at(host, universe))
    }

    /// Checks a URL from a credential file, which gets no secret of Google's: it returns a subject token.
    #[cfg_attr(not(feature = "credential-files"), allow(dead_code))]
    pub(crate) fn check_subject_token_url(&self, url: &str, field: &'static str) -> Result<Uri, Error> {
        let uri = parse(url, field)?;
        match uri.scheme_str() {
            Some("https") => Ok(uri),
            Some("http") if is_loopback(&uri) || is_metadata_server(&uri) => Ok(uri),
            _ => {
                let expectation = "must start with https:// (or http:// for loopback and the metadata \
                                   servers 169.254.169.254 and [fd00:ec2::254])";
                Err(Error::invalid(field, expectation))
            }
        }
    }

    fn check(
        &self,
        url: &str,
        field: &'static str,
        expected: &str,
        is_googles: impl FnOnce(&str) -> bool,
    ) -> Result<Uri, Error> {
        let uri = parse(url, field)?;
        if is_loopback(&uri) {
            return Ok(uri);
        }
        if uri.scheme_str() != Some("https") {
            return Err(Error::invalid(field, "must start with https://"));
        }
        let host = uri.host().unwrap_or_default();
        if is_googles(host) || self.hosts.iter().any(|known| known.matches(host)) {
            return Ok(uri);
        }
        let error = Error::invalid(field, format!("must be {expected}, got {:?}", shorten(host)));
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

/// Reads a URL with a host, and neither user nor password.
fn parse(url: &str, field: &'static str) -> Result<Uri, Error> {
    let invalid = |expectation: &'static str| Error::invalid(field, expectation);
    let uri: Uri = url.parse().map_err(|_| invalid("must be a URL"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(invalid("must start with https://"));
    }
    let authority = uri.authority().filter(|authority| !authority.host().is_empty());
    let authority = authority.ok_or_else(|| invalid("must have a host"))?;
    if authority.as_str().contains('@') {
        return Err(invalid("must not contain a user or a password"));
    }
    if authority.port_u16().is_none() && authority.as_str().len() != authority.host().len() {
        return Err(invalid("must have a legal port"));
    }
    Ok(uri)
}

#[cfg_attr(not(feature = "credential-files"), allow(dead_code))]
fn is_metadata_server(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse().is_ok_and(|address| METADATA_SERVERS.contains(&address))
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

    /// conf: F11
    #[test]
    fn tokens_go_only_to_the_service_that_they_are_for() {
        let trust = trust(&["tokens.corp.example"]);
        let check = |url: &str| trust.check_service_url(url, "token_url", Service::Sts);
        for good in [
            "https://sts.googleapis.com/v1/token",
            "https://STS.GoogleAPIs.com:443/v1/token",
            "https://sts.mtls.googleapis.com/v1/token",
            "https://sts.us-east1.rep.googleapis.com/v1/token",
            "https://us-east1-sts.googleapis.com/v1/token",
            "https://sts-vpc.p.googleapis.com/v1/token",
            "https://sts.example.goog/v1/token",
            "https://tokens.corp.example/v1/token",
            "http://127.0.0.1:8095/v1/token",
            "http://[::1]/v1/token",
            "http://LOCALHOST:1/v1/token",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
    }

    /// conf: F11
    #[test]
    fn a_host_that_only_looks_like_the_services_gets_no_token() {
        let trust = trust(&["tokens.corp.example"]);
        for bad in [
            "",
            "sts.googleapis.com",
            "//sts.googleapis.com/v1/token",
            "http://sts.googleapis.com/v1/token",
            "ftp://sts.googleapis.com/v1/token",
            "https:///v1/token",
            "https://iamcredentials.googleapis.com/v1/token",
            "https://storage.googleapis.com/v1/token",
            "https://googleapis.com/v1/token",
            "https://.googleapis.com/v1/token",
            "https://sts..googleapis.com/v1/token",
            "https://sts.googleapis.com./v1/token",
            "https://sts.googleapis.com.evil.example/v1/token",
            "https://sts.evil.example/v1/token",
            "https://evilsts.googleapis.com/v1/token",
            "https://sts.a.b.googleapis.com/v1/token",
            "https://sts.evil_googleapis.com/v1/token",
            "https://sts%2egoogleapis.com/v1/token",
            "https://sts.googleapis%2ecom/v1/token",
            "https://sts.googleapis.com%00.evil.example/v1/token",
            "https://sts.googleapis.com@evil.example/v1/token",
            "https://user@sts.googleapis.com/v1/token",
            "https://evil.example/sts.googleapis.com",
            "https://evil.example?sts.googleapis.com",
            "https://evil.example#sts.googleapis.com",
            "https://evil.example\\.sts.googleapis.com/",
            "https://sts.googleapis.com:port/v1/token",
            "https://sts.googleapis.com:99999/v1/token",
            "https://\u{ff53}ts.googleapis.com/v1/token",
            "https://[2001:db8::1]/v1/token",
            "http://[::ffff:127.0.0.1]/v1/token",
            "http://0.0.0.0/v1/token",
            "http://2130706433/v1/token",
            "http://127.1/v1/token",
            "http://0x7f000001/v1/token",
            "http://127.0.0.1.evil.example/v1/token",
            "http://localhost.evil.example/v1/token",
            "http://169.254.169.254/v1/token",
        ] {
            let error = trust.check_service_url(bad, "token_url", Service::Sts).unwrap_err();
            assert_eq!(error.field(), Some("token_url"), "{bad}");
        }
    }

    /// conf: F11
    #[test]
    fn a_subject_token_comes_over_https_or_from_this_machines_metadata_server() {
        let trust = trust(&[]);
        let check = |url: &str| trust.check_subject_token_url(url, "credential_source.url");
        for good in [
            "https://vault.corp.example:8200/v1/identity/oidc/token/role?x=y",
            "https://sts.googleapis.com/x",
            "https://[2001:db8::1]/token",
            "http://127.0.0.1:8080/token",
            "http://localhost/token",
            "http://[::1]:1/token",
            "http://169.254.169.254/metadata/identity/oauth2/token?resource=x",
            "http://169.254.169.254:80/latest",
            "http://[fd00:ec2::254]/latest",
            "http://[FD00:0EC2:0::0254]/latest",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/token",
            "https://",
            "file:///etc/passwd",
            "unix:///run/socket",
            "http://vault.corp.example/token",
            "http://169.254.169.253/token",
            "http://169.254.169.254.evil.example/token",
            "http://169.254.169.254@evil.example/token",
            "http://user:password@169.254.169.254/token",
            "https://user@vault.corp.example/token",
            "http://169.254.43518/token",
            "http://2852039166/token",
            "http://0xa9fea9fe/token",
            "http://0251.0376.0251.0376/token",
            "http://[::ffff:169.254.169.254]/token",
            "http://[fe80::1%25eth0]/token",
            "http://[fd00:ec2::255]/token",
            "http://metadata.google.internal/token",
            "http://169.254.169.254%00.evil.example/token",
        ] {
            let error = check(bad).unwrap_err();
            assert_eq!(error.field(), Some("credential_source.url"), "{bad}");
        }
    }
}
