//! The certificate of a signing key.

use std::time::Duration;

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
    SerialNumber,
};
use rustls::pki_types::PrivatePkcs8KeyDer;

use crate::emulator::error::ApiError;
use crate::emulator::iam::key::SigningKey;

/// How long the certificate of a key is valid: 400 days. This is longer than Google's system-managed
/// keys are used and published.
const VALIDITY: Duration = Duration::from_secs(400 * 86_400);

/// Returns a certificate in PEM that contains the public half of `key`, signed by itself.
pub(in crate::emulator::protocol) fn of_key(key: &SigningKey, owner: &str) -> Result<String, ApiError> {
    let failed = |_| ApiError::internal("the emulator could not generate a certificate");
    let der = PrivatePkcs8KeyDer::from(key.pkcs8_der()?);
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256).map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, owner);
    params.serial_number = Some(SerialNumber::from_slice(&key.id().as_bytes()[..16]));
    params.not_before = key.created().into();
    params.not_after = (key.created() + VALIDITY).into();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params.self_signed(&pair).map_err(failed)?.pem())
}
