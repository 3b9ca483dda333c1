//! A subject token of AWS: a signed request that its owner could send to AWS, serialized as JSON.

use std::collections::BTreeMap;

use http::Uri;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::emulator::error::OauthError;
use crate::query;

/// The name of the signature's algorithm, before its fields in the header `authorization`.
const ALGORITHM: &str = "AWS4-HMAC-SHA256 ";

/// Which headers must be signed.
const NEEDED: [&str; 2] = ["host", "x-amz-date"];

/// The JSON of a subject token.
#[derive(Deserialize)]
struct Serialized {
    url: String,
    method: String,
    headers: Vec<Header>,
    #[serde(default)]
    body: String,
}

#[derive(Deserialize)]
struct Header {
    key: String,
    value: String,
}

/// A request for the identity of its caller. Only its form is checked yet.
pub(super) struct SignedRequest {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) body: String,
    pub(super) access_key_id: String,
    pub(super) scope: Scope,
    pub(super) signed_headers: Vec<String>,
    pub(super) signature: Vec<u8>,
    /// The header `x-amz-date`.
    pub(super) date: String,
    /// The same, in seconds since 1970.
    pub(super) time: i64,
    /// The provider that the request is for.
    pub(super) target_resource: String,
    /// By names in lower case.
    pub(super) headers: BTreeMap<String, String>,
}

/// What a signing key is for.
pub(super) struct Scope {
    pub(super) date: String,
    pub(super) region: String,
    pub(super) service: String,
}

impl Scope {
    /// Returns the scope as it is signed.
    pub(super) fn text(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }
}

impl SignedRequest {
    /// Reads a subject token.
    pub(super) fn read(token: &str) -> Result<Self, OauthError> {
        let invalid = |what: &str| OauthError::grant(format!("The subject token is not a valid {what}."));
        let serialized = deserialize(token).ok_or_else(|| invalid("serialized request to AWS"))?;
        let url: Uri = serialized.url.parse().map_err(|_| invalid("URL of AWS"))?;
        check_url(&url, &serialized.method).ok_or_else(|| invalid("GetCallerIdentity request"))?;
        Self::parse(serialized, &url).ok_or_else(|| invalid("request with a signature of version 4"))
    }

    /// Returns a header, by its name in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&String> {
        self.headers.get(name)
    }

    fn parse(serialized: Serialized, url: &Uri) -> Option<Self> {
        let headers = by_name(serialized.headers)?;
        let host = url.host()?;
        let mut fields = authorization_fields(headers.get("authorization")?)?;
        let credential = fields.remove("Credential")?;
        let [access_key_id, date, region, "sts", "aws4_request"] =
            credential.split('/').collect::<Vec<_>>()[..]
        else {
            return None;
        };
        let signed_headers: Vec<String> =
            fields.remove("SignedHeaders")?.split(';').map(str::to_owned).collect();
        let time = headers.get("x-amz-date")?;
        let is_sound = headers.get("host")? == host
            && is_regional(host, region)
            && time.starts_with(date)
            && signed_headers.is_sorted()
            && NEEDED.iter().all(|name| signed_headers.iter().any(|signed| signed == name));
        is_sound.then_some(())?;
        Some(Self {
            method: serialized.method,
            path: url.path().to_owned(),
            query: url.query().unwrap_or_default().to_owned(),
            body: serialized.body,
            access_key_id: access_key_id.to_owned(),
            scope: Scope { date: date.to_owned(), region: region.to_owned(), service: "sts".to_owned() },
            signed_headers,
            signature: from_hex(&fields.remove("Signature")?)?,
            date: time.clone(),
            time: seconds(time)?,
            target_resource: headers.get("x-goog-cloud-target-resource").cloned().unwrap_or_default(),
            headers,
        })
    }
}

/// Reads the JSON, which clients percent-encode once, and some twice. Go writes a space as `+`.
fn deserialize(token: &str) -> Option<Serialized> {
    let mut text = token.to_owned();
    for _ in 0..2 {
        if text.starts_with('{') {
            break;
        }
        text = percent_decode_str(&text.replace('+', " ")).decode_utf8().ok()?.into_owned();
    }
    serde_json::from_str(&text).ok()
}

/// Checks that the request asks AWS's STS for the identity of its caller, and nothing else.
fn check_url(url: &Uri, method: &str) -> Option<()> {
    let asks_for_identity = {
        let mut actions = query::pairs(url.query()?).filter(|(name, _)| name == "Action");
        actions.next().is_some_and(|(_, action)| action == "GetCallerIdentity") && actions.next().is_none()
    };
    let is_plain = url.scheme_str() == Some("https") && url.port().is_none() && url.path() == "/";
    (method == "POST" && is_plain && region_of(url.host()?).is_some() && asks_for_identity).then_some(())
}

/// Returns the region of a host of AWS's STS: an empty one for the global host.
fn region_of(host: &str) -> Option<&str> {
    let rest = host.strip_prefix("sts")?.strip_suffix(".amazonaws.com")?;
    let rest = rest.strip_prefix("-fips").unwrap_or(rest);
    if rest.is_empty() {
        return Some("");
    }
    let region = rest.strip_prefix('.')?;
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (!region.is_empty() && region.bytes().all(legal)).then_some(region)
}

/// Returns whether requests to `host` are signed for `region`.
fn is_regional(host: &str, region: &str) -> bool {
    region_of(host).is_some_and(|of_host| of_host.is_empty() || of_host == region)
}

/// Returns the headers by their names in lower case. Returns `None` if a name occurs twice.
fn by_name(headers: Vec<Header>) -> Option<BTreeMap<String, String>> {
    let count = headers.len();
    let headers: BTreeMap<String, String> =
        headers.into_iter().map(|header| (header.key.to_ascii_lowercase(), header.value)).collect();
    (headers.len() == count).then_some(headers)
}

/// Returns the fields of the header `authorization`.
fn authorization_fields(text: &str) -> Option<BTreeMap<String, String>> {
    let fields = text.strip_prefix(ALGORITHM)?.split(',');
    let fields = fields.map(|field| field.trim().split_once('='));
    fields.map(|field| field.map(|(name, value)| (name.to_owned(), value.to_owned()))).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let pairs = digits.then(|| (0..text.len()).step_by(2))?;
    pairs.map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// Reads `20150830T123600Z`.
fn seconds(text: &str) -> Option<i64> {
    if text.len() != 16 || !text.is_ascii() {
        return None;
    }
    let (date, time) = text.strip_suffix('Z')?.split_once('T').filter(|(date, _)| date.len() == 8)?;
    let rfc3339 = format!(
        "{}-{}-{}T{}:{}:{}Z",
        &date[..4],
        &date[4..6],
        &date[6..],
        &time[..2],
        &time[2..4],
        &time[4..]
    );
    rfc3339.parse().ok().map(|timestamp: prost_types::Timestamp| timestamp.seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_to_the_second() {
        assert_eq!(seconds("20150830T123600Z"), Some(1_440_938_160));
        for wrong in [
            "",
            "20150830T123600",
            "2015083T1236000Z",
            "20151330T123600Z",
            "+0150830T123600Z",
            "ä0150830T12360Z",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_hosts_of_the_sts_have_a_region() {
        for (host, region) in [
            ("sts.amazonaws.com", Some("")),
            ("sts.us-east-2.amazonaws.com", Some("us-east-2")),
            ("sts-fips.us-east-2.amazonaws.com", Some("us-east-2")),
            ("sts.evil.example", None),
            ("sts.a.b.amazonaws.com", None),
            ("sts..amazonaws.com", None),
            ("stsx.amazonaws.com", None),
            ("sts.us-east-2.amazonaws.com.evil.example", None),
        ] {
            assert_eq!(region_of(host), region, "{host}");
        }
    }
}
