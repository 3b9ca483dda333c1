//! Which cryptography TLS uses, and which certificate authorities it trusts.

#[cfg(not(feature = "_tls"))]
use crate::Error;

/// Returns the error for an https URL in a build without TLS. It names `field`.
#[cfg(not(feature = "_tls"))]
pub(crate) fn not_built_in(field: &'static str) -> Error {
    Error::invalid(field, "must not be https, because this build has no TLS")
        .fix_by("enable the feature tls-ring or tls-aws-lc of gcp-iam-credentials")
}

/// A store of root certificates: which ones a build can use depends on its features.
#[cfg(feature = "_tls")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roots {
    /// The machine's certificate store.
    #[cfg(feature = "tls-native-roots")]
    Machine,
    /// Mozilla's roots, compiled into the program.
    #[cfg(feature = "tls-webpki-roots")]
    CompiledIn,
}

#[cfg(feature = "_tls")]
impl Roots {
    /// The stores of this build, the preferred one first.
    pub(crate) const ALL: &[Self] = &[
        #[cfg(feature = "tls-native-roots")]
        Self::Machine,
        #[cfg(feature = "tls-webpki-roots")]
        Self::CompiledIn,
    ];

    /// Sets up TLS with the first store that works: a machine without a certificate store can still
    /// use the compiled-in roots. If no store works, returns the error of the preferred one; if the
    /// build has no store, `None`.
    pub(crate) fn first_usable<T, E>(mut set_up: impl FnMut(Self) -> Result<T, E>) -> Option<Result<T, E>> {
        let mut first_error = None;
        for roots in Self::ALL {
            match set_up(*roots) {
                Ok(done) => return Some(Ok(done)),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map(Err)
    }
}

/// Returns the process's default provider. If the process has none: ring if both are built in, as
/// tonic does.
#[cfg(any(feature = "emulator", feature = "_tls"))]
pub(crate) fn crypto_provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    if let Some(chosen) = rustls::crypto::CryptoProvider::get_default() {
        return std::sync::Arc::clone(chosen);
    }
    #[cfg(feature = "tls-ring")]
    let provider = rustls::crypto::ring::default_provider();
    #[cfg(not(feature = "tls-ring"))]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    std::sync::Arc::new(provider)
}

#[cfg(all(test, feature = "_tls"))]
mod tests {
    use super::*;

    #[test]
    fn the_first_usable_store_is_taken_and_the_preferred_one_is_blamed() {
        let usable = Roots::first_usable(Ok::<Roots, Roots>);
        let unusable = Roots::first_usable(Err::<Roots, Roots>);
        let last = Roots::first_usable(|roots| match Roots::ALL.last() {
            Some(last) if *last == roots => Ok(roots),
            _ => Err(roots),
        });
        assert_eq!(usable, Roots::ALL.first().copied().map(Ok));
        assert_eq!(unusable, Roots::ALL.first().copied().map(Err));
        assert_eq!(last, Roots::ALL.last().copied().map(Ok));
    }
}
