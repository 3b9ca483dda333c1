//! One published key, and the signatures that it verifies.

use rustls::pki_types::{AlgorithmIdentifier, SignatureVerificationAlgorithm, alg_id};
use serde_json::Value;

use crate::jwt;
use crate::tls::crypto_provider;

/// How a signature was made. There are no others: no symmetric algorithm, and not `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSA PKCS#1 v1.5 with SHA-256. Google's ID tokens and service accounts use it.
    Rs256,
    /// ECDSA on P-256 with SHA-256. Identity-Aware Proxy uses it.
    Es256,
}

impl Algorithm {
    /// Returns the algorithm that a header names.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }

    fn ids(self) -> (AlgorithmIdentifier, AlgorithmIdentifier) {
        match self {
            Self::Rs256 => (alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA256),
            Self::Es256 => (alg_id::ECDSA_P256, alg_id::ECDSA_SHA256),
        }
    }
}

/// A key with its id. It is for one algorithm only, whatever a token's header says.
#[derive(Clone)]
pub(super) struct PublicKey {
    pub(super) id: String,
    algorithm: Algorithm,
    /// An `RSAPublicKey` of PKCS#1 in DER, or an uncompressed point.
    key: Vec<u8>,
}

impl PublicKey {
    /// Reads a JSON Web Key. Returns `None` if it is no key for signatures of a known algorithm, or
    /// if it has no id.
    pub(super) fn from_jwk(jwk: &Value) -> Option<Self> {
        let text = |member: &str| jwk.get(member)?.as_str();
        let number = |member: &str| jwt::decode(text(member)?);
        if text("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        let (algorithm, key) = match text("kty")? {
            "RSA" => {
                let numbers = [der_integer(&number("n")?), der_integer(&number("e")?)];
                (Algorithm::Rs256, der(0x30, &numbers.concat()))
            }
            "EC" if text("crv") == Some("P-256") => {
                let (x, y) = (number("x")?, number("y")?);
                let is_point = x.len() == 32 && y.len() == 32;
                (Algorithm::Es256, is_point.then(|| [&[4], &*x, &*y].concat())?)
            }
            _ => return None,
        };
        if text("alg").is_some_and(|name| Algorithm::from_name(name) != Some(algorithm)) {
            return None;
        }
        Some(Self { id: text("kid")?.to_owned(), algorithm, key })
    }

    /// Returns whether `signature` is a signature of `message` by this key, made with `algorithm`.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if algorithm != self.algorithm {
            return false;
        }
        let signature = match algorithm {
            Algorithm::Rs256 => signature.to_vec(),
            Algorithm::Es256 if signature.len() == 64 => {
                let (r, s) = signature.split_at(32);
                der(0x30, &[der_integer(r), der_integer(s)].concat())
            }
            Algorithm::Es256 => return false,
        };
        let ids = algorithm.ids();
        let is_meant = |known: &&&dyn SignatureVerificationAlgorithm| {
            (known.public_key_alg_id(), known.signature_alg_id()) == ids
        };
        let provider = crypto_provider();
        let known = provider.signature_verification_algorithms.all.iter().filter(is_meant);
        known.into_iter().any(|known| known.verify_signature(&self.key, message, &signature).is_ok())
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
}
