//! TLS with client certificates.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use webpki::EndEntityCert;

use super::peer::{Channel, Peer};
use super::policy::Caller;
use super::stream::Stream;
use crate::Error;
use crate::tls::{crypto_provider, read_identity};

/// How long a client may take for the TLS handshake: 10 s.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The protocols that are spoken, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificate that a server shows, and whose certificates it accepts.
///
/// ```no_run
/// use gcp_iam_credentials::broker::ServerTls;
///
/// # fn tls() -> Result<(), Box<dyn std::error::Error>> {
/// let read = std::fs::read;
/// let tls = ServerTls::new(&read("broker.pem")?, &read("broker.key")?, &read("clients-ca.pem")?)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServerTls(Arc<ServerConfig>);

impl ServerTls {
    /// Makes the settings of a server with this certificate chain and private key. Clients need certificates of one of
    /// `authorities`. All are in PEM form.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if one isn't in PEM form, or if certificate and key don't belong together.
    pub fn new(certificates: &[u8], key: &[u8], authorities: &[u8]) -> Result<Self, Error> {
        let invalid = |field: &'static str, problem: &dyn fmt::Display| {
            Error::invalid(field, format!("cannot be used for TLS: {problem}"))
        };
        let provider = crypto_provider();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(authorities).filter_map(Result::ok));
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| invalid("authorities", &error))?;
        let (certificates, key) = read_identity(certificates, key, "certificates")?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| invalid("certificates", &error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates, key)
            .map_err(|error| invalid("certificates", &error))?;
        config.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Self(Arc::new(config)))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

/// The settings that are in force for new connections.
#[derive(Clone)]
pub(super) struct Tls(Arc<ArcSwap<ServerConfig>>);

impl Tls {
    pub(super) fn new(tls: ServerTls) -> Self {
        Self(Arc::new(ArcSwap::new(tls.0)))
    }

    pub(super) fn set(&self, tls: ServerTls) {
        self.0.store(tls.0);
    }

    /// Returns the connection of a client whose certificate is accepted.
    pub(super) async fn accept(&self, stream: TcpStream) -> Option<(Box<dyn Stream>, Peer)> {
        let address = stream.peer_addr().ok()?.ip();
        let acceptor = TlsAcceptor::from(self.0.load_full());
        let stream = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await.ok()?.ok()?;
        let certificate = stream.get_ref().1.peer_certificates()?.first()?;
        let caller =
            Caller::new().with_source(address).with_principal(identity(certificate).unwrap_or_default());
        Some((Box::new(stream), Peer { channel: Channel::Tls, caller }))
    }
}

/// Returns the identity in a certificate: its only URI, such as a SPIFFE id, or else its only DNS name.
///
/// A certificate with several is nobody's: which of them is meant isn't known.
fn identity(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let uris: Vec<&str> = certificate.valid_uri_names().collect();
    let names = if uris.is_empty() { certificate.valid_dns_names().collect() } else { uris };
    match names.as_slice() {
        [only] => Some((*only).to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(names: &[SanType]) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.to_vec();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    /// conf: Y9
    #[test]
    fn a_certificate_has_one_identity_or_none() {
        let uri = |text: &str| SanType::URI(text.try_into().unwrap());
        let dns = |text: &str| SanType::DnsName(text.try_into().unwrap());
        for (names, expected) in [
            (vec![uri("spiffe://d/a")], Some("spiffe://d/a")),
            (vec![dns("a.example"), uri("spiffe://d/a"), dns("b.example")], Some("spiffe://d/a")),
            (vec![uri("spiffe://d/a"), uri("spiffe://d/b")], None),
            (vec![dns("a.example")], Some("a.example")),
            (vec![dns("a.example"), dns("b.example")], None),
            (vec![], None),
        ] {
            assert_eq!(identity(&certificate(&names)).as_deref(), expected, "{names:?}");
        }
    }

    /// conf: Y9
    #[test]
    fn files_that_cannot_be_used_are_refused_by_name() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let other = KeyPair::generate().unwrap().serialize_pem();
        let field = |certificates: &str, key: &str, authorities: &str| {
            let tls = ServerTls::new(certificates.as_bytes(), key.as_bytes(), authorities.as_bytes());
            tls.err().map(|error| error.field().unwrap().to_owned())
        };
        assert_eq!(field(&certificate, &key, &certificate), None);
        for (certificates, key, authorities, expected) in [
            ("", &*key, &*certificate, "certificates"),
            (&*certificate, "", &*certificate, "certificates"),
            (&*certificate, &*other, &*certificate, "certificates"),
            (&*certificate, &*key, "", "authorities"),
        ] {
            assert_eq!(field(certificates, key, authorities).as_deref(), Some(expected));
        }
    }
}
