//! TLS of a channel.

use tonic::transport::Endpoint;

use crate::Error;
use crate::tls::TlsOptions;

/// Returns the endpoint with TLS.
///
/// # Errors
///
/// `InvalidInput` if an option can't be used, or if this build has no TLS.
#[cfg(not(feature = "_tls"))]
pub(crate) fn with_tls(_endpoint: Endpoint, _options: &TlsOptions) -> Result<Endpoint, Error> {
    Err(crate::tls::not_built_in("endpoint"))
}

/// Returns the endpoint with TLS.
///
/// # Errors
///
/// `InvalidInput` if an option can't be used, or if this build has no TLS.
#[cfg(feature = "_tls")]
pub(crate) fn with_tls(endpoint: Endpoint, options: &TlsOptions) -> Result<Endpoint, Error> {
    use std::error::Error as _;

    use tonic::transport::{ClientTlsConfig, Identity};

    let roots = options.roots()?;
    let mut config =
        ClientTlsConfig::new().timeout(super::HANDSHAKE_TIMEOUT).trust_anchors(roots.roots.iter().cloned());
    if let Some((certificate, key)) = &options.client_identity {
        config = config.identity(Identity::from_pem(certificate, key));
    }
    endpoint.tls_config(config).map_err(|error| {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        Error::invalid(options.field(), format!("cannot be used for TLS: {cause}"))
    })
}
