//! SHA-256 with the cryptography of TLS.

use rustls::SupportedCipherSuite;
use rustls::crypto::CryptoProvider;
use rustls::crypto::hash::HashAlgorithm;

use super::{built_in_provider, crypto_provider};

/// Returns the SHA-256 of `data`.
///
/// A process's default provider may have no cipher suite with this hash. Then the built-in one
/// hashes. `None` if that has none either.
pub(crate) fn sha256(data: &[u8]) -> Option<[u8; 32]> {
    hashed_by(&crypto_provider(), data).or_else(|| hashed_by(&built_in_provider(), data))
}

fn hashed_by(provider: &CryptoProvider, data: &[u8]) -> Option<[u8; 32]> {
    let hash = |suite: &SupportedCipherSuite| match suite {
        SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
        SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
    };
    let sha256 =
        provider.cipher_suites.iter().map(hash).find(|it| it.algorithm() == HashAlgorithm::SHA256)?;
    sha256.hash(data).as_ref().try_into().ok()
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_hash_is_that_of_another_implementation() {
        for length in [0, 1, 55, 56, 63, 64, 65, 1000] {
            let data: Vec<u8> = (0..length).map(|index| index as u8).collect();
            assert_eq!(sha256(&data), Some(Sha256::digest(&data).into()), "{length} bytes");
        }
    }

    #[test]
    fn a_provider_without_the_hash_has_a_substitute() {
        let mut provider = built_in_provider();
        provider
            .cipher_suites
            .retain(|suite| suite.suite().as_str().is_some_and(|it| it.ends_with("SHA384")));
        assert!(!provider.cipher_suites.is_empty());
        assert_eq!(hashed_by(&provider, b"data"), None);
        assert!(sha256(b"data").is_some());
    }
}
