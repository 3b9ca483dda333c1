//! Signed URLs of Cloud Storage: the call that signs one, and the URL.

mod address;
mod canonical;
mod encoding;
mod request;
#[cfg(test)]
mod tests;
mod unsigned_url;

use std::fmt;
use std::future::IntoFuture;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method};

use self::encoding::hex;
pub use self::request::SignedUrlRequest;
use self::unsigned_url::UnsignedUrl;
use crate::call::{SignBlob, SignedBlob, TraceContext};
use crate::source::BoxFuture;
use crate::{Error, RetryPolicy};

/// The operation that errors name.
const OPERATION: &str = "signed_url";

/// A call of [`Signer::signed_url`](crate::Signer::signed_url). Await it to send it.
///
/// ```no_run
/// use std::time::Duration;
/// use gcp_iam_credentials::signed_url::SignedUrlRequest;
/// use gcp_iam_credentials::{Error, Signer};
///
/// # async fn call(signer: Signer) -> Result<(), Error> {
/// let request = SignedUrlRequest::get("bucket", "object");
/// let url = signer.signed_url(request).timeout(Duration::from_secs(5)).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a call does nothing until it is awaited"]
#[derive(Clone)]
pub struct SignUrl {
    /// Signs nothing yet: the text depends on the time.
    call: SignBlob,
    account: String,
    universe: String,
    request: SignedUrlRequest,
}

impl SignUrl {
    /// `call` is the signer's, with any payload.
    pub(super) fn new(call: SignBlob, account: &str, universe: &str, request: SignedUrlRequest) -> Self {
        Self { call, account: account.to_owned(), universe: universe.to_owned(), request }
    }

    /// Sets the time for the whole call, including retries. Default: the client's
    /// ([`ClientBuilder::timeout`](crate::ClientBuilder::timeout)).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call = self.call.timeout(timeout);
        self
    }

    /// Sets the time for one attempt. Default: the client's
    /// ([`ClientBuilder::attempt_timeout`](crate::ClientBuilder::attempt_timeout)).
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.call = self.call.attempt_timeout(timeout);
        self
    }

    /// Sets how failed attempts are retried. Default: the client's
    /// ([`ClientBuilder::retry`](crate::ClientBuilder::retry)).
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.call = self.call.retry(policy);
        self
    }

    /// Sets the trace that the call belongs to. Default: the one that the client's provider returns
    /// ([`ClientBuilder::trace_context`](crate::ClientBuilder::trace_context)).
    pub fn trace_context(mut self, context: impl Into<Option<TraceContext>>) -> Self {
        self.call = self.call.trace_context(context);
        self
    }

    /// Adds a header to the request that asks for the signature. The headers of the signed request
    /// are [`SignedUrlRequest::header`]'s.
    ///
    /// The call fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) if the key is illegal or
    /// reserved (set by this crate or by gRPC), or if the value isn't visible ASCII and spaces.
    pub fn metadata(mut self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.call = self.call.metadata(key, value);
        self
    }
}

impl IntoFuture for SignUrl {
    type Output = Result<SignedUrl, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { call, account, universe, request } = self;
            let unsigned = UnsignedUrl::new(&request, &account, &universe, SystemTime::now())
                .map_err(|error| error.during(OPERATION, &account, 0))?;
            let signature = call.with_payload(unsigned.string_to_sign.clone()).await?;
            Ok(SignedUrl::new(unsigned, signature))
        })
    }
}

impl fmt::Debug for SignUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignUrl")
            .field("account", &self.account)
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// A URL with which anyone can make one request to Cloud Storage, until it expires.
///
/// It is a secret: whoever has it can make the request. `Debug` shows neither the signature nor the
/// query string.
///
/// ```
/// use gcp_iam_credentials::signed_url::SignedUrl;
///
/// fn request(url: &SignedUrl) -> http::Request<()> {
///     let mut request = http::Request::new(());
///     *request.method_mut() = url.method().clone();
///     *request.uri_mut() = url.as_str().parse().expect("a URL");
///     // Without the headers that were signed, Cloud Storage refuses the request.
///     *request.headers_mut() = url.headers().clone();
///     request
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SignedUrl {
    text: String,
    unsigned: UnsignedUrl,
    signature: SignedBlob,
}

impl SignedUrl {
    fn new(unsigned: UnsignedUrl, signature: SignedBlob) -> Self {
        let hex = hex(signature.signature());
        let UnsignedUrl { base, query, .. } = &unsigned;
        Self { text: format!("{base}?{query}&X-Goog-Signature={hex}"), unsigned, signature }
    }

    /// Returns the URL. It is a secret: keep it out of logs.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the URL by value. It is a secret: keep it out of logs.
    pub fn into_string(self) -> String {
        self.text
    }

    /// Returns the method of the request that the URL is for.
    pub fn method(&self) -> &Method {
        &self.unsigned.method
    }

    /// Returns the headers that the request must have, with exactly these values. `host`, which every
    /// HTTP client sets, isn't among them. Their values may be secrets, and are marked sensitive.
    pub fn headers(&self) -> &HeaderMap {
        &self.unsigned.headers
    }

    /// Returns the time from which the URL is refused.
    pub fn expires_at(&self) -> SystemTime {
        self.unsigned.expires_at
    }

    /// Returns the signature, and the id of the key that made it.
    pub fn signature(&self) -> &SignedBlob {
        &self.signature
    }

    /// Returns the text that was signed. If Cloud Storage refuses the URL with
    /// `SignatureDoesNotMatch`, its reply contains the text that it expected.
    pub fn string_to_sign(&self) -> &str {
        &self.unsigned.string_to_sign
    }

    /// Returns the canonical request, whose hash is in the text that was signed. It contains the values
    /// of headers and parameters, which may be secrets.
    pub fn canonical_request(&self) -> &str {
        &self.unsigned.canonical_request
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedUrl")
            .field("method", self.method())
            .field("url", &self.unsigned.base)
            .field("expires_at", &self.expires_at())
            .field("key_id", &self.signature.key_id())
            .finish_non_exhaustive()
    }
}
