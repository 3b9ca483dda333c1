//! The destinations to which connections are direct: the list in `NO_PROXY`.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

/// Any valid proxy: what matters is whether the list exempts a destination from it.
pub(super) const PLACEHOLDER: &str = "http://proxy.invalid";

/// A list of hosts, domains, addresses and networks, each for one port or for all.
pub(super) struct Exemptions {
    everything: bool,
    for_all_ports: Matcher,
    for_one_port: Vec<(u16, Matcher)>,
}

impl Exemptions {
    /// Reads a list whose entries are separated by commas or spaces:
    ///
    /// * `example.com` and `.example.com` and `*.example.com`: the domain, and all hosts under it
    /// * `192.0.2.1`, `192.0.2.0/24`, `2001:db8::1`, `[2001:db8::1]`: an address or a network
    /// * any of them followed by a colon and a port: only that port
    /// * `*`: everything
    pub(super) fn new(list: &str) -> Self {
        let entries = || list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
        let (mut all_ports, mut for_one_port) = (Vec::new(), Vec::new());
        for entry in entries() {
            match split_port(entry) {
                (pattern, Some(port)) => for_one_port.push((port, matcher(pattern))),
                (pattern, None) => all_ports.push(pattern),
            }
        }
        let everything = entries().any(|entry| entry == "*");
        Self { everything, for_all_ports: matcher(&all_ports.join(",")), for_one_port }
    }

    pub(super) fn contain(&self, destination: &Uri) -> bool {
        let is_exempt = |matcher: &Matcher| matcher.intercept(destination).is_none();
        let default_port = if destination.scheme_str() == Some("http") { 80 } else { 443 };
        let port = destination.port_u16().unwrap_or(default_port);
        self.everything
            || is_exempt(&self.for_all_ports)
            || self.for_one_port.iter().any(|(only, matcher)| *only == port && is_exempt(matcher))
    }
}

/// Splits an entry into what the matcher understands, and the port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    let entry = entry.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(entry);
    if let Some((address, port)) = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, port.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.split_once(':') {
        // A second colon means an IPv6 address.
        Some((host, port)) if !port.contains(':') => (host, port.parse().ok()),
        _ => (entry, None),
    }
}

fn matcher(list: &str) -> Matcher {
    Matcher::builder().all(PLACEHOLDER).no(list).build()
}
