//! Everything of a signed URL but its signature.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use prost_types::Timestamp;

use super::address::Address;
use super::canonical::{canonical_headers, canonical_query};
use super::encoding::{encoded, hex};
use super::request::SignedUrlRequest;
use crate::Error;
use crate::error::shorten;
use crate::tls::sha256;

const ALGORITHM: &str = "GOOG4-RSA-SHA256";

/// The header with the hash of the body. Without it, the body isn't signed.
const CONTENT_SHA256: &str = "x-goog-content-sha256";
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The first second of the year 10000, which a timestamp can't express, since 1970.
const END_OF_TIME: u64 = 253_402_300_800;

/// Everything of a signed URL but its signature.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct UnsignedUrl {
    pub(super) method: Method,
    /// The URL without its query.
    pub(super) base: String,
    /// The query without the signature.
    pub(super) query: String,
    /// The headers that the request must have, except for `host`.
    pub(super) headers: HeaderMap,
    pub(super) canonical_request: String,
    pub(super) string_to_sign: String,
    pub(super) expires_at: SystemTime,
}

impl UnsignedUrl {
    /// Checks a request, and returns what `account` has to sign. `now` is when it signs.
    pub(super) fn new(
        request: &SignedUrlRequest,
        account: &str,
        universe: &str,
        now: SystemTime,
    ) -> Result<Self, Error> {
        check_method(&request.method)?;
        let lifetime = whole_seconds(request.lifetime)?;
        let Address { scheme, authority, path } = Address::new(request, universe)?;
        let (time, expires_at) = times(request.accessible_at.unwrap_or(now), lifetime)?;
        let mut headers = canonical_headers(&request.headers)?;
        let sent = header_map(&headers)?;
        headers.insert(header::HOST.as_str().to_owned(), authority.clone());
        let names: Vec<&str> = headers.keys().map(String::as_str).collect();
        let names = names.join(";");

        let scope = format!("{}/auto/storage/goog4_request", &time[..8]);
        let mut query = canonical_query(&request.query)?;
        for (name, value) in [
            ("X-Goog-Algorithm", ALGORITHM),
            ("X-Goog-Credential", &format!("{account}/{scope}")),
            ("X-Goog-Date", &time),
            ("X-Goog-Expires", &lifetime.as_secs().to_string()),
            ("X-Goog-SignedHeaders", &names),
        ] {
            query.insert(encoded(name), encoded(value));
        }
        let query = joined(&query, "=", "&");

        let method = request.method.clone();
        let payload = headers.get(CONTENT_SHA256).map_or(UNSIGNED_PAYLOAD, String::as_str);
        let lines = joined(&headers, ":", "\n");
        let canonical_request = format!("{method}\n{path}\n{query}\n{lines}\n\n{names}\n{payload}");
        let hash = sha256(canonical_request.as_bytes())
            .ok_or_else(|| Error::invalid("crypto_provider", "must have a cipher suite with SHA-256"))?;
        let string_to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hex(&hash));
        let base = format!("{scheme}://{authority}{path}");
        Ok(Self { method, base, query, headers: sent, canonical_request, string_to_sign, expires_at })
    }
}

fn check_method(method: &Method) -> Result<(), Error> {
    const METHODS: [Method; 5] = [Method::DELETE, Method::GET, Method::HEAD, Method::POST, Method::PUT];
    if METHODS.contains(method) {
        return Ok(());
    }
    let got = shorten(method.as_str());
    Err(Error::invalid("method", format!("must be DELETE, GET, HEAD, POST or PUT, got {got}")))
}

/// Checks a lifetime, and drops its fraction of a second.
fn whole_seconds(lifetime: Duration) -> Result<Duration, Error> {
    if lifetime < Duration::from_secs(1) || lifetime > SignedUrlRequest::MAX_LIFETIME {
        let got = lifetime.as_secs_f64();
        return Err(Error::invalid("lifetime", format!("must be between 1 s and 7 days, got {got} s")));
    }
    Ok(Duration::from_secs(lifetime.as_secs()))
}

/// Returns the start as `20261231T235959Z`, and the end.
fn times(start: SystemTime, lifetime: Duration) -> Result<(String, SystemTime), Error> {
    let invalid = || Error::invalid("accessible_at", "must be between the years 1970 and 9999");
    let seconds = start.duration_since(UNIX_EPOCH).map_err(|_| invalid())?.as_secs();
    let in_range = seconds.checked_add(lifetime.as_secs()).is_some_and(|end| end < END_OF_TIME);
    let signed = i64::try_from(seconds).ok().filter(|_| in_range).ok_or_else(invalid)?;
    let end = UNIX_EPOCH + Duration::from_secs(seconds) + lifetime;
    let text = Timestamp { seconds: signed, nanos: 0 }.to_string();
    Ok((text.replace(['-', ':'], ""), end))
}

fn header_map(headers: &BTreeMap<String, String>) -> Result<HeaderMap, Error> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let illegal = || Error::invalid(format!("header[{name:?}]"), "must be a legal header");
        let name = HeaderName::try_from(name).map_err(|_| illegal())?;
        let mut value = HeaderValue::try_from(value).map_err(|_| illegal())?;
        value.set_sensitive(true);
        map.insert(name, value);
    }
    Ok(map)
}

fn joined(pairs: &BTreeMap<String, String>, between: &str, end: &str) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}{between}{value}")).collect();
    pairs.join(end)
}
