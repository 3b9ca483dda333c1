//! Checks the arguments of calls before anything is sent, and encodes them.

use std::time::Duration;

use http::{HeaderName, HeaderValue, header};

use crate::headers::{API_CLIENT, API_KEY, REQUEST_PARAMS, TRACEPARENT, TRACESTATE, USER_PROJECT};
use crate::{Error, ServiceAccountName};

/// The longest lifetime of an access token: 12 hours, if the organization allows more than the
/// usual hour.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(43_200);

/// Headers that this crate or gRPC sets, besides all that start with `grpc-`.
const RESERVED: [HeaderName; 12] = [
    header::AUTHORIZATION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::TE,
    header::USER_AGENT,
    API_CLIENT,
    API_KEY,
    REQUEST_PARAMS,
    TRACEPARENT,
    TRACESTATE,
    USER_PROJECT,
];

/// Returns the name to send for each delegate, in order.
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
        let got = lifetime.as_secs_f64();
        return Err(Error::invalid("lifetime", format!("must be between 1 s and 12 h, got {got} s")));
    }
    Ok(lifetime)
}

pub(crate) fn checked_audience(audience: &str) -> Result<String, Error> {
    if audience.trim().is_empty() {
        return Err(Error::invalid(
            "audience",
            "must be the URL or the client id of the service that is called, got nothing",
        ));
    }
    Ok(audience.to_owned())
}

pub(super) fn metadata_header(key: &str, value: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let field = || format!("metadata[{key:?}]");
    let name = HeaderName::try_from(key)
        .map_err(|_| Error::invalid(field(), "must have a legal key: letters, digits and `-_.`"))?;
    if RESERVED.contains(&name) || name.as_str().starts_with("grpc-") {
        let error = Error::invalid(field(), "must have a key that neither this crate nor gRPC sets");
        let is_trace = [TRACEPARENT, TRACESTATE].contains(&name);
        return Err(if is_trace { error.fix_by("set it with `trace_context`") } else { error });
    }
    if name.as_str().ends_with("-bin") {
        return Err(Error::invalid(field(), "must have a text value: binary keys (`-bin`) aren't supported"));
    }
    let value = HeaderValue::try_from(value)
        .ok()
        .filter(|value| value.to_str().is_ok())
        .ok_or_else(|| Error::invalid(field(), "must have a value of visible ASCII and spaces"))?;
    Ok((name, value))
}

/// Returns the value of `x-goog-request-params`: the target's name, percent-encoded.
pub(super) fn route(account: &str) -> Result<HeaderValue, Error> {
    const PREFIX: &str = "name=projects%2F-%2FserviceAccounts%2F";
    // A valid account can contain only these two of the characters that are reserved in a URL.
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
    HeaderValue::try_from(route).map_err(|_| Error::invalid("target", "must be a legal header value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: P62
    #[test]
    fn the_routing_header_is_the_percent_encoded_name() {
        for account in ["a@b.com", "a+x+@b.com", "1234567890", "a_b-c.d@e-f.com"] {
            let route = route(account).unwrap();
            let text = route.to_str().unwrap();
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8().unwrap();
            assert_eq!(decoded, format!("name=projects/-/serviceAccounts/{account}"));
            assert!(!text["name=".len()..].contains(['/', '@', '+', '=']), "{text}");
        }
    }
}
