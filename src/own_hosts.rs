//! The hosts under which clients reach a server of this crate.

use std::net::{IpAddr, Ipv6Addr};

use http::Uri;

/// The server's own hosts: loopback names and addresses, and those that it was started with.
///
/// Ports don't matter, because a forwarded port differs from the server's.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnHosts(Vec<String>);

impl OwnHosts {
    /// Adds a host: a DNS name or an IP address, without a port. Returns `false` if it is none.
    pub(crate) fn add(&mut self, host: &str) -> bool {
        let normalized = match host.parse::<Ipv6Addr>() {
            Ok(address) => Some(address_text(address.into())),
            Err(_) => normalized(host),
        };
        let is_host = normalized.is_some();
        self.0.extend(normalized);
        is_host
    }

    /// Returns the hosts that were added: names in lower case, and addresses.
    pub(crate) fn added(&self) -> &[String] {
        &self.0
    }

    /// Returns whether the host of `authority`, as in the header `Host`, is the server's.
    pub(crate) fn contains(&self, authority: &str) -> bool {
        let host = split_port(authority).and_then(normalized);
        host.is_some_and(|host| is_loopback(&host) || self.0.contains(&host))
    }

    /// Returns whether `url` is an http or https URL of the server.
    pub(crate) fn contain_url(&self, url: &Uri) -> bool {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.authority().is_some_and(|authority| self.contains(authority.as_str()))
    }
}

/// Returns the host before a port. An empty port is legal.
fn split_port(authority: &str) -> Option<&str> {
    let end = authority.find(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match authority[end..].split_once(':') {
        Some((before, port)) => (&authority[..end + before.len()], port),
        None => (authority, ""),
    };
    let legal = port.is_empty() || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
    legal.then_some(host)
}

/// Returns the one form of a host that is compared: lower case, without a trailing dot or brackets.
fn normalized(host: &str) -> Option<String> {
    if let Some(inside) = host.strip_prefix('[') {
        let address: Ipv6Addr = inside.strip_suffix(']')?.parse().ok()?;
        return Some(address_text(address.into()));
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    name.split('.').all(label).then(|| name.to_ascii_lowercase())
}

/// Returns the text of an address. An IPv4 address in the form of an IPv6 address counts as IPv4.
fn address_text(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        // Browsers and resolvers map all names under `localhost` to loopback (RFC 6761).
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> OwnHosts {
        let mut hosts = OwnHosts::default();
        for host in ["192.168.1.5", "Emulator.Test.", "fd00::5", "[fd00::6]"] {
            assert!(hosts.add(host), "{host}");
        }
        hosts
    }

    /// conf: A22
    #[test]
    fn own_hosts_are_loopback_and_those_that_were_added_in_every_spelling() {
        for own in [
            "localhost",
            "LOCALHOST:8095",
            "localhost.",
            "localhost.:8095",
            "app.localhost:1",
            "127.0.0.1",
            "127.8.9.1:65535",
            "127.0.0.1.",
            "127.0.0.1:",
            "[::1]",
            "[::1]:8095",
            "[0:0:0:0:0:0:0:1]:1",
            "[::ffff:127.0.0.1]",
            "192.168.1.5:80",
            "[::ffff:192.168.1.5]",
            "emulator.test",
            "EMULATOR.test.:8095",
            "[FD00::5]:1",
            "[fd00::6]",
        ] {
            assert!(hosts().contains(own), "{own}");
        }
    }

    /// conf: A22
    #[test]
    fn all_other_hosts_are_foreign() {
        for foreign in [
            "",
            ".",
            ":8095",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evillocalhost",
            "xlocalhost:80",
            "sub.emulator.test",
            "test",
            "0.0.0.0",
            "192.168.1.50",
            "[::]",
            "[::2]",
            "::1",
            "[::1",
            "::1]",
            "[::1]x",
            "[::1]:x",
            "[127.0.0.1]",
            "[::1%eth0]",
            "localhost:99999",
            "localhost:+1",
            "localhost:80:80",
            "localhost:80@evil.example",
            "evil.example@localhost",
            "localhost#evil.example",
            "localhost/",
            "localhost..",
            "local host",
            "localhost,evil.example",
            "lo\u{212a}alhost",
        ] {
            assert!(!hosts().contains(foreign), "{foreign}");
        }
    }

    /// conf: A22
    #[test]
    fn an_added_host_has_no_port_and_no_scheme() {
        for wrong in ["", "a:80", "http://a", "a/b", "*", "a b", "[a]", "a@b", "[::1]:80"] {
            assert!(!OwnHosts::default().add(wrong), "{wrong}");
        }
    }
}
