//! OAuth scopes that callers of this API often need.
//!
//! A scope narrows what a token may do; IAM then decides what its principal may do.

pub(crate) mod check;

/// All Google Cloud APIs. The usual choice, with access decided by IAM.
pub const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
/// All Google Cloud APIs, for reading.
pub const CLOUD_PLATFORM_READ_ONLY: &str = "https://www.googleapis.com/auth/cloud-platform.read-only";
/// The IAM APIs, this one included: the narrowest scope a source token needs for impersonation.
pub const IAM: &str = "https://www.googleapis.com/auth/iam";
/// The e-mail address of the principal.
pub const USERINFO_EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";
/// BigQuery.
pub const BIGQUERY: &str = "https://www.googleapis.com/auth/bigquery";
/// Pub/Sub.
pub const PUBSUB: &str = "https://www.googleapis.com/auth/pubsub";
/// Cloud Storage, for reading.
pub const STORAGE_READ_ONLY: &str = "https://www.googleapis.com/auth/devstorage.read_only";
/// Cloud Storage, for reading and writing.
pub const STORAGE_READ_WRITE: &str = "https://www.googleapis.com/auth/devstorage.read_write";
