//! The files of a client certificate, read together.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use rustls::InconsistentKeys;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::chain::{no_certificate, read_certificates, subject_token};
use super::config::CertificateConfig;
use super::named_file::{NamedFile, Problem};
use crate::source::external::SubjectToken;
use crate::tls::{PemIdentity, crypto_provider};

const CONFIG: &str = "credential_source.certificate";
const TRUST_CHAIN: &str = "credential_source.certificate.trust_chain_path";

/// The files that lead to a client certificate.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct CertificateFiles {
    /// The certificate config.
    pub(crate) config: PathBuf,
    /// The certificates between this one and one that the provider trusts.
    pub(crate) trust_chain: Option<PathBuf>,
}

/// What the files contain. Certificate and key belong together.
pub(super) struct Content {
    pub(super) identity: PemIdentity,
    pub(super) subject_token: SubjectToken,
}

impl CertificateFiles {
    /// Checks that there is a config and that it names the other files. They needn't be there yet.
    pub(crate) fn check_config(&self) -> Result<(), Problem> {
        self.read_config().map(drop)
    }

    pub(super) fn read_config(&self) -> Result<CertificateConfig, Problem> {
        CertificateConfig::read(NamedFile { path: &self.config, field: CONFIG })
    }

    /// Returns a number that changes when a file is replaced. It reads only the config.
    pub(super) fn revision(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let named = self.read_config().ok().map(CertificateConfig::into_paths);
        for path in [&self.config].into_iter().chain(&self.trust_chain).chain(named.iter().flatten()) {
            let metadata = path.metadata().ok();
            let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
            (path, metadata.map(|metadata| metadata.len()), modified).hash(&mut hasher);
        }
        hasher.finish()
    }

    pub(super) fn read(&self) -> Result<Content, Problem> {
        let config = self.read_config()?;
        let certificates = config.certificate().read()?;
        let key = config.key().read()?;
        let chain = read_certificates(config.certificate(), &certificates)?;
        check_match(&config, chain.clone(), &key)?;
        let subject_token = self.subject_token(&config, &chain)?;
        Ok(Content { identity: PemIdentity { certificates, key }, subject_token })
    }

    fn subject_token(
        &self,
        config: &CertificateConfig,
        chain: &[CertificateDer<'_>],
    ) -> Result<SubjectToken, Problem> {
        let [leaf, ..] = chain else { return Err(no_certificate(config.certificate())) };
        let (file, trust_chain) = match &self.trust_chain {
            Some(path) => {
                let file = NamedFile { path, field: TRUST_CHAIN };
                (file, read_certificates(file, &file.read()?)?)
            }
            None => (config.certificate(), Vec::new()),
        };
        let problem = || {
            let certificate = config.certificate().name();
            file.problem(&format!("must have the certificate in {certificate} first, if it has it at all"))
        };
        subject_token(leaf, &trust_chain).ok_or_else(problem)
    }
}

/// Checks that TLS can use the key, and that it belongs to the first certificate.
fn check_match(
    config: &CertificateConfig,
    chain: Vec<CertificateDer<'static>>,
    key: &[u8],
) -> Result<(), Problem> {
    let (certificate, key_file) = (config.certificate(), config.key());
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| key_file.problem("has no private key in PEM form, or an encrypted one"))?;
    let key = crypto_provider()
        .key_provider
        .load_private_key(key)
        .map_err(|_| key_file.problem("has a private key that TLS can't use"))?;
    match CertifiedKey::new(chain, key).keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let owner = certificate.name();
            Err(key_file.problem(&format!("has a key that doesn't belong to the certificate in {owner}")))
        }
        Err(_) => Err(certificate.problem("has a certificate that can't be read")),
    }
}
