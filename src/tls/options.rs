//! What a program sets for TLS: its own certificate authorities, and a client identity.

use std::fmt;
#[cfg(feature = "_tls")]
use std::sync::Arc;

#[cfg(feature = "_tls")]
use crate::Error;

/// The certificate authorities to trust and the identity to show, if they aren't the usual ones.
#[derive(Clone, Default)]
pub(crate) struct TlsOptions {
    /// In PEM form.
    pub(crate) root_certificates: Option<Vec<u8>>,
    /// A certificate chain and its private key, in PEM form.
    pub(crate) client_identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl TlsOptions {
    pub(crate) fn is_set(&self) -> bool {
        self.root_certificates.is_some() || self.client_identity.is_some()
    }

    /// Returns the option that errors about TLS name.
    pub(crate) fn field(&self) -> &'static str {
        match (&self.root_certificates, &self.client_identity) {
            (None, Some(_)) => "client_identity",
            _ => "root_certificates",
        }
    }
}

#[cfg(feature = "_tls")]
impl TlsOptions {
    /// Returns the certificate authorities to trust.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there are none, or if the given ones aren't in PEM form.
    pub(crate) fn roots(&self) -> Result<Arc<rustls::RootCertStore>, Error> {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject;

        let Some(pem) = &self.root_certificates else { return super::usual_roots(self.field()) };
        let mut store = rustls::RootCertStore::empty();
        store.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
        match store.is_empty() {
            true => Err(Error::invalid("root_certificates", "must contain a certificate in PEM form")),
            false => Ok(Arc::new(store)),
        }
    }

    /// Returns the settings of connections that speak one of `protocols`, the preferred one first.
    /// May read the machine's certificate store, on the calling thread.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if an option can't be used, or if certificate and key don't belong together.
    pub(crate) fn client_config(&self, protocols: &[&[u8]]) -> Result<rustls::ClientConfig, Error> {
        let unusable =
            |error: rustls::Error| Error::invalid(self.field(), format!("cannot be used for TLS: {error}"));
        let builder = rustls::ClientConfig::builder_with_provider(super::crypto_provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(self.roots()?);
        let mut config = match &self.client_identity {
            None => builder.with_no_client_auth(),
            Some((certificates, key)) => {
                let (certificates, key) = read_identity(certificates, key, "client_identity")?;
                builder.with_client_auth_cert(certificates, key).map_err(|error| {
                    Error::invalid("client_identity", format!("cannot be used for TLS: {error}"))
                })?
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }
}

#[cfg(feature = "_tls")]
type Identity = (Vec<rustls::pki_types::CertificateDer<'static>>, rustls::pki_types::PrivateKeyDer<'static>);

/// Reads a chain of certificates and its private key, both in PEM form. Errors name `field`.
#[cfg(feature = "_tls")]
pub(crate) fn read_identity(certificates: &[u8], key: &[u8], field: &'static str) -> Result<Identity, Error> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let invalid = |expectation| Error::invalid(field, expectation);
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<_, _>>()
        .map_err(|_| invalid("must have a certificate in PEM form"))?;
    if certificates.is_empty() {
        return Err(invalid("must have a certificate in PEM form"));
    }
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|_| invalid("must have a private key in PEM form"))?;
    Ok((certificates, key))
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("root_certificates", &self.root_certificates.is_some())
            .field("client_identity", &self.client_identity.is_some())
            .finish()
    }
}

#[cfg(test)]
#[cfg(feature = "_tls")]
mod tests {
    use super::*;

    fn identity() -> (Vec<u8>, Vec<u8>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes())
    }

    /// conf: G9
    #[test]
    fn a_key_that_does_not_belong_to_the_certificate_is_invalid() {
        let ((certificate, key), (_, other_key)) = (identity(), identity());
        let with = |certificate: &[u8], key: &[u8]| {
            let client_identity = Some((certificate.to_vec(), key.to_vec()));
            let options = TlsOptions { root_certificates: Some(certificate.to_vec()), client_identity };
            options.client_config(&[b"h2"]).map(|_| ()).map_err(|error| error.field().unwrap().to_owned())
        };
        assert_eq!(with(&certificate, &key), Ok(()));
        let field = "client_identity".to_owned();
        assert_eq!(with(&certificate, &other_key), Err(field.clone()));
        assert_eq!(with(&certificate, b"no key"), Err(field));
        assert_eq!(with(b"no certificate", &key), Err("root_certificates".to_owned()));
    }

    /// conf: R5
    #[test]
    fn the_debug_form_has_no_key() {
        let (certificate, key) = identity();
        let options = TlsOptions { root_certificates: None, client_identity: Some((certificate, key)) };
        let shown = format!("{options:?}");
        assert!(options.is_set() && !shown.contains("45"), "{shown}");
    }
}
