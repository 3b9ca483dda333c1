//! The call `sign_blob`, and the signature that it returns.

use std::fmt;
use std::future::IntoFuture;

use super::Request;
use crate::Error;
use crate::client::call::SIGN_BLOB;
use crate::proto::{SignBlobRequest, SignBlobResponse};
use crate::source::BoxFuture;

/// A call of [`IamCredentialsClient::sign_blob`]. Await it to send it.
///
/// ```no_run
/// use gcp_iam_credentials::IamCredentialsClient;
///
/// # async fn call() -> Result<(), gcp_iam_credentials::Error> {
/// let client = IamCredentialsClient::new()?;
/// let target = "signer@project.iam.gserviceaccount.com";
/// let blob = client.sign_blob(target, "bytes to sign").await?;
/// println!("signed with key {}", blob.key_id());
/// # Ok(())
/// # }
/// ```
///
/// [`IamCredentialsClient::sign_blob`]: crate::IamCredentialsClient::sign_blob
#[must_use = "a call does nothing until it is awaited"]
#[derive(Clone)]
pub struct SignBlob {
    pub(crate) request: Request,
    payload: Vec<u8>,
}

common_options!(SignBlob);

impl SignBlob {
    pub(crate) fn new(request: Request, payload: Vec<u8>) -> Self {
        Self { request, payload }
    }

    /// Signs this in place of the former payload.
    #[cfg(feature = "_tls")]
    pub(crate) fn with_payload(self, payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: payload.into(), ..self }
    }
}

impl IntoFuture for SignBlob {
    type Output = Result<SignedBlob, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { request, payload } = self;
            let message = |name, delegates| SignBlobRequest { name, delegates, payload };
            let read = |reply: SignBlobResponse| match reply.signed_blob {
                signature if signature.is_empty() => Err(Error::invalid_reply("the reply has no signature")),
                signature => Ok(SignedBlob { key_id: reply.key_id, signature }),
            };
            request.send(&SIGN_BLOB, message, read).await
        })
    }
}

/// A signature of bytes: RSA PKCS#1 v1.5 with SHA-256. `Debug` doesn't show it.
///
/// ```
/// use gcp_iam_credentials::call::SignedBlob;
///
/// fn hex(blob: &SignedBlob) -> String {
///     blob.signature().iter().map(|byte| format!("{byte:02x}")).collect()
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SignedBlob {
    key_id: String,
    signature: Vec<u8>,
}

impl SignedBlob {
    /// Creates the value of a signature that was made earlier, to
    /// [verify](crate::verify::PublicKeys::verify_blob) it.
    pub fn new(key_id: impl Into<String>, signature: impl Into<Vec<u8>>) -> Self {
        Self { key_id: key_id.into(), signature: signature.into() }
    }

    /// Returns the id of the key that signed. The account's published keys contain it.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Returns the signature.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Returns the signature by value.
    pub fn into_signature(self) -> Vec<u8> {
        self.signature
    }
}

impl fmt::Debug for SignedBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedBlob").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}
