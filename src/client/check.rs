//! What can be checked of a call before the wire, and its wire form.

use std::time::Duration;

use http::{HeaderName, HeaderValue, header};

use crate::headers::{API_CLIENT, API_KEY, REQUEST_PARAMS, USER_PROJECT};
use crate::{Error, ServiceAccountName};

/// The longest lifetime an access token can have: 12 hours, where the organisation allows more
/// than the usual hour.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(43_200);

/// Names that the crate or gRPC itself sets.
const RESERVED: [HeaderName; 10] = [
    header::AUTHORIZATION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::TE,
    header::USER_AGENT,
    API_CLIENT,
    API_KEY,
    REQUEST_PARAMS,
    USER_PROJECT,
];

/// The wire form of each delegate, in order.
pub(crate) fn wire_names(delegates: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Vec<String>, Error> {
    let parse = |(index, delegate): (usize, _)| {
        let name = ServiceAccountName::parse_field(AsRef::as_ref(&delegate), "delegates");
        match name {
            Ok(name) => Ok(name.into_wire()),
            Err(error) => Err(error.at_index(index)),
        }
    };
    delegates.into_iter().enumerate().map(parse).collect()
}

pub(crate) fn checked_lifetime(lifetime: Duration) -> Result<Duration, Error> {
    if lifetime < Duration::from_secs(1) || lifetime > MAX_LIFETIME {
        let problem =
            format!("is {lifetime:?}: it must be between 1 s and {} s (12 h)", MAX_LIFETIME.as_secs());
        return Err(Error::invalid("lifetime", problem));
    }
    Ok(lifetime)
}

pub(crate) fn checked_audience(audience: &str) -> Result<String, Error> {
    if audience.trim().is_empty() {
        return Err(Error::invalid("audience", "is empty: give the URL or client id of the service called"));
    }
    Ok(audience.to_owned())
}

pub(super) fn metadata_header(key: &str, value: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let field = || format!("metadata[{key:?}]");
    let name = HeaderName::try_from(key)
        .map_err(|_| Error::invalid(field(), "is not a legal key: use letters, digits and -_."))?;
    if RESERVED.contains(&name) || name.as_str().starts_with("grpc-") {
        return Err(Error::invalid(field(), "is a reserved key: the crate or gRPC sets it"));
    }
    if name.as_str().ends_with("-bin") {
        return Err(Error::invalid(field(), "is a binary key: only text is taken"));
    }
    let value = HeaderValue::try_from(value)
        .ok()
        .filter(|value| value.to_str().is_ok())
        .ok_or_else(|| Error::invalid(field(), "has an illegal value: use visible ASCII and spaces"))?;
    Ok((name, value))
}

/// The routing header: the request's name, percent-encoded.
pub(super) fn route(account: &str) -> Result<HeaderValue, Error> {
    const PREFIX: &str = "name=projects%2F-%2FserviceAccounts%2F";
    // Of what a checked account may hold, only these two are reserved in a URL.
    let is_reserved = |byte| matches!(byte, b'@' | b'+');
    let encoded = account.bytes().filter(|&byte| is_reserved(byte)).count();
    let mut route = String::with_capacity(PREFIX.len() + account.len() + 2 * encoded);
    route.push_str(PREFIX);
    let mut rest = account;
    while let Some(at) = rest.bytes().position(is_reserved) {
        route.push_str(&rest[..at]);
        route.push_str(if rest.as_bytes()[at] == b'@' { "%40" } else { "%2B" });
        rest = &rest[at + 1..];
    }
    route.push_str(rest);
    HeaderValue::try_from(route).map_err(|_| Error::invalid("target", "cannot stand in a header"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: P62
    #[test]
    fn the_routing_header_is_the_encoded_name() {
        for account in ["a@b.com", "a+x+@b.com", "1234567890", "a_b-c.d@e-f.com"] {
            let route = route(account).unwrap();
            let text = route.to_str().unwrap();
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8().unwrap();
            assert_eq!(decoded, format!("name=projects/-/serviceAccounts/{account}"));
            assert!(!text["name=".len()..].contains(['/', '@', '+', '=']), "{text}");
        }
    }
}
