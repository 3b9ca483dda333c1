//! Chains of certificates, as files and as subject tokens.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::named_file::{NamedFile, Problem};
use crate::source::external::SubjectToken;

/// Returns the certificates in PEM form, of which there is at least one. Other blocks are left out.
pub(super) fn read_certificates(
    file: NamedFile<'_>,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        // The text of the error may contain a part of the file.
        Err(_) => Err(file.problem("has a block that isn't in PEM form")),
        Ok(certificates) if certificates.is_empty() => Err(no_certificate(file)),
        Ok(certificates) => Ok(certificates),
    }
}

pub(super) fn no_certificate(file: NamedFile<'_>) -> Problem {
    file.problem("has no certificate in PEM form")
}

/// Returns the subject token of `leaf`: a list of certificates, the leaf first, then the others of
/// its trust chain. Returns `None` if the leaf is in the chain, and not as the first one.
pub(super) fn subject_token(
    leaf: &CertificateDer<'_>,
    trust_chain: &[CertificateDer<'_>],
) -> Option<SubjectToken> {
    let others = match trust_chain {
        [first, others @ ..] if first == leaf => others,
        others => others,
    };
    if others.contains(leaf) {
        return None;
    }
    let mut certificates = vec![leaf];
    for certificate in others {
        if !certificates.contains(&certificate) {
            certificates.push(certificate);
        }
    }
    let encoded: Vec<String> = certificates.iter().map(|der| STANDARD.encode(der)).collect();
    SubjectToken::new(&serde_json::Value::from(encoded).to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn file() -> NamedFile<'static> {
        NamedFile { path: Path::new("chain.pem"), field: "trust_chain_path" }
    }

    fn token(leaf: u8, chain: &[u8]) -> Option<String> {
        let chain: Vec<CertificateDer<'_>> = chain.iter().map(|byte| vec![*byte].into()).collect();
        subject_token(&vec![leaf].into(), &chain).map(|token| token.secret().to_owned())
    }

    /// conf: F15
    #[test]
    fn a_subject_token_is_the_leaf_and_then_the_rest_of_its_trust_chain() {
        // Standard base64 with padding: 0xfb is `+w==`.
        for (chain, expected) in [
            (&[][..], r#"["+w=="]"#),
            (&[1, 2], r#"["+w==","AQ==","Ag=="]"#),
            (&[0xfb, 1, 2], r#"["+w==","AQ==","Ag=="]"#),
            (&[0xfb], r#"["+w=="]"#),
            (&[1, 1, 2, 1], r#"["+w==","AQ==","Ag=="]"#),
        ] {
            assert_eq!(token(0xfb, chain).as_deref(), Some(expected), "{chain:?}");
        }
        for chain in [&[1, 0xfb][..], &[0xfb, 0xfb], &[0xfb, 1, 0xfb]] {
            assert_eq!(token(0xfb, chain), None, "{chain:?}");
        }
    }

    /// conf: F15
    #[test]
    fn other_blocks_are_left_out_and_broken_ones_are_refused_without_being_shown() {
        let made = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        for text in [
            format!("{key}{certificate}"),
            format!("a comment\r\n{}\r\n", certificate.replace('\n', "\r\n")),
            format!("-----BEGIN X-----\nAAAA\n-----END X-----\n{certificate}{key}"),
        ] {
            let certificates = read_certificates(file(), text.as_bytes()).unwrap();
            assert_eq!(certificates, [made.cert.der().clone()], "{text}");
        }
        let cut = &certificate[..certificate.len() / 2];
        for (text, problem) in [
            ("", "has no certificate"),
            ("hidden", "has no certificate"),
            (&*key, "has no certificate"),
            (cut, "isn't in PEM form"),
            ("-----BEGIN hidden", "isn't in PEM form"),
            ("-----BEGIN CERTIFICATE-----\nhidden!\n-----END CERTIFICATE-----\n", "isn't in PEM form"),
        ] {
            let found = read_certificates(file(), text.as_bytes()).unwrap_err();
            assert!(found.text.contains(problem) && !found.text.contains("hidden"), "{text}: {found:?}");
            assert!(found.text.contains("chain.pem (trust_chain_path)"), "{found:?}");
        }
    }
}
