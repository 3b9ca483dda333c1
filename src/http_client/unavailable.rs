//! The replacement for connections in builds without the feature `credential-files`.

use bytes::Bytes;
use http::{Request, Uri};

use super::{Reply, SendError};
use crate::Error;

/// Sends nothing.
pub(super) struct Connections;

impl Connections {
    pub(super) fn new() -> Self {
        Self
    }

    /// Fails with an error that names `field` and the missing feature.
    pub(super) fn check(&self, _uri: &Uri, field: &'static str) -> Result<(), Error> {
        Err(Error::invalid(field, "must not be used, because this build can't call HTTP endpoints")
            .fix_by("enable the feature credential-files of gcp-iam-credentials"))
    }

    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Reply, SendError> {
        self.check(request.uri(), "url").map_err(|error| SendError { error })?;
        Err(SendError { error: Error::transport("this build can't call HTTP endpoints", false) })
    }
}
