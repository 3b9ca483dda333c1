//! OAuth scopes that callers of this API often need.
//!
//! A scope limits which APIs a token can be used for. What the principal may do there is up to IAM.
//!
//! A scope is a URL, or one of `openid`, `email` and `profile`. Anything else is refused with advice
//! before it is sent, a short name such as `cloud-platform` included.
//!
//! ```
//! use gcp_iam_credentials::scopes;
//!
//! assert!(scopes::PUBSUB.starts_with("https://www.googleapis.com/auth/"));
//! ```

pub(crate) mod check;
#[cfg(feature = "gcp-auth")]
pub(crate) mod coverage;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

/// All Google Cloud APIs: the usual choice.
/// `https://www.googleapis.com/auth/cloud-platform`
pub const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
/// All Google Cloud APIs, for reading.
/// `https://www.googleapis.com/auth/cloud-platform.read-only`
pub const CLOUD_PLATFORM_READ_ONLY: &str = "https://www.googleapis.com/auth/cloud-platform.read-only";
/// The IAM APIs, including this one: the narrowest scope that a source token needs for
/// impersonation. `https://www.googleapis.com/auth/iam`
pub const IAM: &str = "https://www.googleapis.com/auth/iam";
/// The e-mail address of the principal.
/// `https://www.googleapis.com/auth/userinfo.email`
pub const USERINFO_EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";
/// BigQuery. `https://www.googleapis.com/auth/bigquery`
pub const BIGQUERY: &str = "https://www.googleapis.com/auth/bigquery";
/// Pub/Sub. `https://www.googleapis.com/auth/pubsub`
pub const PUBSUB: &str = "https://www.googleapis.com/auth/pubsub";
/// Cloud Storage, for reading.
/// `https://www.googleapis.com/auth/devstorage.read_only`
pub const STORAGE_READ_ONLY: &str = "https://www.googleapis.com/auth/devstorage.read_only";
/// Cloud Storage, for reading and writing.
/// `https://www.googleapis.com/auth/devstorage.read_write`
pub const STORAGE_READ_WRITE: &str = "https://www.googleapis.com/auth/devstorage.read_write";
