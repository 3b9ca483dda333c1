//! Errors of the handle.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::emulator::error::ApiError;
use crate::emulator::iam::policy::PolicyError;

/// The error of starting an emulator, or of a method of its handle.
///
/// ```
/// # async fn example() {
/// use gcp_iam_credentials::emulator::{Emulator, EmulatorError};
///
/// let result = Emulator::builder().public_url("emulator:8095").start().await;
/// assert!(matches!(result, Err(EmulatorError::PublicUrl { .. })));
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example());
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmulatorError {
    /// The emulator can't listen on the address.
    #[error("the emulator cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        cause: Arc<std::io::Error>,
    },
    /// The public URL is invalid.
    #[error("invalid `public_url`: must have the form http://host:port or https://host:port, got {url:?}")]
    PublicUrl {
        /// The URL.
        url: String,
    },
    /// An allowed host is invalid.
    #[error("invalid `allow_host`: must be a DNS name or an IP address without a port, got {host:?}")]
    AllowedHost {
        /// The host.
        host: String,
    },
    /// The policy is invalid.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The text isn't that of a certificate authority. It contains what was found instead.
    #[error(
        "invalid `certificate_authority`: must be the certificate and the key of an emulator's authority in \
         PEM, got {0}"
    )]
    CertificateAuthority(String),
    /// A key or a certificate can't be generated, or the account doesn't exist.
    #[error("{0}")]
    Key(String),
    /// A credential file can't be made.
    #[error("{0}")]
    CredentialFile(String),
}

impl From<ApiError> for EmulatorError {
    fn from(error: ApiError) -> Self {
        Self::Key(error.message().to_owned())
    }
}
