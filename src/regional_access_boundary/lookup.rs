//! One lookup of a boundary.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::is_same_origin;
use super::resource::Resource;
use crate::host::{self, DEFAULT_UNIVERSE, Service};
use crate::http_client::{HttpClient, Reply};
use crate::source::{BoxFuture, Hop, SourceInfo};
use crate::{Error, RetryPolicy, Token};

/// How long a lookup may take, with all its attempts.
pub(super) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(60);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// Google's libraries make the same number of attempts.
const RETRY: RetryPolicy = RetryPolicy::new().max_attempts(6);
/// The most hexadecimal digits of a boundary. It has a bit for each location.
const MOST_DIGITS: usize = 512;
const ENDPOINT: &str = "endpoint";

/// Looks up boundaries at one server.
pub(super) trait Lookup: Send + Sync {
    /// Returns the boundary of `resource`. `token` is one of its tokens.
    fn look_up<'a>(
        &'a self,
        resource: &'a Resource,
        token: &'a Token,
    ) -> BoxFuture<'a, Result<HeaderValue, Error>>;
}

/// Finds the server for an identity.
pub(super) trait Locations: Send + Sync {
    /// Returns what looks up the boundary of tokens that `info` describes; `None` if no server may get them.
    fn lookup(&self, info: &SourceInfo) -> Option<Arc<dyn Lookup>>;
}

/// Looks up boundaries over HTTP.
pub(super) struct HttpLocations {
    pub(super) http: HttpClient,
    pub(super) emulator: Option<Uri>,
    pub(super) has_client_identity: bool,
}

/// One server of the API.
struct Server {
    http: HttpClient,
    origin: Uri,
}

impl HttpLocations {
    /// Checks that the server for the tokens that `info` describes may get them.
    pub(super) fn check(&self, info: &SourceInfo) -> Result<(), Error> {
        self.http.check(&self.origin(info)?, ENDPOINT)
    }

    /// Returns the API that impersonates; without an impersonation, the emulator or Google's API.
    pub(super) fn origin(&self, info: &SourceInfo) -> Result<Uri, Error> {
        if let Some(url) = info.hops().last().and_then(Hop::endpoint) {
            let origin = host::origin(url, ENDPOINT)?;
            // An emulator on another machine gets only what an emulator has made.
            if self.emulator.as_ref().is_some_and(|emulator| is_same_origin(emulator, &origin)) {
                return Ok(origin);
            }
            return host::server_url(url, ENDPOINT);
        }
        let service = Service::IamCredentials;
        let url = match (&self.emulator, self.has_client_identity) {
            (Some(emulator), _) => emulator.to_string(),
            (None, true) => format!("https://{}/", service.mtls_host(DEFAULT_UNIVERSE)),
            (None, false) => format!("https://{}/", service.host(DEFAULT_UNIVERSE)),
        };
        host::server_url(&url, ENDPOINT)
    }
}

impl Locations for HttpLocations {
    fn lookup(&self, info: &SourceInfo) -> Option<Arc<dyn Lookup>> {
        let origin = self.origin(info).ok()?;
        Some(Arc::new(Server { http: self.http.clone(), origin }))
    }
}

impl Server {
    async fn look_up_with_retries(&self, resource: &Resource, token: &Token) -> Result<HeaderValue, Error> {
        let deadline = Instant::now() + LOOKUP_TIMEOUT;
        let mut retries = RETRY.start();
        loop {
            let error = match self.attempt(resource, token, deadline).await {
                Ok(boundary) => return Ok(boundary),
                Err(error) => error,
            };
            if !error.is_transient() || !retries.wait(None, deadline).await {
                return Err(error);
            }
        }
    }

    async fn attempt(
        &self,
        resource: &Resource,
        token: &Token,
        deadline: Instant,
    ) -> Result<HeaderValue, Error> {
        let request = self.request(resource, token)?;
        let end = deadline.min(Instant::now() + ATTEMPT_TIMEOUT);
        match timeout_at(end, self.http.send(request)).await {
            Ok(reply) => read(&reply.map_err(|failed| failed.error)?),
            Err(_elapsed) => Err(Error::timeout("no reply within the time allowed", None)),
        }
    }

    fn request(&self, resource: &Resource, token: &Token) -> Result<Request<Bytes>, Error> {
        let origin = self.origin.to_string();
        let url = format!("{}/v1/{}/allowedLocations", origin.trim_end_matches('/'), resource.as_str());
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = url.parse().map_err(|_| Error::invalid(ENDPOINT, "must be a URL"))?;
        request.headers_mut().insert(header::AUTHORIZATION, token.header_value().clone());
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        Ok(request)
    }
}

impl Lookup for Server {
    fn look_up<'a>(
        &'a self,
        resource: &'a Resource,
        token: &'a Token,
    ) -> BoxFuture<'a, Result<HeaderValue, Error>> {
        Box::pin(self.look_up_with_retries(resource, token))
    }
}

/// Reads the boundary in a reply. A redirect is a failure, like all that isn't 200.
pub(super) fn read(reply: &Reply) -> Result<HeaderValue, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct AllowedLocations<'a> {
        #[serde(borrow)]
        encoded_locations: &'a str,
    }

    if reply.status != StatusCode::OK {
        let message = format!("the server answered with status {}", reply.status.as_u16());
        return Err(Error::transport(message, reply.is_transient_failure()));
    }
    let locations: AllowedLocations<'_> = serde_json::from_slice(&reply.body)
        .map_err(|_| Error::invalid_reply("the reply must be a JSON object with `encodedLocations`"))?;
    let value = locations.encoded_locations;
    let legal = value.strip_prefix("0x").is_some_and(|digits| {
        (1..=MOST_DIGITS).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    });
    HeaderValue::from_str(value)
        .ok()
        .filter(|_| legal)
        .ok_or_else(|| Error::invalid_reply("`encodedLocations` must be a hexadecimal number such as 0xA30"))
}
