//! The journal: which requests came in, and how they ended.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use tonic::Code;

use crate::emulator::iam::key::hex;
use crate::emulator::method::Method;

/// How many requests the journal remembers.
pub const JOURNAL_CAPACITY: usize = 10_000;

/// One request, as the emulator saw it.
///
/// No secret is in it: the values of `authorization` and of other headers that carry secrets are
/// replaced by the start of their SHA-256, so that equal ones can be told from different ones.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JournalEntry {
    /// Counts requests since the start of the emulator.
    pub sequence: u64,
    /// When the request came in, by the emulator's clock.
    pub received_at: SystemTime,
    /// What was asked for.
    pub method: Method,
    /// Whether it came over gRPC or as JSON.
    pub protocol: Protocol,
    /// Which connection it came over: the first is 1.
    pub connection: u64,
    /// Whose credential it carried: `serviceAccount:…`, `user:…`, or `anyone` for a bearer that is
    /// unknown and accepted since there is no policy. `None` if it was refused before that was known.
    pub caller: Option<String>,
    /// The field `name`; for other methods than the four RPCs the account or path asked for.
    pub name: String,
    /// The field `delegates`, as sent.
    pub delegates: Vec<String>,
    /// The other fields of the request.
    pub fields: RequestFields,
    /// All headers in the order of arrival, names in small letters.
    pub metadata: Vec<(String, String)>,
    /// How it ended; `None` while it is under way.
    pub outcome: Option<Outcome>,
}

impl JournalEntry {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.metadata.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The fields of a request beside name and delegates. Those that the method lacks are empty.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RequestFields {
    /// Scopes asked for.
    pub scopes: Vec<String>,
    /// Lifetime asked for.
    pub lifetime: Option<Duration>,
    /// Audience asked for.
    pub audience: Option<String>,
    /// Whether the e-mail claims were asked for.
    pub include_email: bool,
    /// The size of the payload in bytes.
    pub payload_len: Option<usize>,
    /// The grant type, at the token endpoint.
    pub grant_type: Option<String>,
}

/// How a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// gRPC.
    Grpc,
    /// HTTP with JSON, or with a form.
    Rest,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The status sent; [`Code::Cancelled`] if the caller left before an answer.
    pub code: Code,
    /// `ErrorInfo.reason`, or the OAuth error, if there is one.
    pub reason: Option<String>,
    /// The message sent with an error.
    pub message: Option<String>,
    /// For a missing grant: the link of the chain that lacks it, the caller's own being 0.
    pub hop: Option<usize>,
    /// Whether a fault decided it.
    pub fault: bool,
}

/// The ring of entries.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<JournalEntry>,
    next: u64,
}

impl Journal {
    /// Writes a request down, and returns its number.
    pub(crate) fn begin(&self, mut entry: JournalEntry) -> u64 {
        let mut ring = self.lock();
        let sequence = ring.next;
        ring.next += 1;
        entry.sequence = sequence;
        if ring.entries.len() == JOURNAL_CAPACITY {
            ring.entries.pop_front();
        }
        ring.entries.push_back(entry);
        sequence
    }

    /// Changes the entry of that number, if it is still there.
    pub(crate) fn amend(&self, sequence: u64, change: impl FnOnce(&mut JournalEntry)) {
        let mut ring = self.lock();
        let Some(first) = ring.entries.front().map(|entry| entry.sequence) else { return };
        let index = sequence.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| ring.entries.get_mut(index)) {
            change(entry);
        }
    }

    pub(crate) fn entries(&self) -> Vec<JournalEntry> {
        self.lock().entries.iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        self.lock().entries.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The headers as they may be written down.
pub(crate) fn presentable(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut list = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let text = if is_secret(name.as_str()) {
            fingerprint(value.as_bytes())
        } else {
            match value.to_str() {
                Ok(text) => text.to_owned(),
                Err(_) => BASE64_STANDARD.encode(value.as_bytes()),
            }
        };
        list.push((name.as_str().to_owned(), text));
    }
    list
}

fn is_secret(name: &str) -> bool {
    const NAMES: [&str; 4] = ["authorization", "cookie", "x-goog-api-key", "proxy-authorization"];
    NAMES.contains(&name)
        || name.ends_with("authorization")
        || name.contains("token")
        || name.contains("secret")
        || name.contains("assertion")
}

/// Stands for a secret; the scheme of a credential stays readable.
fn fingerprint(value: &[u8]) -> String {
    let (scheme, secret) = match value.iter().position(|byte| *byte == b' ') {
        Some(space) => (String::from_utf8_lossy(&value[..=space]), &value[space + 1..]),
        None => ("".into(), value),
    };
    format!("{scheme}sha256:{}", hex(&digest(&SHA256, secret).as_ref()[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> JournalEntry {
        JournalEntry {
            sequence: 0,
            received_at: SystemTime::now(),
            method: Method::SignBlob,
            protocol: Protocol::Grpc,
            connection: 1,
            caller: None,
            name: String::new(),
            delegates: Vec::new(),
            fields: RequestFields::default(),
            metadata: Vec::new(),
            outcome: None,
        }
    }

    #[test]
    fn the_ring_keeps_the_newest() {
        let journal = Journal::default();
        for _ in 0..JOURNAL_CAPACITY + 5 {
            journal.begin(entry());
        }
        journal.amend(2, |_| panic!("this entry is gone"));
        journal.amend(7, |entry| entry.name = "found".to_owned());
        let entries = journal.entries();
        assert_eq!(entries.len(), JOURNAL_CAPACITY);
        assert_eq!(entries[0].sequence, 5);
        assert_eq!(entries[2].name, "found");
        journal.clear();
        assert!(journal.entries().is_empty());
        assert_eq!(journal.begin(entry()), JOURNAL_CAPACITY as u64 + 5);
    }

    #[test]
    fn secrets_are_hashed_and_all_else_is_kept() {
        let mut headers = HeaderMap::new();
        headers.append("authorization", "Bearer hush".parse().unwrap());
        headers.append("x-serverless-authorization", "Bearer hush".parse().unwrap());
        headers.append("x-goog-iam-authorization-token", "hush".parse().unwrap());
        headers.append("x-twice", "one".parse().unwrap());
        headers.append("x-twice", "two".parse().unwrap());
        let shown = presentable(&headers);
        assert!(!format!("{shown:?}").contains("hush"), "{shown:?}");
        assert!(shown[0].1.starts_with("Bearer sha256:"), "{shown:?}");
        assert_eq!(shown[0].1, shown[1].1, "equal secrets look equal");
        assert_eq!(shown.iter().filter(|(name, _)| name == "x-twice").count(), 2);
    }
}
