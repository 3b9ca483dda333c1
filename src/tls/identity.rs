//! A client identity that may change while the program runs.

use std::pin::Pin;
use std::sync::Arc;

/// A certificate chain and its private key, which belong together. Both are in PEM form.
#[derive(PartialEq, Eq)]
pub(crate) struct PemIdentity {
    pub(crate) certificates: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

/// An identity in files that others replace.
pub(crate) trait ChangingIdentity: Send + Sync {
    /// Reads the files again, unless that was done a short time ago. Files that can't be used leave
    /// the identity as it is. Takes a short time at most.
    fn refresh(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Returns the identity for new connections, the same value until it changes. `None` before the
    /// first one was read.
    fn current(&self) -> Option<Arc<PemIdentity>>;
}
