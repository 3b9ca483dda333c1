//! What holds for every URL of a credential file or an option.

use super::*;
use crate::properties::{assert_is_plain, assert_names_a_field, text_lines};

/// A URL is accepted only if another reading of it leads to a host that may receive secrets.
///
/// The input is a universe, a host pattern that the program allows, and a URL.
pub fn hosts(data: &[u8]) {
    let Some([universe, pattern, url]) = text_lines(data) else { return };
    holds_for_an_origin(url);
    match check_universe(universe, "universe_domain") {
        Err(error) => assert_names_a_field(&error),
        Ok(()) => {
            let endpoint = format!("https://iamcredentials.{universe}/");
            let host = endpoint.parse::<Uri>().ok().and_then(|uri| uri.authority().map(ToString::to_string));
            assert_eq!(host, Some(format!("iamcredentials.{universe}")));
            holds_for_a_credential_files_url(universe, pattern, url);
            holds_for_a_services_url(universe, pattern, url);
            holds_for_a_subject_tokens_url(universe, url);
        }
    }
}

fn holds_for_a_credential_files_url(universe: &str, pattern: &str, url: &str) {
    let trust = Trust { universe: universe.into(), hosts: vec![HostPattern::new(pattern)] };
    match trust.check_url(url, "token_uri") {
        Ok(uri) => {
            let (scheme, host) = scheme_and_host(url);
            let is_known = [DEFAULT_UNIVERSE, universe].iter().any(|domain| is_under(&host, domain));
            let is_allowed =
                is_this_machine(&host) || scheme == "https" && (is_known || matches_pattern(&host, pattern));
            assert!(is_allowed, "{url:?} with {universe:?} and {pattern:?}");
            assert_eq!(uri.host().map(str::to_ascii_lowercase), Some(host), "{url:?}");
        }
        Err(error) => {
            assert_eq!(error.field(), Some("token_uri"));
            assert_is_plain(&error.to_string().replace(universe, "UNIVERSE").replace(url, "URL"));
        }
    }
    if let Err(error) = trust.check_universe(url, "universe_domain") {
        assert_names_a_field(&error);
    }
}

/// The host is one that a service may have, by a reading that knows less of the forms.
fn holds_for_a_services_url(universe: &str, pattern: &str, url: &str) {
    let trust = Trust { universe: universe.into(), hosts: vec![HostPattern::new(pattern)] };
    for (service, name) in [(Service::Sts, "sts"), (Service::IamCredentials, "iamcredentials")] {
        match trust.check_service_url(url, "token_url", service) {
            Ok(uri) => {
                let (scheme, host) = scheme_and_host(url);
                let is_services = [DEFAULT_UNIVERSE, universe]
                    .iter()
                    .any(|domain| is_under(&host, domain) && host.split(['.', '-']).any(|part| part == name));
                let is_allowed = is_this_machine(&host)
                    || scheme == "https" && (is_services || matches_pattern(&host, pattern));
                assert!(is_allowed, "{url:?} with {universe:?} and {pattern:?}");
                assert_eq!(uri.host().map(str::to_ascii_lowercase), Some(host), "{url:?}");
                assert!(!uri.authority().is_some_and(|it| it.as_str().contains('@')), "{url:?}");
            }
            Err(error) => assert_names_a_field(&error),
        }
    }
}

/// Nothing is requested in plaintext from another machine than the ones that have no https.
fn holds_for_a_subject_tokens_url(universe: &str, url: &str) {
    let trust = Trust { universe: universe.into(), hosts: Vec::new() };
    match trust.check_subject_token_url(url, "credential_source.url") {
        Ok(uri) => {
            let (scheme, host) = scheme_and_host(url);
            let is_metadata_server = host == "169.254.169.254"
                || host.trim_matches(['[', ']']).parse()
                    == Ok(std::net::Ipv6Addr::from(0xfd00_0ec2_u128 << 96 | 0x254));
            let is_local = is_this_machine(&host) || is_metadata_server;
            assert!(scheme == "https" || scheme == "http" && is_local, "{url:?}");
            assert_eq!(uri.host().map(str::to_ascii_lowercase), Some(host), "{url:?}");
            assert!(!uri.authority().is_some_and(|it| it.as_str().contains('@')), "{url:?}");
        }
        Err(error) => assert_names_a_field(&error),
    }
}

/// What an origin is made of again, is the same origin.
fn holds_for_an_origin(url: &str) {
    match origin(url, "endpoint") {
        Ok(uri) => {
            assert_eq!(origin(&uri.to_string(), "endpoint").ok(), Some(uri.clone()), "{url:?}");
            let (scheme, host) = scheme_and_host(url);
            assert_eq!(uri.scheme_str(), Some(&*scheme));
            assert_eq!(uri.host().map(str::to_ascii_lowercase), Some(host.clone()), "{url:?}");
            assert_eq!(is_loopback(&uri), is_this_machine(&host), "{url:?}");
            assert!(!uri.to_string().contains(['@', '?', '#']), "{uri}");
        }
        Err(error) => assert_names_a_field(&error),
    }
}

/// Reads a URL as browsers do: the host ends at the first of `/`, `?`, `#` and `\`, and starts after
/// the last `@`.
fn scheme_and_host(url: &str) -> (String, String) {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host_and_port = authority.rsplit('@').next().unwrap_or_default();
    let host = match host_and_port.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => format!("[{address}]"),
        None => host_and_port.split(':').next().unwrap_or_default().to_owned(),
    };
    (scheme.to_ascii_lowercase(), host.to_ascii_lowercase())
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.octets()[0] == 127)
        || host.trim_matches(['[', ']']).parse() == Ok(std::net::Ipv6Addr::LOCALHOST)
}

fn is_under(host: &str, domain: &str) -> bool {
    let domain = domain.to_ascii_lowercase();
    host == domain || host.ends_with(&format!(".{domain}"))
}

/// A pattern is a host, or `*.` or `.` and a domain.
fn matches_pattern(host: &str, pattern: &str) -> bool {
    let (host, pattern) = (host.trim_end_matches('.'), pattern.trim_end_matches('.').to_ascii_lowercase());
    match pattern.strip_prefix("*.").or_else(|| pattern.strip_prefix('.')) {
        Some(domain) => is_under(host, domain) && host != domain,
        None => host == pattern,
    }
}
