//! The request that a signed URL is for.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::Method;

/// The request that a signed URL is for. Whoever has the URL can make this request, and no other one.
///
/// A value that is invalid is an error of [`Signer::signed_url`](crate::Signer::signed_url) that names
/// the method which set it.
///
/// ```
/// use std::time::Duration;
/// use gcp_iam_credentials::signed_url::SignedUrlRequest;
/// use http::Method;
///
/// // A download, as a file with this name.
/// let disposition = "attachment; filename=report.pdf";
/// let download = SignedUrlRequest::get("bucket", "reports/2026 summary.pdf")
///     .query("response-content-disposition", disposition);
///
/// // An upload of a picture. Whoever uploads must send the header.
/// let upload = SignedUrlRequest::put("bucket", "pictures/1.png")
///     .lifetime(Duration::from_secs(600))
///     .header("content-type", "image/png");
///
/// // The start of a resumable upload.
/// let resumable = SignedUrlRequest::new(Method::POST, "bucket", "movie.mp4")
///     .header("x-goog-resumable", "start");
/// # let _ = (download, upload, resumable);
/// ```
#[must_use = "pass it to `Signer::signed_url`"]
#[derive(Clone)]
pub struct SignedUrlRequest {
    pub(super) method: Method,
    pub(super) bucket: String,
    /// `None` for a request to the bucket.
    pub(super) object: Option<String>,
    pub(super) lifetime: Duration,
    pub(super) accessible_at: Option<SystemTime>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) query: Vec<(String, String)>,
    pub(super) virtual_hosted: bool,
    pub(super) bucket_bound_host: Option<String>,
    pub(super) endpoint: Option<String>,
}

impl SignedUrlRequest {
    /// The default lifetime of a URL: one hour, as in `gcloud storage sign-url`.
    pub const LIFETIME: Duration = Duration::from_secs(3600);

    /// The longest lifetime of a URL: seven days.
    pub const MAX_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

    /// Creates a request to an object: `DELETE`, `GET`, `HEAD`, `POST` or `PUT`.
    ///
    /// The object's name is given as it is, not percent-encoded: 1 to 1024 bytes without line breaks.
    /// None of the parts between its slashes may be `.` or `..`, because HTTP clients remove such parts
    /// from a URL.
    pub fn new(method: Method, bucket: impl Into<String>, object: impl Into<String>) -> Self {
        Self { object: Some(object.into()), ..Self::of_bucket(method, bucket) }
    }

    /// Creates a request for the content of an object.
    pub fn get(bucket: impl Into<String>, object: impl Into<String>) -> Self {
        Self::new(Method::GET, bucket, object)
    }

    /// Creates a request that uploads an object.
    pub fn put(bucket: impl Into<String>, object: impl Into<String>) -> Self {
        Self::new(Method::PUT, bucket, object)
    }

    /// Creates a request to a bucket: `GET` lists its objects.
    pub fn of_bucket(method: Method, bucket: impl Into<String>) -> Self {
        Self {
            method,
            bucket: bucket.into(),
            object: None,
            lifetime: Self::LIFETIME,
            accessible_at: None,
            headers: Vec::new(),
            query: Vec::new(),
            virtual_hosted: false,
            bucket_bound_host: None,
            endpoint: None,
        }
    }

    /// Sets how long the URL can be used: 1 s to 7 days ([`MAX_LIFETIME`](Self::MAX_LIFETIME)). A
    /// fraction of a second is dropped. Default: 1 h ([`LIFETIME`](Self::LIFETIME)).
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the time from which the URL can be used. Its lifetime starts then. A fraction of a second is
    /// dropped. Default: the time at which it is signed.
    pub fn accessible_at(mut self, time: SystemTime) -> Self {
        self.accessible_at = Some(time);
        self
    }

    /// Adds a header that the request must have, with this value. Values of the same name add up.
    /// Default: only `host`, which is always signed and can't be added.
    ///
    /// The value is visible ASCII, spaces and tabs. Spaces at its ends don't count, and several in a
    /// row count as one. Headers whose names start with `x-goog-` must be added if the request has
    /// them, except for `x-goog-content-sha256`: with it, only a body of this SHA-256 can be sent.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds a query parameter, not percent-encoded. Each name can be added once. Names that the
    /// signature itself uses, such as `X-Goog-Date`, can't be added. Default: none.
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Puts the bucket into the host name: `https://BUCKET.storage.googleapis.com/OBJECT`. Default: into
    /// the path, `https://storage.googleapis.com/BUCKET/OBJECT`.
    ///
    /// The bucket's name must be a host name: without uppercase letters and underscores. At Google's
    /// own host, it must not contain dots either, because the certificate isn't valid for them.
    pub fn virtual_hosted(mut self) -> Self {
        self.virtual_hosted = true;
        self
    }

    /// Sets a host that serves this bucket only, such as that of a load balancer: `cdn.example.com`, or
    /// `http://cdn.example.com` for a bucket that is named by a CNAME. Default: none.
    ///
    /// The URL then doesn't contain the bucket's name. Neither [`endpoint`](Self::endpoint) nor
    /// [`virtual_hosted`](Self::virtual_hosted) can be set with it.
    pub fn bucket_bound_host(mut self, host: impl Into<String>) -> Self {
        self.bucket_bound_host = Some(host.into());
        self
    }

    /// Sets the server of the URL: a host, or a URL such as `http://localhost:4443` of an emulator of
    /// Cloud Storage. Default: `https://storage.{universe_domain}` with the client's universe.
    ///
    /// Whoever sees a URL can use it, so use `http` only for a test, or if the request is public.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }
}

impl fmt::Debug for SignedUrlRequest {
    /// Shows the names of headers and parameters. Their values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |pairs: &[(String, String)]| -> Vec<String> {
            pairs.iter().map(|(name, _)| name.clone()).collect()
        };
        f.debug_struct("SignedUrlRequest")
            .field("method", &self.method)
            .field("bucket", &self.bucket)
            .field("object", &self.object)
            .field("lifetime", &self.lifetime)
            .field("accessible_at", &self.accessible_at)
            .field("headers", &names(&self.headers))
            .field("query", &names(&self.query))
            .field("virtual_hosted", &self.virtual_hosted)
            .field("bucket_bound_host", &self.bucket_bound_host)
            .field("endpoint", &self.endpoint)
            .finish()
    }
}
