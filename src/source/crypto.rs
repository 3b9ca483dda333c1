//! Which cryptography TLS and signatures use.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The process's choice, else ring where both are built in, as tonic has it.
pub(crate) fn crypto_provider() -> Arc<CryptoProvider> {
    if let Some(chosen) = CryptoProvider::get_default() {
        return Arc::clone(chosen);
    }
    #[cfg(feature = "tls-ring")]
    let provider = rustls::crypto::ring::default_provider();
    #[cfg(not(feature = "tls-ring"))]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Arc::new(provider)
}
