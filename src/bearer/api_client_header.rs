//! The metrics header `x-goog-api-client`, which contains the kind of credentials.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::header::Entry;
use http::{HeaderMap, HeaderValue};

use crate::headers::API_CLIENT;

/// Appends one entry to the metrics header `x-goog-api-client`, after the client's own entries.
#[derive(Debug)]
pub(super) struct ApiClientHeader {
    entry: &'static str,
    /// The latest result. A client sends the same value with every request, so it is made only once.
    joined: ArcSwapOption<Joined>,
}

#[derive(Debug)]
struct Joined {
    client: HeaderValue,
    with_entry: HeaderValue,
}

impl ApiClientHeader {
    pub(super) fn new(entry: &'static str) -> Self {
        Self { entry, joined: ArcSwapOption::empty() }
    }

    /// Adds the entry to the header, unless the header contains it already.
    pub(super) fn append_to(&self, headers: &mut HeaderMap) {
        match headers.entry(API_CLIENT) {
            Entry::Vacant(header) => {
                header.insert(HeaderValue::from_static(self.entry));
            }
            Entry::Occupied(mut header) => {
                if let Some(with_entry) = self.joined_with(header.get()) {
                    *header.get_mut() = with_entry;
                }
            }
        }
    }

    /// Returns the client's value followed by the entry, or `None` if the value contains the entry.
    fn joined_with(&self, client: &HeaderValue) -> Option<HeaderValue> {
        if let Some(joined) = self.joined.load().as_deref()
            && joined.client == *client
        {
            return Some(joined.with_entry.clone());
        }
        if client.as_bytes().split(|byte| *byte == b' ').any(|entry| entry == self.entry.as_bytes()) {
            return None;
        }
        let with_entry = [client.as_bytes(), b" ", self.entry.as_bytes()].concat();
        let with_entry = HeaderValue::from_bytes(&with_entry).ok()?;
        let joined = Joined { client: client.clone(), with_entry: with_entry.clone() };
        self.joined.store(Some(Arc::new(joined)));
        Some(with_entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "cred-type/imp";

    fn sent(header: &ApiClientHeader, client: &'static str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(API_CLIENT, HeaderValue::from_static(client));
        header.append_to(&mut headers);
        assert_eq!(headers.len(), 1);
        headers[API_CLIENT].to_str().unwrap().to_owned()
    }

    /// conf: P31
    #[test]
    fn the_entry_is_alone_or_after_the_clients_own_entries() {
        let header = ApiClientHeader::new(ENTRY);
        let mut headers = HeaderMap::new();
        header.append_to(&mut headers);
        assert_eq!(headers[API_CLIENT], ENTRY);
        for client in
            ["gl-rust/1.90", "gl-rust/1.90", "gl-python/3.12 gapic/1", "gl-rust/1.90", "cred-type/imports"]
        {
            assert_eq!(sent(&header, client), format!("{client} {ENTRY}"));
        }
        for client in ["cred-type/imp", "gl-rust/1.90 cred-type/imp", "cred-type/imp gl-rust/1.90"] {
            assert_eq!(sent(&header, client), client, "the entry is there already");
        }
    }
}
