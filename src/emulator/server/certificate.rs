//! X.509: the certificates of signing keys, and the TLS identity of the emulator itself.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, SanType, SerialNumber,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::emulator::error::Refusal;
use crate::emulator::iam::key::SigningKey;
use crate::tls::crypto_provider;

/// How long the certificate of a key is valid: as long as Google's system-managed keys sign and
/// are published, and then some.
const VALIDITY: Duration = Duration::from_secs(400 * 86_400);

/// Names that the emulator's TLS certificate is good for, besides its address: a hosts file may
/// send Google's names here.
const NAMES: [&str; 6] = [
    "localhost",
    "iamcredentials.googleapis.com",
    "iamcredentials.mtls.googleapis.com",
    "oauth2.googleapis.com",
    "www.googleapis.com",
    "metadata.google.internal",
];

/// A certificate in PEM that holds the public half of `key`, signed by itself.
pub(crate) fn of_key(key: &SigningKey, owner: &str) -> Result<String, Refusal> {
    let failed = |_| Refusal::internal("the emulator could not make a certificate");
    let der = PrivatePkcs8KeyDer::from(key.pkcs8_der()?);
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256).map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(owner);
    params.serial_number = Some(SerialNumber::from_slice(&key.id().as_bytes()[..16]));
    params.not_before = key.created().into();
    params.not_after = (key.created() + VALIDITY).into();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params.self_signed(&pair).map_err(failed)?.pem())
}

/// A TLS server's identity, and the certificate authority that vouches for it.
pub(crate) struct TlsIdentity {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) ca_pem: String,
}

/// Makes an authority, and a certificate for `address`, `host` and the names above.
pub(crate) fn tls_identity(
    address: IpAddr,
    host: Option<&str>,
) -> Result<TlsIdentity, Box<dyn std::error::Error + Send + Sync>> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name = common_name("IAM credentials emulator: certificate authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate()?;
    let ca_pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);

    let host =
        host.filter(|host| !NAMES.contains(host) && host.trim_matches(['[', ']']).parse::<IpAddr>().is_err());
    let names: Vec<_> = NAMES.into_iter().chain(host).map(str::to_owned).collect();
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name = common_name("IAM credentials emulator");
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let loopback = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
    leaf.subject_alt_names.extend(loopback.map(SanType::IpAddress));
    if !loopback.contains(&address) && !address.is_unspecified() {
        leaf.subject_alt_names.push(SanType::IpAddress(address));
    }
    let leaf_key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&leaf_key, &issuer)?;

    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(leaf.der().to_vec())], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsIdentity { config: Arc::new(config), ca_pem })
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}
