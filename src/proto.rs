//! The generated messages and the generated client stub.
//!
//! Use [`IamCredentialsClient`](crate::IamCredentialsClient) instead if you can. To send a raw
//! request, put [`BearerLayer`](crate::BearerLayer) on a channel, and pass it to
//! [`iam_credentials_client::IamCredentialsClient`]. Then nothing is checked, added or retried.
//!
//! ```no_run
//! use gcp_iam_credentials::proto::{SignBlobRequest, iam_credentials_client};
//! use gcp_iam_credentials::{Credentials, service_account_path};
//! use tonic::transport::{Channel, ClientTlsConfig};
//! use tower::ServiceBuilder;
//!
//! # async fn raw() -> Result<(), Box<dyn std::error::Error>> {
//! let tls = ClientTlsConfig::new().with_enabled_roots();
//! let channel = Channel::from_static("https://iamcredentials.googleapis.com")
//!     .tls_config(tls)?
//!     .connect_lazy();
//! let source = Credentials::application_default()?;
//! let channel = ServiceBuilder::new().layer(source.layer()).service(channel);
//! let mut stub = iam_credentials_client::IamCredentialsClient::new(channel);
//! let reply = stub
//!     .sign_blob(SignBlobRequest {
//!         name: service_account_path("-", "sa@project.iam.gserviceaccount.com"),
//!         payload: b"bytes".to_vec(),
//!         ..SignBlobRequest::default()
//!     })
//!     .await?;
//! println!("signed with {}", reply.into_inner().key_id);
//! # Ok(())
//! # }
//! ```
//!
//! If a message contains a token, a payload or a signature, `Debug` shows only its size.

use std::fmt;

#[allow(missing_docs, unreachable_pub, unnameable_types, clippy::all, clippy::pedantic, clippy::restriction)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/google.iam.credentials.v1.rs"));
}

pub use generated::*;

/// The compiled descriptors of the API (a serialized `google.protobuf.FileDescriptorSet`), for
/// server reflection and dynamic clients.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Shows how much there is of a secret, and nothing of it.
struct Redacted(usize);

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<redacted, {} bytes>", self.0)
    }
}

impl fmt::Debug for GenerateAccessTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenerateAccessTokenResponse")
            .field("access_token", &Redacted(self.access_token.len()))
            .field("expire_time", &self.expire_time)
            .finish()
    }
}

impl fmt::Debug for GenerateIdTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenerateIdTokenResponse").field("token", &Redacted(self.token.len())).finish()
    }
}

impl fmt::Debug for SignBlobRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignBlobRequest")
            .field("name", &self.name)
            .field("delegates", &self.delegates)
            .field("payload", &Redacted(self.payload.len()))
            .finish()
    }
}

impl fmt::Debug for SignBlobResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignBlobResponse")
            .field("key_id", &self.key_id)
            .field("signed_blob", &Redacted(self.signed_blob.len()))
            .finish()
    }
}

impl fmt::Debug for SignJwtRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignJwtRequest")
            .field("name", &self.name)
            .field("delegates", &self.delegates)
            .field("payload", &Redacted(self.payload.len()))
            .finish()
    }
}

impl fmt::Debug for SignJwtResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignJwtResponse")
            .field("key_id", &self.key_id)
            .field("signed_jwt", &Redacted(self.signed_jwt.len()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_size_of_a_secret() {
        let reply = GenerateAccessTokenResponse { access_token: "hidden".to_owned(), expire_time: None };
        let shown = format!("{reply:?}");
        assert_eq!(
            shown,
            "GenerateAccessTokenResponse { access_token: <redacted, 6 bytes>, expire_time: None }"
        );
    }
}
