//! Signers of this crate for the official clients.

use bytes::Bytes;
use google_cloud_auth::signer::{self, SigningError, SigningProvider};

use crate::Signer;

/// Official clients, such as google-cloud-storage, sign with this signer, for example their signed
/// URLs.
///
/// The official signers can't become signers of this crate: they don't tell the id of the key.
impl From<Signer> for signer::Signer {
    fn from(ours: Signer) -> Self {
        Self::from(Provider(ours))
    }
}

#[derive(Debug)]
struct Provider(Signer);

impl SigningProvider for Provider {
    async fn client_email(&self) -> Result<String, SigningError> {
        Ok(self.0.email().to_owned())
    }

    async fn sign(&self, content: &[u8]) -> Result<Bytes, SigningError> {
        let blob = self.0.sign_blob(content).await.map_err(SigningError::from_msg)?;
        Ok(Bytes::copy_from_slice(blob.signature()))
    }
}
