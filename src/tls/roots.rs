//! The certificate authorities that the Cargo features name.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::RootCertStore;

use crate::Error;

/// A store of root certificates: which ones a build can use depends on its features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Roots {
    /// The machine's certificate store.
    #[cfg(feature = "tls-native-roots")]
    Machine,
    /// Mozilla's roots, compiled into the program.
    #[cfg(feature = "tls-webpki-roots")]
    CompiledIn,
}

impl Roots {
    /// The stores of this build, the preferred one first.
    const ALL: &[Self] = &[
        #[cfg(feature = "tls-native-roots")]
        Self::Machine,
        #[cfg(feature = "tls-webpki-roots")]
        Self::CompiledIn,
    ];

    fn read(self) -> Result<RootCertStore, String> {
        match self {
            #[cfg(feature = "tls-native-roots")]
            Self::Machine => machines_store(),
            #[cfg(feature = "tls-webpki-roots")]
            Self::CompiledIn => Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()),
        }
    }
}

#[cfg(feature = "tls-native-roots")]
fn machines_store() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    if !store.is_empty() {
        return Ok(store);
    }
    let reason = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
    Err(format!("the machine's certificate store has no usable certificate{reason}"))
}

/// Returns whether this build trusts any certificate authority by itself.
#[cfg(feature = "credential-files")]
pub(crate) fn has_usual_roots() -> bool {
    !Roots::ALL.is_empty()
}

/// Returns the certificate authorities that the Cargo features name. The process reads them once, on
/// the calling thread.
///
/// # Errors
///
/// `InvalidInput` that names `field`, if no store can be used.
pub(crate) fn usual_roots(field: &'static str) -> Result<Arc<RootCertStore>, Error> {
    static USUAL: Mutex<Option<Arc<RootCertStore>>> = Mutex::new(None);
    let mut usual = USUAL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(roots) = &*usual {
        return Ok(Arc::clone(roots));
    }
    let roots = match first_usable(Roots::read) {
        Some(outcome) => {
            outcome.map_err(|problem| Error::invalid(field, format!("cannot be used for TLS: {problem}")))?
        }
        None => return Err(no_roots()),
    };
    Ok(Arc::clone(usual.insert(Arc::new(roots))))
}

fn no_roots() -> Error {
    Error::invalid("root_certificates", "must be set: this build trusts no roots")
        .fix_by("set them, or enable the feature tls-native-roots or tls-webpki-roots")
}

/// Returns the first store that works: a machine without a certificate store can still use the
/// compiled-in roots. If no store works, returns the error of the preferred one; if the build has no
/// store, `None`.
fn first_usable<T, E>(mut read: impl FnMut(Roots) -> Result<T, E>) -> Option<Result<T, E>> {
    let mut first_error = None;
    for roots in Roots::ALL {
        match read(*roots) {
            Ok(store) => return Some(Ok(store)),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    first_error.map(Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_usable_store_is_taken_and_the_preferred_one_is_blamed() {
        let usable = first_usable(Ok::<Roots, Roots>);
        let unusable = first_usable(Err::<Roots, Roots>);
        let last = first_usable(|roots| match Roots::ALL.last() {
            Some(last) if *last == roots => Ok(roots),
            _ => Err(roots),
        });
        assert_eq!(usable, Roots::ALL.first().copied().map(Ok));
        assert_eq!(unusable, Roots::ALL.first().copied().map(Err));
        assert_eq!(last, Roots::ALL.last().copied().map(Ok));
    }

    #[cfg(any(feature = "tls-native-roots", feature = "tls-webpki-roots"))]
    #[test]
    fn the_process_reads_its_roots_once() {
        let first = usual_roots("endpoint").unwrap();
        assert!(Arc::ptr_eq(&first, &usual_roots("endpoint").unwrap()));
        assert!(!first.is_empty());
    }
}
