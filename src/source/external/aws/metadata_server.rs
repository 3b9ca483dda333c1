//! The metadata server of a machine in AWS.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use tokio::time::Instant;

use super::{AwsCredentials, Region};
use crate::Error;
use crate::http_client::HttpClient;
use crate::source::external::request;

const URL: &str = "credential_source.url";
const REGION_URL: &str = "credential_source.region_url";
const TOKEN_URL: &str = "credential_source.imdsv2_session_token_url";

const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const TOKEN_LIFETIME: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
/// How long a session lives, in seconds. It is used for one exchange.
const LIFETIME: HeaderValue = HeaderValue::from_static("300");

/// The longest name of a role, in bytes.
const MAX_ROLE: usize = 64;

/// The pages of the server that a credential file names.
#[derive(Debug)]
pub(crate) struct MetadataServer {
    pub(crate) http: HttpClient,
    /// The machine's role and its credentials.
    pub(crate) url: Option<Uri>,
    /// The machine's availability zone.
    pub(crate) region_url: Option<Uri>,
    /// The token that version 2 of the server demands.
    pub(crate) session_token_url: Option<Uri>,
}

impl MetadataServer {
    /// Begins a session, which sends nothing until it is asked for something.
    pub(super) fn session(&self, deadline: Instant) -> MetadataSession<'_> {
        MetadataSession { server: self, token: None, deadline }
    }
}

/// The requests for one exchange.
pub(super) struct MetadataSession<'a> {
    server: &'a MetadataServer,
    token: Option<HeaderValue>,
    deadline: Instant,
}

impl MetadataSession<'_> {
    /// Returns the region of the machine.
    pub(super) async fn region(&mut self) -> Result<Region, Error> {
        let Some(url) = &self.server.region_url else {
            let message =
                format!("no subject token: AWS_REGION isn't set, and the file has no `{REGION_URL}`");
            return Err(Error::credentials(message, false));
        };
        let zone = self.get(url, REGION_URL).await?;
        let region = std::str::from_utf8(&zone).ok().and_then(Region::of_zone);
        region.ok_or_else(|| malformed(url, REGION_URL, "isn't the name of an availability zone"))
    }

    /// Returns the credentials of the machine's role.
    pub(super) async fn credentials(&mut self) -> Result<AwsCredentials, Error> {
        let Some(url) = &self.server.url else {
            let message = format!(
                "no subject token: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY aren't both set, and the file \
                 has no `{URL}`"
            );
            return Err(Error::credentials(message, false));
        };
        let role = self.get(url, URL).await?;
        let role = role_in(&role).ok_or_else(|| malformed(url, URL, "isn't the name of a role"))?;
        let page = page(url, role).ok_or_else(|| malformed(url, URL, "isn't the name of a role"))?;
        let reply = self.get(&page, URL).await?;
        AwsCredentials::from_json(&reply).ok_or_else(|| malformed(url, URL, "has no credentials of the role"))
    }

    async fn get(&mut self, url: &Uri, field: &'static str) -> Result<Bytes, Error> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = url.clone();
        if let Some(token) = self.token().await? {
            request.headers_mut().insert(TOKEN, token);
        }
        Ok(request::send(&self.server.http, &request, field, self.deadline).await?.body)
    }

    /// Returns the session's token, if the server demands one.
    async fn token(&mut self) -> Result<Option<HeaderValue>, Error> {
        let (None, Some(url)) = (&self.token, &self.server.session_token_url) else {
            return Ok(self.token.clone());
        };
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::PUT;
        *request.uri_mut() = url.clone();
        request.headers_mut().insert(TOKEN_LIFETIME, LIFETIME);
        let reply = request::send(&self.server.http, &request, TOKEN_URL, self.deadline).await;
        let reply = reply.map_err(|error| error.fix_by(HOP_LIMIT))?;
        let token = HeaderValue::from_bytes(reply.body.trim_ascii()).ok().filter(|token| !token.is_empty());
        let mut token = token.ok_or_else(|| malformed(url, TOKEN_URL, "isn't a token"))?;
        token.set_sensitive(true);
        self.token = Some(token);
        Ok(self.token.clone())
    }
}

const HOP_LIMIT: &str = "if the program runs in a container, allow it one more hop: `aws ec2 \
    modify-instance-metadata-options --http-put-response-hop-limit 2`";

/// Returns the name of the role, if the text is one.
fn role_in(text: &[u8]) -> Option<&str> {
    let role = std::str::from_utf8(text).ok()?.trim_ascii();
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    ((1..=MAX_ROLE).contains(&role.len()) && role.bytes().all(is_legal)).then_some(role)
}

/// Returns the URL of the role's page.
fn page(url: &Uri, role: &str) -> Option<Uri> {
    format!("{}/{role}", url.to_string().trim_end_matches('/')).parse().ok()
}

fn malformed(url: &Uri, field: &str, problem: &str) -> Error {
    let host = url.host().unwrap_or_default();
    let message = format!("no subject token: the reply of {host} ({field}) {problem}");
    Error::credentials(message, false).retried()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: F4
    #[test]
    fn only_the_name_of_a_role_becomes_a_part_of_the_path() {
        assert_eq!(role_in(b"web+x=1,a.b@c_d-e\n"), Some("web+x=1,a.b@c_d-e"));
        let long = "r".repeat(MAX_ROLE + 1);
        for bad in ["", "\n", "../x", "a/b", "a?b", "<html>", "a b", "two\nroles", &long] {
            assert_eq!(role_in(bad.as_bytes()), None, "{bad:?}");
        }
    }

    /// conf: F4
    #[test]
    fn the_page_of_a_role_is_below_the_url_with_or_without_a_slash() {
        for url in ["http://h/roles", "http://h/roles/"] {
            assert_eq!(page(&url.parse().unwrap(), "web").unwrap(), "http://h/roles/web");
        }
    }
}
