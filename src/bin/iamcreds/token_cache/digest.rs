//! A hash of labeled values.

use aws_lc_rs::digest::{Context, SHA256};

/// A SHA-256 of labeled values. Their lengths are part of it, so that other values never give the same text.
#[derive(Clone)]
pub(crate) struct Digest(Context);

impl Digest {
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Adds a value.
    pub(crate) fn with(mut self, label: &str, value: impl AsRef<[u8]>) -> Self {
        for part in [label.as_bytes(), value.as_ref()] {
            self.0.update(&(part.len() as u64).to_be_bytes());
            self.0.update(part);
        }
        self
    }

    /// Returns the hash: 64 hexadecimal digits.
    pub(crate) fn hex(self) -> String {
        self.0.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_only_look_the_same_together_have_other_hashes() {
        let hash = |fields: &[(&str, &str)]| {
            fields.iter().fold(Digest::new(), |digest, (label, value)| digest.with(label, value)).hex()
        };
        let all = [
            hash(&[("target", "a"), ("scope", "b")]),
            hash(&[("target", "ascope"), ("", "b")]),
            hash(&[("target", "a"), ("scope", ""), ("", "b")]),
            hash(&[("scope", "b"), ("target", "a")]),
            hash(&[("target", "a")]),
            hash(&[]),
        ];
        for (i, one) in all.iter().enumerate() {
            assert_eq!(one.len(), 64);
            assert!(all[i + 1..].iter().all(|other| other != one), "{i}");
        }
    }
}
