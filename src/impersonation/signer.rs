//! Signing as another service account.

use std::fmt;

use serde::Serialize;

#[cfg(feature = "_tls")]
use super::signed_url::{SignUrl, SignedUrlRequest};
use crate::client::{SignBlob, SignJwt};
use crate::{IamCredentialsClient, ServiceAccountName};

/// Signs bytes, claims and URLs as a target service account, with a key that never leaves Google.
/// [`Impersonation::signer`](crate::Impersonation::signer) returns it.
///
/// Signatures are RSA PKCS#1 v1.5 with SHA-256, and each result contains the id of its key. To
/// verify them, use `verify::PublicKeys`.
///
/// ```no_run
/// use std::time::Duration;
/// use gcp_iam_credentials::IamCredentialsClient;
///
/// # async fn sign() -> Result<(), gcp_iam_credentials::Error> {
/// let client = IamCredentialsClient::new()?;
/// let target = "signer@project.iam.gserviceaccount.com";
/// let signer = client.impersonate(target).signer()?;
/// let signature = signer.sign_blob("bytes").await?;
///
/// let claims = serde_json::json!({ "iss": signer.email(), "aud": "me" });
/// let ten_minutes = Duration::from_secs(600);
/// let jwt = signer.sign_jwt(&claims).expires_in(ten_minutes).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Signer {
    client: IamCredentialsClient,
    target: ServiceAccountName,
    delegates: Vec<String>,
}

impl Signer {
    pub(super) fn new(
        client: IamCredentialsClient,
        target: ServiceAccountName,
        delegates: Vec<String>,
    ) -> Self {
        Self { client, target, delegates }
    }

    /// Returns the e-mail address of the account that signs.
    pub fn email(&self) -> &str {
        self.target.account()
    }

    /// Signs bytes. The service hashes them, so don't pass a hash.
    ///
    /// Returns the call of [`IamCredentialsClient::sign_blob`] with the target and the delegates
    /// set. Its errors are described there.
    pub fn sign_blob(&self, payload: impl Into<Vec<u8>>) -> SignBlob {
        self.client.sign_blob(&self.target, payload).delegates(&self.delegates)
    }

    /// Signs claims as a JWT.
    ///
    /// Returns the call of [`IamCredentialsClient::sign_jwt`] with the target and the delegates set.
    /// Its errors are described there.
    pub fn sign_jwt(&self, claims: &impl Serialize) -> SignJwt {
        self.client.sign_jwt(&self.target, claims).delegates(&self.delegates)
    }

    /// Signs a URL of Cloud Storage (V4), with which anyone can make one request as the target until
    /// the URL expires. The target needs the permission for the request, such as
    /// `storage.objects.get`.
    ///
    /// Makes one call of [`sign_blob`](Self::sign_blob). Nothing is sent to Cloud Storage.
    ///
    /// # Errors
    ///
    /// Awaiting the call returns `InvalidInput`, without sending a request, if a value of the request is
    /// invalid. Otherwise it returns what [`IamCredentialsClient::sign_blob`] does.
    ///
    /// ```no_run
    /// use gcp_iam_credentials::IamCredentialsClient;
    /// use gcp_iam_credentials::signed_url::SignedUrlRequest;
    ///
    /// # async fn sign() -> Result<(), gcp_iam_credentials::Error> {
    /// let client = IamCredentialsClient::new()?;
    /// let signer = client.impersonate("signer@project.iam.gserviceaccount.com").signer()?;
    /// let request = SignedUrlRequest::get("bucket", "reports/2026 summary.pdf");
    /// let url = signer.signed_url(request).await?;
    /// println!("{}", url.as_str());
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "_tls")]
    pub fn signed_url(&self, request: SignedUrlRequest) -> SignUrl {
        SignUrl::new(self.sign_blob(""), self.email(), self.client.universe_domain(), request)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("email", &self.email())
            .field("delegates", &self.delegates)
            .finish_non_exhaustive()
    }
}
