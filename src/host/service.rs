//! The services of Google's that tokens are sent to, and their hosts.

/// A service that gets tokens or secrets of a credential file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// The Security Token Service, which exchanges subject tokens.
    #[cfg_attr(not(feature = "credential-files"), allow(dead_code))]
    Sts,
    /// The API of this crate.
    IamCredentials,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::IamCredentials => "iamcredentials",
        }
    }

    /// Returns the usual host of the service in a universe.
    pub(crate) fn host(self, universe: &str) -> String {
        format!("{}.{universe}", self.name())
    }

    /// Returns the usual host of the service for connections that show a client certificate.
    #[cfg_attr(
        not(all(feature = "credential-files", feature = "_tls")),
        allow(dead_code, reason = "only certificates need it")
    )]
    pub(crate) fn mtls_host(self, universe: &str) -> String {
        format!("{}.mtls.{universe}", self.name())
    }

    /// Returns whether Google serves this service at `host`: at the usual host, at one of a region, at
    /// a private one of a network (Private Service Connect), and for client certificates (`mtls`) at
    /// each of them.
    pub(super) fn is_at(self, host: &str, universe: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let labels =
            host.strip_suffix(&universe.to_ascii_lowercase()).and_then(|rest| rest.strip_suffix('.'));
        let Some(labels) = labels else { return false };
        let mut labels: Vec<&str> = labels.split('.').collect();
        if labels.last() == Some(&"mtls") {
            labels.pop();
        }
        match labels[..] {
            [first] => first == self.name() || first.strip_suffix(self.name()).is_some_and(is_prefix),
            [first, "p"] => first.strip_prefix(self.name()).is_some_and(is_suffix),
            [first, region] if first == self.name() => is_label(region),
            [region, last] if last == self.name() => is_label(region),
            [first, region, "rep"] => first == self.name() && is_label(region),
            _ => false,
        }
    }
}

/// Whether this is a region and a hyphen.
fn is_prefix(text: &str) -> bool {
    text.strip_suffix('-').is_some_and(is_label)
}

/// Whether this is a hyphen and a name.
fn is_suffix(text: &str) -> bool {
    text.strip_prefix('-').is_some_and(is_label)
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: F11
    #[test]
    fn a_service_has_hosts_for_regions_networks_and_client_certificates() {
        for prefix in ["", "mtls."] {
            for form in [
                "iamcredentials",
                "iamcredentials.us-east1",
                "us-east1.iamcredentials",
                "us-east1-iamcredentials",
                "iamcredentials.us-east1.rep",
                "iamcredentials-vpc.p",
            ] {
                let host = format!("{form}.{prefix}googleapis.com");
                assert!(Service::IamCredentials.is_at(&host, "googleapis.com"), "{host}");
                assert!(!Service::Sts.is_at(&host, "googleapis.com"), "{host}");
                assert!(!Service::IamCredentials.is_at(&host, "example.goog"), "{host}");
            }
        }
        assert_eq!(Service::Sts.host("example.goog"), "sts.example.goog");
    }
}
