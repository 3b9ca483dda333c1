//! TLS of a client's channel.

use tonic::transport::Endpoint;

use super::ClientBuilder;
use crate::Error;

#[cfg(not(feature = "_tls"))]
impl ClientBuilder {
    pub(super) fn with_tls(&self, _endpoint: Endpoint) -> Result<Endpoint, Error> {
        Err(crate::tls::not_built_in("endpoint"))
    }
}

#[cfg(feature = "_tls")]
impl ClientBuilder {
    pub(super) fn with_tls(&self, endpoint: Endpoint) -> Result<Endpoint, Error> {
        use std::error::Error as _;

        use tonic::transport::{ClientTlsConfig, Identity};

        use crate::client::transport::HANDSHAKE_TIMEOUT;

        let roots = self.tls.roots()?;
        let mut config =
            ClientTlsConfig::new().timeout(HANDSHAKE_TIMEOUT).trust_anchors(roots.roots.iter().cloned());
        if let Some((certificate, key)) = &self.tls.client_identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        endpoint.tls_config(config).map_err(|error| {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            Error::invalid(self.tls.field(), format!("cannot be used for TLS: {cause}"))
        })
    }
}
