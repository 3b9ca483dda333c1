//! The hosts and schemes to which a token may be sent.

use http::Uri;
use http::uri::Scheme;

use crate::Error;
use crate::host::{HostPattern, is_loopback};

/// Checks the URI of a request before the request gets a token.
#[derive(Clone, Debug, Default)]
pub(super) struct Destinations {
    /// `None` allows any host.
    hosts: Option<Vec<HostPattern>>,
    plaintext: bool,
}

impl Destinations {
    pub(super) fn allow_plaintext(&mut self) {
        self.plaintext = true;
    }

    pub(super) fn allow_hosts(&mut self, patterns: impl IntoIterator<Item = impl AsRef<str>>) {
        let patterns = patterns.into_iter().map(|pattern| HostPattern::new(pattern.as_ref()));
        self.hosts.get_or_insert_default().extend(patterns);
    }

    /// Checks that a request for `uri` may carry a token.
    ///
    /// A URI without an authority passes: only the inner service knows its host.
    #[inline]
    pub(super) fn check(&self, uri: &Uri) -> Result<(), Error> {
        uri.host().map_or(Ok(()), |host| self.check_host(uri, host))
    }

    fn check_host(&self, uri: &Uri, host: &str) -> Result<(), Error> {
        let encrypted = uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTPS);
        if !encrypted && !self.plaintext && !is_loopback(uri) {
            let problem = format!("must be https to carry a token, got plaintext to {host}");
            return Err(Error::invalid("uri", problem).fix_by("use https, or call allow_plaintext()"));
        }
        match &self.hosts {
            Some(hosts) if !hosts.iter().any(|pattern| pattern.matches(host)) => {
                let problem = format!("must have a host that was passed to allow_hosts(), got {host}");
                Err(Error::invalid("uri", problem))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(destinations: &Destinations, uri: &str) -> bool {
        destinations.check(&uri.parse().unwrap()).is_ok()
    }

    #[test]
    fn plaintext_is_allowed_only_to_loopback() {
        let any = Destinations::default();
        for uri in [
            "https://pubsub.googleapis.com/v1",
            "http://localhost:8085/v1",
            "http://LOCALHOST/",
            "http://127.0.0.1:1/",
            "http://127.9.9.9/",
            "http://[::1]:1/",
            "/google.pubsub.v1.Publisher/Publish",
            "pubsub.googleapis.com:443",
        ] {
            assert!(allows(&any, uri), "{uri}");
        }
        for uri in [
            "http://pubsub.googleapis.com/v1",
            "http://10.0.0.1/",
            "http://[2001:db8::1]/",
            "http://localhost.example.com/",
            "http://localhost@example.com/",
            "http://127.0.0.1.example.com/",
            "ws://example.com/",
        ] {
            assert!(!allows(&any, uri), "{uri}");
        }
        let mut plaintext = Destinations::default();
        plaintext.allow_plaintext();
        assert!(allows(&plaintext, "http://pubsub.googleapis.com/v1"));
    }

    #[test]
    fn a_pattern_names_a_host_or_all_hosts_under_a_domain() {
        let mut some = Destinations::default();
        some.allow_hosts(["Run.Example.com", "*.googleapis.com"]);
        some.allow_hosts([".example.org."]);
        for host in [
            "run.example.com",
            "RUN.example.com.",
            "storage.googleapis.com",
            "a.b.GoogleAPIs.com",
            "x.example.org",
        ] {
            assert!(allows(&some, &format!("https://{host}:443/x")), "{host}");
        }
        for host in [
            "example.com",
            "x.run.example.com",
            "googleapis.com",
            "evilgoogleapis.com",
            "storage.googleapis.com.evil.example",
            "storage.googleapis.com@evil.example",
            "example.org",
        ] {
            assert!(!allows(&some, &format!("https://{host}/x")), "{host}");
        }
        assert!(allows(&some, "/path"), "only the inner service knows the host");
        let error = some.check(&"https://evil.example/?token=hidden".parse().unwrap()).unwrap_err();
        assert!(
            error.to_string().contains("evil.example") && !error.to_string().contains("hidden"),
            "{error}"
        );
    }

    #[test]
    fn an_unusable_pattern_allows_nothing() {
        for pattern in ["", "*", ".", "*.", "*.*", "https://example.com", "example.com:443", "*example.com"] {
            let mut none = Destinations::default();
            none.allow_hosts([pattern]);
            assert!(
                !allows(&none, "https://example.com/") && !allows(&none, "https://a.example.com/"),
                "{pattern:?}"
            );
        }
        let mut none = Destinations::default();
        none.allow_hosts(Vec::<String>::new());
        assert!(!allows(&none, "https://example.com/"));
    }
}
