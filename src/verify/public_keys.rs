//! Keys that the program has, and what they verify.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::id_token::IdToken;
use super::id_token_rules::IdTokenRules;
use super::public_key::{Algorithm, PublicKey};
use super::token::Token;
use crate::Error;
use crate::call::SignedBlob;
use crate::error::shorten;

/// Published keys: of Google, of a service account, or of another issuer.
///
/// [`FetchedKeys`](super::FetchedKeys) fetches them. This type is for programs that fetch a key set
/// themselves.
///
/// ```no_run
/// use gcp_iam_credentials::verify::PublicKeys;
/// use gcp_iam_credentials::{Error, Signer};
///
/// # fn http_get(url: &str) -> String { String::new() }
/// # async fn check(signer: Signer) -> Result<(), Error> {
/// let blob = signer.sign_blob("bytes").await?;
/// let jwks = http_get(&PublicKeys::url(signer.email()));
/// let keys = PublicKeys::from_jwks(&jwks)?;
/// keys.verify_blob(&blob, b"bytes")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PublicKeys {
    keys: Vec<PublicKey>,
}

impl PublicKeys {
    /// The URL of the keys that sign Google's ID tokens.
    pub const GOOGLE_URL: &str = "https://www.googleapis.com/oauth2/v3/certs";

    /// The URL of the keys that sign the tokens of Identity-Aware Proxy, whose issuer is
    /// `https://cloud.google.com/iap`.
    pub const IAP_URL: &str = "https://www.gstatic.com/iap/verify/public_key-jwk";

    /// Returns the URL at which the keys of an account are published, each for at least twelve hours
    /// after its last signature.
    pub fn url(email: &str) -> String {
        format!("https://www.googleapis.com/service_accounts/v1/metadata/jwk/{email}")
    }

    /// Reads a JSON Web Key Set. Keys without an id, and keys that aren't for signatures by RS256 or
    /// ES256, are ignored.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if `json` isn't a key set, or has no usable key.
    pub fn from_jwks(json: &str) -> Result<Self, Error> {
        let invalid = |problem: &'static str| Error::invalid("jwks", problem);
        let set: Value = serde_json::from_str(json).map_err(|_| invalid("must be JSON"))?;
        let entries =
            set.get("keys").and_then(Value::as_array).ok_or_else(|| invalid("must have a list `keys`"))?;
        let keys: Vec<PublicKey> = entries.iter().filter_map(PublicKey::from_jwk).collect();
        match keys.is_empty() {
            true => Err(invalid("must have an RSA or P-256 key with an id, got none")),
            false => Ok(Self { keys }),
        }
    }

    /// Checks an ID token: its signature by one of these keys, and its claims by `rules`.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` with the field `jwt` if it isn't a JWT that is signed with RS256 or
    /// ES256, and with the field of the claim, `aud` for example, if `rules` don't accept it. For an
    /// unknown key and for an invalid signature, the errors are those of
    /// [`verify_blob`](Self::verify_blob).
    pub fn verify_id_token(&self, id_token: &str, rules: &IdTokenRules) -> Result<IdToken, Error> {
        let token = Token::read(id_token)?;
        self.verify_token(&token)?;
        rules.check(&token.claims)
    }

    /// Checks that `blob` is a signature of `payload`, made with the key that `blob` names.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` with the field `key_id` if the key isn't among these. Fetch the keys
    /// again then. Returns `InvalidInput` with the field `signature` if the signature is invalid.
    pub fn verify_blob(&self, blob: &SignedBlob, payload: &[u8]) -> Result<(), Error> {
        self.verify(blob.key_id(), Algorithm::Rs256, payload, blob.signature())
    }

    /// Checks that a JWT was signed with the key that its header names, and returns the claims.
    ///
    /// Doesn't check the claims. Check `exp` and `aud` yourself.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` with the field `jwt` if it isn't a JWT that is signed with RS256 or
    /// ES256, or if a claim occurs twice, and with the field `claims` if the claims can't be
    /// deserialized as `T`. For an unknown key and for an invalid signature, the errors are those of
    /// [`verify_blob`](Self::verify_blob).
    pub fn verify_jwt<T: DeserializeOwned>(&self, jwt: &str) -> Result<T, Error> {
        let token = Token::read(jwt)?;
        self.verify_token(&token)?;
        serde_json::from_value(Value::Object(token.claims))
            .map_err(|_| Error::invalid("claims", "must have the requested type"))
    }

    /// Returns whether a key with this id is among these.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id == id)
    }

    fn verify_token(&self, token: &Token<'_>) -> Result<(), Error> {
        self.verify(&token.key_id, token.algorithm, token.signed.as_bytes(), &token.signature)
    }

    fn verify(&self, id: &str, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        if !self.contains(id) {
            let error = Error::invalid("key_id", format!("must be among the keys, got {:?}", shorten(id)));
            return Err(error.fix_by("fetch the keys again"));
        }
        let mut named = self.keys.iter().filter(|key| key.id == id);
        if named.any(|key| key.verifies(algorithm, message, signature)) {
            return Ok(());
        }
        let expectation = format!("must be a signature of this content by the key {:?}", shorten(id));
        Err(Error::invalid("signature", expectation))
    }
}

impl fmt::Debug for PublicKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|key| key.id.as_str()).collect();
        f.debug_struct("PublicKeys").field("ids", &ids).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_key_set_is_an_error() {
        for json in [
            "",
            "[]",
            "{}",
            r#"{"keys":{}}"#,
            r#"{"keys":[]}"#,
            r#"{"keys":[{"kty":"EC","kid":"a"},{"kty":"EC","crv":"P-256","x":"AQAB","y":"AQAB","kid":"a"},{"kty":"RSA","kid":"a","use":"enc","n":"AQAB","e":"AQAB"},{"kty":"RSA","kid":"a","alg":"HS256","n":"AQAB","e":"AQAB"},{"kty":"oct","kid":"a","k":"AQAB"},{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"RSA","kid":"a","n":"!","e":"AQAB"},7]}"#,
        ] {
            assert_eq!(PublicKeys::from_jwks(json).unwrap_err().field(), Some("jwks"), "{json}");
        }
    }
}
