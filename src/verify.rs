//! Verifies signatures of a service account with its public keys, without a call to Google.

use std::fmt;

use rustls::pki_types::{SignatureVerificationAlgorithm, alg_id};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;
use crate::call::{SignedBlob, SignedJwt};
use crate::jwt::{self, Parts};
use crate::tls::crypto_provider;

/// The published keys of a service account. They verify signatures of the account.
///
/// Google publishes them as a JSON Web Key Set at [`url`](Self::url), each key for at least twelve
/// hours after its last signature. Fetch them with any HTTP client, and keep them for about 15
/// minutes.
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

#[derive(Clone)]
struct PublicKey {
    id: String,
    /// The modulus and the exponent as an `RSAPublicKey` of PKCS#1, in DER.
    der: Vec<u8>,
}

impl PublicKeys {
    /// Returns the URL at which the keys of an account are published.
    pub fn url(email: &str) -> String {
        format!("https://www.googleapis.com/service_accounts/v1/metadata/jwk/{email}")
    }

    /// Reads a JSON Web Key Set. Keys that aren't RSA keys with an id are ignored.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if `json` isn't a key set, or has no RSA key with an id.
    pub fn from_jwks(json: &str) -> Result<Self, Error> {
        let invalid = |problem: &'static str| Error::invalid("jwks", problem);
        let set: Value = serde_json::from_str(json).map_err(|_| invalid("must be JSON"))?;
        let entries =
            set.get("keys").and_then(Value::as_array).ok_or_else(|| invalid("must have a list `keys`"))?;
        let keys: Vec<PublicKey> = entries.iter().filter_map(PublicKey::from_jwk).collect();
        match keys.is_empty() {
            true => Err(invalid("must have an RSA key with an id, got none")),
            false => Ok(Self { keys }),
        }
    }

    /// Checks that `blob` is a signature of `payload`, made with the key that `blob` names.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` with the field `key_id` if the key isn't among these. Fetch the keys
    /// again then. Returns `InvalidInput` with the field `signature` if the signature is invalid.
    pub fn verify_blob(&self, blob: &SignedBlob, payload: &[u8]) -> Result<(), Error> {
        self.verify(blob.key_id(), payload, blob.signature())
    }

    /// Checks that `jwt` was signed with the key that it names, and returns the claims.
    ///
    /// Doesn't check the claims. Check `exp` and `aud` yourself.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` with the field `jwt` if it isn't a JWT, and with the field `claims` if
    /// the claims can't be deserialized as `T`. For an unknown key and for an invalid signature, the
    /// errors are those of [`verify_blob`](Self::verify_blob).
    pub fn verify_jwt<T: DeserializeOwned>(&self, jwt: &SignedJwt) -> Result<T, Error> {
        let invalid = || Error::invalid("jwt", "must have three parts in base64url");
        // The specification forbids padding.
        let token = Some(jwt.as_str()).filter(|token| !token.contains('=')).ok_or_else(invalid)?;
        let parts = Parts::split(token).ok_or_else(invalid)?;
        let claims: Value = parts.claims().ok_or_else(invalid)?;
        let signature = parts.signature().ok_or_else(invalid)?;
        self.verify(jwt.key_id(), parts.signed.as_bytes(), &signature)?;
        serde_json::from_value(claims).map_err(|_| Error::invalid("claims", "must have the requested type"))
    }

    fn verify(&self, id: &str, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let key = self.keys.iter().find(|key| key.id == id).ok_or_else(|| {
            Error::invalid("key_id", format!("must be among the keys, got {id:?}"))
                .fix_by("fetch the keys again")
        })?;
        if is_valid(&key.der, message, signature) {
            return Ok(());
        }
        Err(Error::invalid("signature", format!("must be a signature of this content by the key {id:?}")))
    }
}

/// Returns whether `signature` is a valid RSA PKCS#1 v1.5 signature of `message` with SHA-256.
fn is_valid(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let is_rs256 = |algorithm: &&&dyn SignatureVerificationAlgorithm| {
        algorithm.public_key_alg_id() == alg_id::RSA_ENCRYPTION
            && algorithm.signature_alg_id() == alg_id::RSA_PKCS1_SHA256
    };
    let provider = crypto_provider();
    let algorithms = provider.signature_verification_algorithms.all.iter().filter(is_rs256);
    algorithms.into_iter().any(|algorithm| algorithm.verify_signature(key, message, signature).is_ok())
}

impl PublicKey {
    fn from_jwk(jwk: &Value) -> Option<Self> {
        let text = |member: &str| jwk.get(member)?.as_str();
        if text("kty")? != "RSA" {
            return None;
        }
        let number = |member: &str| jwt::decode(text(member)?);
        let der = der(0x30, &[der_integer(&number("n")?), der_integer(&number("e")?)].concat());
        Some(Self { id: text("kid")?.to_owned(), der })
    }
}

/// Encodes an unsigned number in DER. If its first bit is 1, a zero byte is put in front.
fn der_integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = &number[zeros..];
    let sign: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    der(0x02, &[sign, digits].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut encoded = vec![tag];
    let length = content.len().to_be_bytes();
    let digits = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    match digits {
        [] => encoded.push(0),
        [short] if *short < 0x80 => encoded.push(*short),
        long => {
            // A length has at most eight digits, which fits the low bits.
            encoded.push(0x80 | long.len() as u8);
            encoded.extend_from_slice(long);
        }
    }
    encoded.extend_from_slice(content);
    encoded
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
    fn numbers_and_lengths_are_encoded_in_der() {
        assert_eq!(der_integer(&[1, 0, 1]), [0x02, 3, 1, 0, 1]);
        assert_eq!(der_integer(&[0, 0, 0x80]), [0x02, 2, 0, 0x80]);
        assert_eq!(der_integer(&[]), [0x02, 1, 0]);
        let long = der(0x30, &[7; 300]);
        assert_eq!(long[..4], [0x30, 0x82, 1, 44]);
        assert_eq!(der(0x30, &[7; 200])[..3], [0x30, 0x81, 200]);
    }

    #[test]
    fn an_invalid_key_set_is_an_error() {
        for json in [
            "",
            "[]",
            "{}",
            r#"{"keys":{}}"#,
            r#"{"keys":[]}"#,
            r#"{"keys":[{"kty":"EC","kid":"a"},{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"RSA","kid":"a","n":"!","e":"AQAB"},7]}"#,
        ] {
            assert_eq!(PublicKeys::from_jwks(json).unwrap_err().field(), Some("jwks"), "{json}");
        }
    }
}
