//! Where a token may go.

use http::Uri;
use http::uri::Scheme;

use crate::Error;
use crate::host::{HostPattern, is_loopback};

/// The hosts and schemes that a token may be sent to.
#[derive(Clone, Debug, Default)]
pub(super) struct Destinations {
    /// None: any host.
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

    /// Whether a request for `uri` may carry a token.
    ///
    /// Where the URI has no authority, the service that is wrapped knows the host and this layer
    /// does not: nothing is checked.
    #[inline]
    pub(super) fn check(&self, uri: &Uri) -> Result<(), Error> {
        uri.host().map_or(Ok(()), |host| self.check_host(uri, host))
    }

    fn check_host(&self, uri: &Uri, host: &str) -> Result<(), Error> {
        let encrypted = uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTPS);
        if !encrypted && !self.plaintext && !is_loopback(uri) {
            return Err(Error::invalid(
                "uri",
                format!("a token may not go to {host} unencrypted: use https, or allow_plaintext()"),
            ));
        }
        match &self.hosts {
            Some(hosts) if !hosts.iter().any(|pattern| pattern.matches(host)) => Err(Error::invalid(
                "uri",
                format!("a token may not go to {host}: allow_hosts() does not name it"),
            )),
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
    fn plaintext_goes_to_loopback_alone() {
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
    fn a_host_is_named_or_lies_under_a_name() {
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
        assert!(allows(&some, "/path"), "who connects knows the host");
        let error = some.check(&"https://evil.example/?token=hidden".parse().unwrap()).unwrap_err();
        assert!(
            error.to_string().contains("evil.example") && !error.to_string().contains("hidden"),
            "{error}"
        );
    }

    #[test]
    fn a_pattern_that_means_nothing_allows_nothing() {
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
