//! The replacement for connections in builds without the feature `credential-files`.

use bytes::Bytes;
use http::{Request, Uri};

use super::Reply;
use crate::Error;
use crate::proxy::Proxies;
use crate::tls::TlsOptions;

/// Sends nothing.
pub(super) struct Pool;

impl Pool {
    pub(super) fn new(_tls: TlsOptions, _proxies: Proxies) -> Self {
        Self
    }

    /// Fails with an error that names `field` and the missing feature.
    pub(super) fn check(&self, _uri: &Uri, field: &'static str) -> Result<(), Error> {
        Err(Error::invalid(field, "must not be used, because this build can't call HTTP endpoints")
            .fix_by("enable the feature credential-files of gcp-iam-credentials"))
    }

    #[allow(dead_code, reason = "sources with certificates call it")]
    pub(super) async fn set_client_identity(&self, _identity: (Vec<u8>, Vec<u8>)) -> Result<(), Error> {
        Ok(())
    }

    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Reply, Error> {
        self.check(request.uri(), "url")?;
        Err(Error::transport("this build can't call HTTP endpoints", false))
    }
}
