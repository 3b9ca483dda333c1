//! SHA-256 digests, in the two short forms that the emulator uses.

use aws_lc_rs::digest::{SHA256, digest};

/// Returns the first `length` bytes of the SHA-256 of `data`, in hexadecimal.
pub(crate) fn hex(data: &[u8], length: usize) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = digest(&SHA256, data);
    let mut text = String::with_capacity(2 * length);
    for byte in digest.as_ref().iter().take(length) {
        text.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]].map(char::from));
    }
    text
}

/// Returns the first eight bytes of the SHA-256 of `text`, as a number.
pub(crate) fn number(text: &str) -> u64 {
    let digest = digest(&SHA256, text.as_bytes());
    digest.as_ref().iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_the_start_of_the_digest() {
        assert_eq!(hex(b"abc", 4), "ba7816bf");
        assert_eq!(number("abc"), 0xba78_16bf_8f01_cfea);
    }
}
