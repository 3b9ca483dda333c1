//! TLS of a client's channel.

use tonic::transport::Endpoint;

use super::ClientBuilder;
use crate::Error;
#[cfg(feature = "_tls")]
use crate::client::transport::HANDSHAKE_TIMEOUT;

impl ClientBuilder {
    pub(super) fn has_tls_options(&self) -> bool {
        self.root_certificates.is_some() || self.client_identity.is_some()
    }

    pub(super) fn tls_field(&self) -> &'static str {
        if self.root_certificates.is_some() { "root_certificates" } else { "client_identity" }
    }

    #[cfg(not(feature = "_tls"))]
    pub(super) fn with_tls(&self, _endpoint: Endpoint) -> Result<Endpoint, Error> {
        Err(crate::tls::not_built_in("endpoint"))
    }

    #[cfg(feature = "_tls")]
    pub(super) fn with_tls(&self, endpoint: Endpoint) -> Result<Endpoint, Error> {
        use tonic::transport::{ClientTlsConfig, Identity};

        let mut config = ClientTlsConfig::new().timeout(HANDSHAKE_TIMEOUT);
        if let Some((certificate, key)) = &self.client_identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        match &self.root_certificates {
            Some(pem) => enabled::with_given_roots(endpoint, config, pem, self.tls_field()),
            None => {
                let field =
                    if self.client_identity.is_some() { "client_identity" } else { "root_certificates" };
                enabled::with_usual_roots(&endpoint, &config, field)
            }
        }
    }
}

#[cfg(feature = "_tls")]
mod enabled {
    use std::error::Error as StdError;

    use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

    use crate::Error;
    use crate::tls::Roots;

    const PEM_CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

    /// Trusts the certificate authorities that the program gave. Errors name `field`.
    pub(super) fn with_given_roots(
        endpoint: Endpoint,
        config: ClientTlsConfig,
        pem: &[u8],
        field: &'static str,
    ) -> Result<Endpoint, Error> {
        if !pem.windows(PEM_CERTIFICATE.len()).any(|text| text == PEM_CERTIFICATE) {
            return Err(Error::invalid("root_certificates", "must contain a certificate in PEM form"));
        }
        let config = config.ca_certificate(Certificate::from_pem(pem));
        endpoint.tls_config(config).map_err(|error| unusable(field, &error))
    }

    /// Trusts the roots that the features name. Errors name `field`.
    #[cfg_attr(
        not(any(feature = "tls-native-roots", feature = "tls-webpki-roots")),
        expect(unused_variables, reason = "without roots there is nothing to configure")
    )]
    pub(super) fn with_usual_roots(
        endpoint: &Endpoint,
        config: &ClientTlsConfig,
        field: &'static str,
    ) -> Result<Endpoint, Error> {
        let with_roots = |roots: Roots| -> ClientTlsConfig {
            match roots {
                #[cfg(feature = "tls-native-roots")]
                Roots::Machine => config.clone().with_native_roots(),
                #[cfg(feature = "tls-webpki-roots")]
                Roots::CompiledIn => config.clone().with_webpki_roots(),
            }
        };
        let outcome = Roots::first_usable(|roots| endpoint.clone().tls_config(with_roots(roots)));
        match outcome {
            Some(outcome) => outcome.map_err(|error| unusable(field, &error)),
            None => {
                let error = Error::invalid("root_certificates", "must be set: this build trusts no roots");
                Err(error.fix_by("set them, or enable the feature tls-native-roots or tls-webpki-roots"))
            }
        }
    }

    fn unusable(field: &'static str, error: &tonic::transport::Error) -> Error {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        Error::invalid(field, format!("cannot be used for TLS: {cause}"))
    }
}
