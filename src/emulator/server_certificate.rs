//! The certificate with which an emulator serves TLS.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::certificate_authority::CertificateAuthority;
use crate::tls::crypto_provider;

type Failure = Box<dyn Error + Send + Sync>;

/// The names that the certificate is valid for, besides the emulator's own hosts: all hosts that Google's
/// libraries hard-code, because a hosts file may map them to the emulator.
const NAMES: [&str; 7] = [
    "localhost",
    "*.googleapis.com",
    "*.mtls.googleapis.com",
    "accounts.google.com",
    "metadata.google.internal",
    "metadata.goog",
    "metadata",
];

/// The addresses that the certificate is valid for, besides the emulator's own: loopback, and those of
/// the metadata server.
const ADDRESSES: [IpAddr; 4] = [
    IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
    IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(std::net::Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// How long before and after its start an emulator's certificate is valid: 200 days. Apple's platforms accept
/// at most 825 days, and the clock of a client may be wrong.
const VALIDITY: Duration = Duration::from_secs(200 * 86_400);

/// Returns the configuration of a TLS server whose certificate is valid for `hosts` and for the names above.
pub(super) fn server_config(
    authority: &CertificateAuthority,
    hosts: &[String],
) -> Result<Arc<ServerConfig>, Failure> {
    let leaf_key = KeyPair::generate()?;
    let leaf = authority.sign(&params(hosts)?, &leaf_key)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(leaf.der().to_vec())], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn params(hosts: &[String]) -> Result<CertificateParams, Failure> {
    let mut names = NAMES.map(str::to_owned).to_vec();
    let mut addresses = ADDRESSES.to_vec();
    for host in hosts {
        match host.parse::<IpAddr>() {
            Ok(address) => push_new(&mut addresses, address),
            Err(_) => push_new(&mut names, host.clone()),
        }
    }
    let mut leaf = CertificateParams::new(names)?;
    leaf.subject_alt_names.extend(addresses.into_iter().map(SanType::IpAddress));
    leaf.distinguished_name.push(DnType::CommonName, "IAM credentials emulator");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Python 3.13 and other strict verifiers require it.
    leaf.use_authority_key_identifier_extension = true;
    let now = SystemTime::now();
    leaf.not_before = (now - VALIDITY).into();
    leaf.not_after = (now + VALIDITY).into();
    Ok(leaf)
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
