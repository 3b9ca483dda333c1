//! The public half of a service account's keys, to check signatures on this machine.

use std::fmt;

use rustls::pki_types::alg_id;
use serde_json::Value;

use crate::jwt::{self, Parts};
use crate::tls::crypto_provider;
use crate::{Error, SignedBlob, SignedJwt};

/// The published keys of a service account, to check what it signed.
///
/// They stand as a JSON Web Key Set at the address that [`url`](Self::url) gives, each for at
/// least twelve hours after it last signed; keep them for about a quarter of an hour. Fetching
/// them is the caller's: with whatever HTTP client the program has.
///
/// ```no_run
/// use gcp_iam_credentials::{Error, PublicKeys, Signer};
///
/// # fn http_get(url: &str) -> String { String::new() }
/// # async fn check(signer: Signer) -> Result<(), Error> {
/// let blob = signer.sign_blob("bytes").await?;
/// let keys = PublicKeys::from_jwks(&http_get(&PublicKeys::url(signer.email())))?;
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
    /// Where the keys of an account are published.
    pub fn url(email: &str) -> String {
        format!("https://www.googleapis.com/service_accounts/v1/metadata/jwk/{email}")
    }

    /// Reads a JSON Web Key Set. Keys other than RSA keys with an id are passed over.
    ///
    /// # Errors
    ///
    /// Where the text is no key set, or holds no key that can be used.
    pub fn from_jwks(json: &str) -> Result<Self, Error> {
        let invalid = |problem: &'static str| Error::invalid("jwks", problem);
        let set: Value = serde_json::from_str(json).map_err(|_| invalid("is not JSON"))?;
        let entries =
            set.get("keys").and_then(Value::as_array).ok_or_else(|| invalid("has no list of keys"))?;
        let keys: Vec<PublicKey> = entries.iter().filter_map(PublicKey::from_jwk).collect();
        match keys.is_empty() {
            true => Err(invalid("holds no RSA key with an id")),
            false => Ok(Self { keys }),
        }
    }

    /// Checks that one of the keys signed `payload`: the one that the signature names.
    ///
    /// # Errors
    ///
    /// Where the key is not among these (fetch them anew), or the signature is not of this payload.
    pub fn verify_blob(&self, blob: &SignedBlob, payload: &[u8]) -> Result<(), Error> {
        self.verify(blob.key_id(), payload, blob.signature())
    }

    /// Checks that one of the keys signed a JWT, and returns its claims. Whether they are in time
    /// and meant for the reader is not looked at.
    ///
    /// # Errors
    ///
    /// Where the token is no JWT, the key is not among these (fetch them anew), or the signature is
    /// not of this token.
    pub fn verify_jwt(&self, jwt: &SignedJwt) -> Result<Value, Error> {
        let invalid = || Error::invalid("jwt", "is not a JWT of three parts in base64url");
        // The specification forbids padding.
        let token = Some(jwt.secret()).filter(|token| !token.contains('=')).ok_or_else(invalid)?;
        let parts = Parts::split(token).ok_or_else(invalid)?;
        let claims = parts.claims().ok_or_else(invalid)?;
        let signature = parts.signature().ok_or_else(invalid)?;
        self.verify(jwt.key_id(), parts.signed.as_bytes(), &signature)?;
        Ok(claims)
    }

    fn verify(&self, id: &str, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let key = self.keys.iter().find(|key| key.id == id).ok_or_else(|| {
            Error::invalid("key_id", format!("{id:?} is not among the keys at hand: fetch them anew"))
        })?;
        let verified = crypto_provider()
            .signature_verification_algorithms
            .all
            .iter()
            .filter(|algorithm| {
                algorithm.public_key_alg_id() == alg_id::RSA_ENCRYPTION
                    && algorithm.signature_alg_id() == alg_id::RSA_PKCS1_SHA256
            })
            .any(|algorithm| algorithm.verify_signature(&key.der, message, signature).is_ok());
        match verified {
            true => Ok(()),
            false => {
                Err(Error::invalid("signature", format!("is not by the key {id:?}, or not of this content")))
            }
        }
    }
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

/// An unsigned number as DER has it: with a zero before a leading one bit.
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
    fn numbers_are_written_as_der_has_them() {
        assert_eq!(der_integer(&[1, 0, 1]), [0x02, 3, 1, 0, 1]);
        assert_eq!(der_integer(&[0, 0, 0x80]), [0x02, 2, 0, 0x80]);
        assert_eq!(der_integer(&[]), [0x02, 1, 0]);
        let long = der(0x30, &[7; 300]);
        assert_eq!(long[..4], [0x30, 0x82, 1, 44]);
        assert_eq!(der(0x30, &[7; 200])[..3], [0x30, 0x81, 200]);
    }

    #[test]
    fn a_key_set_that_cannot_be_used_is_refused() {
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
