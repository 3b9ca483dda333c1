//! A failure on this machine, as the gRPC library reports it.

use std::error::Error as StdError;
use std::sync::Arc;

use tonic::Status;

/// Whether an error only wraps another one and adds nothing to its text.
pub(crate) type IsWrapper = fn(&(dyn StdError + 'static)) -> bool;

/// A status that the gRPC library made without a reply of the service.
#[derive(Clone)]
pub(super) struct LocalFailure {
    status: Arc<Status>,
    is_wrapper: IsWrapper,
}

impl LocalFailure {
    pub(super) fn new(status: Status, is_wrapper: IsWrapper) -> Self {
        Self { status: Arc::new(status), is_wrapper }
    }

    pub(super) fn status(&self) -> &Status {
        &self.status
    }

    /// The status's cause, below its wrappers.
    pub(super) fn cause(&self) -> Option<&(dyn StdError + 'static)> {
        let mut cause = self.status.source();
        while let Some(wrapper) = cause.filter(|error| (self.is_wrapper)(*error)) {
            cause = wrapper.source();
        }
        cause
    }
}
