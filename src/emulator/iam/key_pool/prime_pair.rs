//! The RSA key of two primes.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{KeyPair, KeyPairComponents, PublicKeyComponents};
use num_bigint::BigUint;

/// The public exponent of all keys, which is prime.
const EXPONENT: u32 = 65_537;

/// The tags of DER.
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// Returns the key of two different primes, which the library checks.
pub(super) fn key(one: &BigUint, other: &BigUint) -> Result<KeyPair, Unspecified> {
    let (p, q) = if one > other { (one, other) } else { (other, one) };
    let (before_p, before_q) = (p - 1_u32, q - 1_u32);
    let components = KeyPairComponents {
        public_key: PublicKeyComponents {
            n: (p * q).to_bytes_be(),
            e: BigUint::from(EXPONENT).to_bytes_be(),
        },
        d: private_exponent(&(&before_p * &before_q))?.to_bytes_be(),
        p: p.to_bytes_be(),
        q: q.to_bytes_be(),
        dP: private_exponent(&before_p)?.to_bytes_be(),
        dQ: private_exponent(&before_q)?.to_bytes_be(),
        qInv: q.modinv(p).ok_or(Unspecified)?.to_bytes_be(),
    };
    KeyPair::from_components(&components).map_err(|_| Unspecified)
}

/// Returns the inverse of the public exponent modulo `modulus`.
///
/// The library's own inverse takes a hundred times as long in a debug build, because it can't know that the
/// exponent is small: some `factor` below the exponent makes `factor * modulus + 1` a multiple of it.
fn private_exponent(modulus: &BigUint) -> Result<BigUint, Unspecified> {
    let exponent = BigUint::from(EXPONENT);
    let factor = &exponent - (modulus % &exponent).modinv(&exponent).ok_or(Unspecified)?;
    Ok((factor * modulus + 1_u32) / exponent)
}

/// Returns the primes of an RSA key in PKCS #8 (RFC 5208 and, inside, RFC 8017).
pub(super) fn of_pkcs8(der: &[u8]) -> Option<[BigUint; 2]> {
    let mut info = element(&mut &*der, SEQUENCE)?;
    let _version = element(&mut info, INTEGER)?;
    let _algorithm = element(&mut info, SEQUENCE)?;
    let mut key = element(&mut info, OCTET_STRING)?;
    let mut key = element(&mut key, SEQUENCE)?;
    // The version, the modulus and both exponents come first.
    for _ in 0..4 {
        element(&mut key, INTEGER)?;
    }
    let (p, q) = (element(&mut key, INTEGER)?, element(&mut key, INTEGER)?);
    Some([p, q].map(BigUint::from_bytes_be))
}

/// Removes one DER element with this tag from the start of `input`, and returns its contents.
fn element<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (&[found, length], rest) = input.split_first_chunk()?;
    // A long length has the number of its bytes first.
    let (length, rest) = match length.checked_sub(0x80) {
        None => (usize::from(length), rest),
        Some(bytes) => {
            let (bytes, rest) = rest.split_at_checked(usize::from(bytes))?;
            (bytes.iter().fold(0, |length: usize, byte| length << 8 | usize::from(*byte)), rest)
        }
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    *input = rest;
    (found == tag).then_some(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_exponent_is_the_inverse_of_the_public_one() {
        for bytes in [&[2][..], &[0xfe; 7], &[0xab; 127], &[1, 0, 0, 0, 7]] {
            let modulus = BigUint::from_bytes_be(bytes);
            let inverse = private_exponent(&modulus).unwrap();
            assert_eq!(inverse * EXPONENT % &modulus, BigUint::from(1_u32) % &modulus, "{modulus}");
        }
        private_exponent(&BigUint::from(EXPONENT * 3))
            .expect_err("a multiple of the exponent has no inverse");
    }

    #[test]
    fn what_is_no_key_has_no_primes() {
        for der in
            [&[][..], &[0x30], &[0x30, 0x84], &[0x30, 0xff, 1], &[0x30, 3, 2, 1, 0], &[0x30, 0x81, 200, 2]]
        {
            assert_eq!(of_pkcs8(der), None, "{der:02x?}");
        }
    }
}
