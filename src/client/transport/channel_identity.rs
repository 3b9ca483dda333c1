//! The client identity of a channel, if it may change.

use std::sync::Arc;

use tonic::transport::Endpoint;

use super::with_tls;
use crate::tls::{ChangingIdentity, PemIdentity, TlsOptions};

/// Adds the current identity to the settings of new channels.
pub(crate) struct ChannelIdentity {
    pub(crate) identity: Arc<dyn ChangingIdentity>,
    /// The other options of TLS.
    pub(crate) tls: TlsOptions,
}

impl ChannelIdentity {
    /// Returns the endpoint with this identity.
    pub(super) fn add_to(&self, endpoint: &Endpoint, identity: &PemIdentity) -> Endpoint {
        let pair = (identity.certificates.clone(), identity.key.clone());
        let options = TlsOptions { client_identity: Some(pair), ..self.tls.clone() };
        with_tls(endpoint.clone(), &options).unwrap_or_else(|error| {
            // The pair was checked when it was read, so the server will say what is wrong.
            tracing::debug!(error = %error.in_one_line(), "the channel has no client certificate");
            endpoint.clone()
        })
    }
}

/// Returns whether two channels show the same identity.
pub(super) fn is_same(one: Option<&Arc<PemIdentity>>, other: Option<&Arc<PemIdentity>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}
