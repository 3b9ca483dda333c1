//! Which cryptography TLS uses, which certificate authorities it trusts, and which identity it shows.

#[cfg(feature = "_tls")]
mod hash;
mod identity;
mod options;
#[cfg(feature = "_tls")]
mod roots;

#[cfg(feature = "_tls")]
pub(crate) use self::hash::sha256;
pub(crate) use self::identity::{ChangingIdentity, PemIdentity};
pub(crate) use self::options::TlsOptions;
#[cfg(all(feature = "broker", feature = "_tls"))]
pub(crate) use self::options::read_identity;
#[cfg(all(feature = "credential-files", feature = "_tls"))]
pub(crate) use self::roots::has_usual_roots;
#[cfg(feature = "_tls")]
pub(crate) use self::roots::usual_roots;
#[cfg(not(feature = "_tls"))]
use crate::Error;

/// Returns the error for an https URL in a build without TLS. It names `field`.
#[cfg(not(feature = "_tls"))]
pub(crate) fn not_built_in(field: &'static str) -> Error {
    Error::invalid(field, "must not be https, because this build has no TLS")
        .fix_by("enable the feature tls-ring or tls-aws-lc of gcp-iam-credentials")
}

/// Returns the process's default provider. If the process has none: ring if both are built in, as
/// tonic does.
#[cfg(any(feature = "emulator", feature = "_tls"))]
pub(crate) fn crypto_provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    if let Some(chosen) = rustls::crypto::CryptoProvider::get_default() {
        return std::sync::Arc::clone(chosen);
    }
    std::sync::Arc::new(built_in_provider())
}

#[cfg(any(feature = "emulator", feature = "_tls"))]
fn built_in_provider() -> rustls::crypto::CryptoProvider {
    #[cfg(feature = "tls-ring")]
    return rustls::crypto::ring::default_provider();
    #[cfg(not(feature = "tls-ring"))]
    rustls::crypto::aws_lc_rs::default_provider()
}
