//! The certificate authority whose certificates an emulator serves TLS with.

use std::fmt;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::control::handle::EmulatorError;
use crate::tls::crypto_provider;

/// The name in the authority's certificate.
const NAME: &str = "IAM credentials emulator: certificate authority";

/// A certificate authority: the certificate that clients trust, and its key.
///
/// An emulator makes one when it starts. To let clients trust one authority in several runs, make it once and
/// keep it:
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use gcp_iam_credentials::emulator::{CertificateAuthority, Emulator};
///
/// let kept = CertificateAuthority::generate()?.to_pem();
/// // … in each run …
/// let authority = CertificateAuthority::from_pem(&kept)?;
/// let emulator = Emulator::builder().certificate_authority(authority.clone()).start().await?;
/// assert_eq!(emulator.ca_pem(), authority.certificate_pem());
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
///
/// Whoever has the key can pretend to be any host to a client that trusts the certificate.
#[derive(Clone)]
pub struct CertificateAuthority {
    certificate_pem: String,
    key_pem: String,
}

impl CertificateAuthority {
    /// Generates an authority. Its certificate doesn't expire.
    ///
    /// # Errors
    ///
    /// Returns [`EmulatorError::Key`] if no key can be generated.
    pub fn generate() -> Result<Self, EmulatorError> {
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params().self_signed(&key).map_err(failed)?;
        Ok(Self { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// Reads what [`to_pem`](Self::to_pem) returned.
    ///
    /// # Errors
    ///
    /// Returns [`EmulatorError::CertificateAuthority`] if `pem` isn't the certificate and the key of an
    /// authority of this type.
    pub fn from_pem(pem: &str) -> Result<Self, EmulatorError> {
        let invalid = |got: &str| EmulatorError::CertificateAuthority(got.to_owned());
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| invalid("no certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| invalid("no key"))?;
        let key = KeyPair::try_from(&key).map_err(|_| invalid("a key of another type"))?;
        let begin = pem.find("-----BEGIN CERTIFICATE-----").unwrap_or_default();
        let end = pem[begin..].find("-----END CERTIFICATE-----").unwrap_or_default() + begin;
        let certificate_pem = format!("{}-----END CERTIFICATE-----\n", &pem[begin..end]);
        let authority = Self { certificate_pem, key_pem: key.serialize_pem() };
        if authority.has_issued_under(&certificate) {
            Ok(authority)
        } else {
            Err(invalid("a certificate that isn't the key's, or that no emulator made"))
        }
    }

    /// Returns the certificate in PEM, without the key. Clients must trust it.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Returns the certificate and the key in PEM. The key is a secret.
    pub fn to_pem(&self) -> String {
        format!("{}{}", self.certificate_pem, self.key_pem)
    }

    /// Returns a certificate with these parameters, which the authority signs.
    pub(super) fn sign(
        &self,
        leaf: &CertificateParams,
        leaf_key: &KeyPair,
    ) -> Result<Certificate, rcgen::Error> {
        // The parameters are always the same, so only the key makes the difference.
        let issuer = Issuer::new(params(), KeyPair::from_pem(&self.key_pem)?);
        leaf.signed_by(leaf_key, &issuer)
    }

    /// Returns whether clients that trust `certificate` accept what this authority signs.
    fn has_issued_under(&self, certificate: &CertificateDer<'_>) -> bool {
        let check = || -> Result<(), Box<dyn std::error::Error>> {
            let leaf = CertificateParams::new(["localhost".to_owned()])?;
            let leaf = self.sign(&leaf, &KeyPair::generate()?)?;
            let mut roots = RootCertStore::empty();
            roots.add(certificate.clone())?;
            let verifier =
                WebPkiServerVerifier::builder_with_provider(roots.into(), crypto_provider()).build()?;
            let name = ServerName::try_from("localhost")?;
            verifier.verify_server_cert(leaf.der(), &[], &name, &[], UnixTime::now())?;
            Ok(())
        };
        check().is_ok()
    }
}

impl fmt::Debug for CertificateAuthority {
    /// Leaves out the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority").finish_non_exhaustive()
    }
}

fn params() -> CertificateParams {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, NAME);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority
}

#[expect(clippy::needless_pass_by_value, reason = "it is the argument of map_err")]
fn failed(error: rcgen::Error) -> EmulatorError {
    EmulatorError::Key(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_can_be_kept_and_shows_no_key() {
        let made = CertificateAuthority::generate().unwrap();
        let kept = made.to_pem();
        let read = CertificateAuthority::from_pem(&kept).unwrap();
        assert_eq!(read.to_pem(), kept);
        assert_eq!(read.certificate_pem(), made.certificate_pem());
        let shown = format!("{made:?} {}", made.certificate_pem());
        assert!(!shown.contains("PRIVATE KEY"), "{shown}");
        let (certificate, key) = kept.split_at(made.certificate_pem().len());
        let swapped = CertificateAuthority::from_pem(&format!("{key}some text\n{certificate}")).unwrap();
        assert_eq!(swapped.to_pem(), kept, "the order doesn't matter");
    }

    #[test]
    fn what_no_emulator_made_is_refused_and_the_key_is_not_shown() {
        let (one, other) =
            (CertificateAuthority::generate().unwrap(), CertificateAuthority::generate().unwrap());
        let own = KeyPair::generate().unwrap();
        let foreign = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&own).unwrap();
        for (pem, got) in [
            (String::new(), "no certificate"),
            (one.certificate_pem.clone(), "no key"),
            (one.key_pem.clone(), "no certificate"),
            (format!("{}{}", one.certificate_pem, other.key_pem), "a certificate that isn't the key's"),
            (format!("{}{}", foreign.pem(), own.serialize_pem()), "that no emulator made"),
        ] {
            let error = CertificateAuthority::from_pem(&pem).unwrap_err().to_string();
            assert!(error.contains(got) && error.contains("`certificate_authority`"), "{error}");
            assert!(pem.lines().filter(|line| line.len() > 40).all(|line| !error.contains(line)), "{error}");
        }
    }
}
