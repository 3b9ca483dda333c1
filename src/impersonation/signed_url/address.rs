//! Where the request of a signed URL goes: the origin and the path.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;

use super::encoding::encoded_path;
use super::request::SignedUrlRequest;
use crate::Error;
use crate::error::shorten;
use crate::host;

/// The longest name of an object, in bytes.
const MAX_OBJECT: usize = 1024;
/// The longest name of a bucket.
const MAX_BUCKET: usize = 222;
/// The longest host name.
const MAX_HOST: usize = 253;

/// The parts of a URL before its query.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) scheme: &'static str,
    /// What clients send as `host`: the host in lower case, with the port if it isn't the scheme's own.
    pub(super) authority: String,
    /// Percent-encoded.
    pub(super) path: String,
}

/// A server: where requests go, without a path.
struct Server {
    scheme: &'static str,
    host: Host,
    port: Option<u16>,
}

enum Host {
    Name(String),
    Ip(String),
}

impl Address {
    pub(super) fn new(request: &SignedUrlRequest, universe: &str) -> Result<Self, Error> {
        check_bucket(&request.bucket)?;
        let object = request.object.as_deref().map(encoded_object).transpose()?;
        if let Some(host) = &request.bucket_bound_host {
            check_is_alone(request)?;
            let server = Server::parse(host, "bucket_bound_host")?;
            return Ok(server.address(format!("/{}", object.unwrap_or_default())));
        }
        let server = match &request.endpoint {
            Some(endpoint) => Server::parse(endpoint, "endpoint")?,
            None => Server::parse(&format!("storage.{universe}"), "universe_domain")?,
        };
        if request.virtual_hosted {
            let server = server.of_bucket(&request.bucket, request.endpoint.is_none())?;
            return Ok(server.address(format!("/{}", object.unwrap_or_default())));
        }
        let object = object.map(|object| format!("/{object}")).unwrap_or_default();
        Ok(server.address(format!("/{}{object}", request.bucket)))
    }
}

impl Server {
    /// Reads a URL, or a host that is reached by https.
    fn parse(text: &str, field: &'static str) -> Result<Self, Error> {
        let url = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let origin = host::origin(&url, field)?;
        let (scheme, own_port) =
            if origin.scheme_str() == Some("http") { ("http", 80) } else { ("https", 443) };
        // Clients leave the scheme's own port out of the header `host`.
        let port = origin.port_u16().filter(|port| *port != own_port);
        Ok(Self { scheme, host: Host::of(&origin, field)?, port })
    }

    /// Returns the server of one bucket, whose name becomes a part of the host's.
    fn of_bucket(self, bucket: &str, is_googles: bool) -> Result<Self, Error> {
        let Host::Name(name) = &self.host else {
            let problem = "must have a host name for a virtual-hosted URL, got an IP address";
            return Err(Error::invalid("endpoint", problem));
        };
        let host = format!("{bucket}.{name}");
        let is_host_name = bucket.split('.').all(|label| is_label(label, |_| false));
        if !is_host_name || host.len() > MAX_HOST {
            let got = shorten(bucket);
            let problem = format!("must be a host name for a virtual-hosted URL, got {got:?}");
            return Err(Error::invalid("bucket", problem));
        }
        if is_googles && bucket.contains('.') {
            let problem = "must not contain dots for a virtual-hosted URL of Google's own host, whose \
                           certificate isn't valid for them";
            return Err(Error::invalid("bucket", problem).fix_by("leave the bucket in the path"));
        }
        Ok(Self { host: Host::Name(host), ..self })
    }

    fn address(self, path: String) -> Address {
        let Self { scheme, host: Host::Name(host) | Host::Ip(host), port } = self;
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Address { scheme, authority: format!("{host}{port}"), path }
    }
}

impl Host {
    /// Reads the host in the form in which clients send it.
    fn of(origin: &Uri, field: &'static str) -> Result<Self, Error> {
        let host = origin.host().unwrap_or_default().to_ascii_lowercase();
        if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            // Clients write one with an IPv4 address in it in different ways.
            let address: Option<Ipv6Addr> =
                address.parse().ok().filter(|it: &Ipv6Addr| it.to_ipv4_mapped().is_none());
            return address.map(|address| Self::Ip(format!("[{address}]"))).ok_or_else(|| no_host(field));
        }
        // Clients read a name with such an end as an IPv4 address, also in forms with fewer parts.
        let last = host.rsplit('.').next().unwrap_or_default();
        if last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit()) {
            let address: Option<Ipv4Addr> = host.parse().ok();
            return address.map(|address| Self::Ip(address.to_string())).ok_or_else(|| no_host(field));
        }
        match host.len() <= MAX_HOST && host.split('.').all(|label| is_label(label, |byte| byte == b'_')) {
            true => Ok(Self::Name(host)),
            false => Err(no_host(field)),
        }
    }
}

fn no_host(field: &'static str) -> Error {
    Error::invalid(field, "must have a host name or an IP address as its host")
}

/// Whether this is a part of a host name in lower case. Other characters may be allowed, too.
fn is_label(label: &str, also: impl Fn(u8) -> bool) -> bool {
    let is_inner =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || also(byte);
    (1..=63).contains(&label.len())
        && label.bytes().all(is_inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Checks that the name is one part of a path that nobody changes.
fn check_bucket(bucket: &str) -> Result<(), Error> {
    let has_legal_ends = |bucket: &str| {
        let ends = [bucket.bytes().next(), bucket.bytes().next_back()];
        ends.iter().all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()))
    };
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if bucket.is_empty() {
        return Err(Error::invalid("bucket", "must be the name of a bucket, got nothing"));
    }
    if bucket.len() > MAX_BUCKET || !bucket.bytes().all(is_legal) || !has_legal_ends(bucket) {
        let problem = format!(
            "must be at most {MAX_BUCKET} letters, digits, `-`, `_` and `.`, with a letter or a digit at \
             each end, got {:?}",
            shorten(bucket),
        );
        return Err(Error::invalid("bucket", problem));
    }
    Ok(())
}

/// Checks the name of an object, and returns it percent-encoded.
fn encoded_object(object: &str) -> Result<String, Error> {
    let invalid = |problem: String| Err(Error::invalid("object", problem));
    if object.is_empty() {
        let error = Error::invalid("object", "must be the name of an object, got nothing");
        return Err(error.fix_by("for a request to the bucket, use `SignedUrlRequest::of_bucket`"));
    }
    if object.len() > MAX_OBJECT {
        return invalid(format!("must have at most {MAX_OBJECT} bytes, got {}", object.len()));
    }
    if object.contains(['\r', '\n']) {
        return invalid("must not contain line breaks".to_owned());
    }
    if object.split('/').any(|part| matches!(part, "." | "..")) {
        let problem = "must not have `.` or `..` between its slashes, because HTTP clients remove them";
        return invalid(problem.to_owned());
    }
    Ok(encoded_path(object))
}

/// Checks that nothing else says which host the URL has.
fn check_is_alone(request: &SignedUrlRequest) -> Result<(), Error> {
    for (field, is_set) in
        [("endpoint", request.endpoint.is_some()), ("virtual_hosted", request.virtual_hosted)]
    {
        if is_set {
            return Err(Error::invalid(field, "can't be set with `bucket_bound_host`"));
        }
    }
    Ok(())
}
