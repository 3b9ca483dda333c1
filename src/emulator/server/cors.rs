//! Requests of web pages (CORS): every page may call Google's credentials APIs, as with Google.
//!
//! The pages that change or show the emulator itself aren't among them: see `own_requests`.

use axum::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW, ORIGIN,
    VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response};

/// The paths of the services that answer every web page.
const PATHS: [&str; 11] = [
    "/.well-known/openid-configuration",
    "/revoke",
    "/token",
    "/tokeninfo",
    "/userinfo/v2/me",
    "/v1/introspect",
    "/v1/oauthtoken",
    "/v1/revoke",
    "/v1/token",
    "/v1/userinfo",
    "/v1beta/token",
];

/// The starts of further such paths.
const FOLDERS: [&str; 4] =
    ["/o/oauth2/", "/oauth2/", "/robot/v1/metadata/", "/service_accounts/v1/metadata/"];

/// The start of the paths of this API.
const RESOURCES: &str = "/v1/projects/";

/// The ends of the paths of this API. IAM's own API, whose paths start alike, can change the policy.
const METHODS: [&str; 5] =
    [":generateAccessToken", ":generateIdToken", ":signBlob", ":signJwt", "/allowedLocations"];

/// How Google's front end answers: the methods, the time in seconds, and the headers that a page may read.
const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT");
const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");
const EXPOSED: HeaderValue = HeaderValue::from_static("content-encoding,content-length,date,server,vary");
const VARIES: [HeaderValue; 3] = [
    HeaderValue::from_static("Origin"),
    HeaderValue::from_static("X-Origin"),
    HeaderValue::from_static("Referer"),
];

/// Returns whether the pages of every site may use this path and read its replies.
pub(super) fn is_open(path: &str) -> bool {
    PATHS.contains(&path)
        || FOLDERS.iter().any(|folder| path.starts_with(folder))
        || path.starts_with(RESOURCES) && METHODS.iter().any(|method| path.ends_with(method))
}

/// Returns the reply to `OPTIONS`, with which browsers ask whether a page may send its request.
pub(super) fn preflight(head: &Parts) -> Option<Response<Body>> {
    if head.method != Method::OPTIONS || !is_open(head.uri.path()) {
        return None;
    }
    let mut reply = Response::new(Body::empty());
    let headers = reply.headers_mut();
    headers.insert(ALLOW, ALLOWED_METHODS);
    if let Some(origin) = head.headers.get(ORIGIN) {
        allow_origin(headers, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        let requested = head.headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS);
        headers.extend(requested.iter().map(|names| (ACCESS_CONTROL_ALLOW_HEADERS, names.clone())));
    }
    Some(reply)
}

/// The web page that may read a reply.
pub(super) struct Reader(HeaderValue);

impl Reader {
    /// Returns the page that sent a request, if it may read the reply.
    pub(super) fn of(head: &Parts) -> Option<Self> {
        let origin = head.headers.get(ORIGIN)?;
        is_open(head.uri.path()).then(|| Self(origin.clone()))
    }

    /// Lets the page read this reply.
    pub(super) fn allow(&self, headers: &mut HeaderMap) {
        allow_origin(headers, &self.0);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

fn allow_origin(headers: &mut HeaderMap, origin: &HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.extend(VARIES.map(|name| (VARY, name)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: S8
    #[test]
    fn only_the_apis_of_credentials_are_open_to_every_web_page() {
        let account = "/v1/projects/-/serviceAccounts/a@p.iam.gserviceaccount.com";
        for path in
            ["/token", "/v1/token", "/oauth2/v3/certs", "/oauth2/v2/userinfo", "/tokeninfo", "/revoke"]
        {
            assert!(is_open(path), "{path}");
        }
        for end in METHODS {
            assert!(is_open(&format!("{account}{end}")), "{end}");
        }
        for end in ["", ":setIamPolicy", ":getIamPolicy", ":disable", ":signBlobs", "/keys", "/signBlob"] {
            assert!(!is_open(&format!("{account}{end}")), "{end}");
        }
        for path in [
            "/",
            "/emulator",
            "/emulator/",
            "/emulator/x:signBlob",
            "/emulator/token",
            "/computeMetadata/v1/instance/service-accounts/default/token",
            "/computeMetadata/v1/projects/:signBlob",
            "/v1/projects/p:setIamPolicy",
            "/tokens",
            "/v1/token/",
            "/healthz",
        ] {
            assert!(!is_open(path), "{path}");
        }
    }
}
