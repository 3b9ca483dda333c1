//! The TLS certificate of an emulator, and the authority that signs it.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::tls::crypto_provider;

type Failure = Box<dyn Error + Send + Sync>;

/// The names that the certificate is valid for, besides the address. They include Google's, because
/// a hosts file may map those to the emulator.
const NAMES: [&str; 6] = [
    "localhost",
    "iamcredentials.googleapis.com",
    "iamcredentials.mtls.googleapis.com",
    "oauth2.googleapis.com",
    "www.googleapis.com",
    "metadata.google.internal",
];

/// The configuration of a TLS server, and the certificate of the authority that clients must trust.
pub(crate) struct TlsIdentity {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) ca_pem: String,
}

impl TlsIdentity {
    /// Generates an authority, and a certificate for `address`, `host` and the names above.
    pub(crate) fn generate(address: IpAddr, host: Option<&str>) -> Result<Self, Failure> {
        let mut authority = CertificateParams::default();
        let name = "IAM credentials emulator: certificate authority";
        authority.distinguished_name.push(DnType::CommonName, name);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority_key = KeyPair::generate()?;
        let ca_pem = authority.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(authority, authority_key);

        let leaf_key = KeyPair::generate()?;
        let leaf = leaf_params(address, host)?.signed_by(&leaf_key, &issuer)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(leaf.der().to_vec())], key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), ca_pem })
    }
}

fn leaf_params(address: IpAddr, host: Option<&str>) -> Result<CertificateParams, Failure> {
    let is_address = |host: &str| host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let host = host.filter(|host| !NAMES.contains(host) && !is_address(host));
    let names: Vec<_> = NAMES.into_iter().chain(host).map(str::to_owned).collect();
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name.push(DnType::CommonName, "IAM credentials emulator");
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let loopback = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
    leaf.subject_alt_names.extend(loopback.map(SanType::IpAddress));
    if !loopback.contains(&address) && !address.is_unspecified() {
        leaf.subject_alt_names.push(SanType::IpAddress(address));
    }
    Ok(leaf)
}
