//! An ID token that was verified.

use std::fmt;
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Error;

/// What a verified ID token says.
///
/// ```no_run
/// use gcp_iam_credentials::verify::{FetchedKeys, IdTokenRules};
///
/// # async fn show(keys: FetchedKeys, id_token: &str) -> Result<(), gcp_iam_credentials::Error> {
/// #[derive(serde::Deserialize)]
/// struct Extra {
///     azp: String,
/// }
///
/// let rules = IdTokenRules::for_audience("https://my-service.run.app").verified_email();
/// let token = keys.verify_id_token(id_token, &rules).await?;
/// println!("{} ({:?}) by {}", token.subject(), token.email(), token.claims::<Extra>()?.azp);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct IdToken {
    subject: String,
    issued_at: SystemTime,
    expires_at: SystemTime,
    claims: Map<String, Value>,
}

impl IdToken {
    pub(super) fn new(
        subject: String,
        issued_at: SystemTime,
        expires_at: SystemTime,
        claims: Map<String, Value>,
    ) -> Self {
        Self { subject, issued_at, expires_at, claims }
    }

    /// Returns the unique id of the account (`sub`). Unlike an address, it is never used again.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns the issuer (`iss`).
    pub fn issuer(&self) -> &str {
        self.text("iss").unwrap_or_default()
    }

    /// Returns the account's address, if the token contains one that the issuer has verified.
    pub fn email(&self) -> Option<&str> {
        let is_verified = self.claims.get("email_verified") == Some(&Value::Bool(true));
        self.text("email").filter(|_| is_verified)
    }

    /// Returns the Google Workspace domain of a user (`hd`). Accounts outside of one have none.
    pub fn hosted_domain(&self) -> Option<&str> {
        self.text("hd")
    }

    /// Returns when the token was issued (`iat`).
    pub fn issued_at(&self) -> SystemTime {
        self.issued_at
    }

    /// Returns when the token ends (`exp`).
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// Returns all claims, deserialized as `T`.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` with the field `claims` if they can't be deserialized as `T`.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_value(Value::Object(self.claims.clone()))
            .map_err(|_| Error::invalid("claims", "must have the requested type"))
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }
}

impl fmt::Debug for IdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdToken")
            .field("subject", &self.subject)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
