//! The kind of credentials, for Google's metrics.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::header::Entry;
use http::{HeaderMap, HeaderValue};

use crate::headers::API_CLIENT;

/// A word for the metrics header `x-goog-api-client`, after the words of the client itself.
#[derive(Debug)]
pub(super) struct ApiClientHeader {
    word: &'static str,
    /// A client sends the same value with every request, so the joined value is made once.
    joined: ArcSwapOption<Joined>,
}

#[derive(Debug)]
struct Joined {
    client: HeaderValue,
    with_word: HeaderValue,
}

impl ApiClientHeader {
    pub(super) fn new(word: &'static str) -> Self {
        Self { word, joined: ArcSwapOption::empty() }
    }

    /// Adds the word to the header, unless the header has it already.
    pub(super) fn append_to(&self, headers: &mut HeaderMap) {
        match headers.entry(API_CLIENT) {
            Entry::Vacant(entry) => {
                entry.insert(HeaderValue::from_static(self.word));
            }
            Entry::Occupied(mut entry) => {
                if let Some(with_word) = self.joined_with(entry.get()) {
                    *entry.get_mut() = with_word;
                }
            }
        }
    }

    /// Returns the client's value with the word behind it, or `None` if the value has the word.
    fn joined_with(&self, client: &HeaderValue) -> Option<HeaderValue> {
        if let Some(joined) = self.joined.load().as_deref()
            && joined.client == *client
        {
            return Some(joined.with_word.clone());
        }
        if client.as_bytes().split(|byte| *byte == b' ').any(|word| word == self.word.as_bytes()) {
            return None;
        }
        let with_word = [client.as_bytes(), b" ", self.word.as_bytes()].concat();
        let with_word = HeaderValue::from_bytes(&with_word).ok()?;
        let joined = Joined { client: client.clone(), with_word: with_word.clone() };
        self.joined.store(Some(Arc::new(joined)));
        Some(with_word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: &str = "cred-type/imp";

    fn sent(header: &ApiClientHeader, client: &'static str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(API_CLIENT, HeaderValue::from_static(client));
        header.append_to(&mut headers);
        assert_eq!(headers.len(), 1);
        headers[API_CLIENT].to_str().unwrap().to_owned()
    }

    /// conf: P31
    #[test]
    fn the_word_is_alone_or_after_the_clients_own_words() {
        let header = ApiClientHeader::new(WORD);
        let mut headers = HeaderMap::new();
        header.append_to(&mut headers);
        assert_eq!(headers[API_CLIENT], WORD);
        for client in
            ["gl-rust/1.90", "gl-rust/1.90", "gl-python/3.12 gapic/1", "gl-rust/1.90", "cred-type/imports"]
        {
            assert_eq!(sent(&header, client), format!("{client} {WORD}"));
        }
        for client in ["cred-type/imp", "gl-rust/1.90 cred-type/imp", "cred-type/imp gl-rust/1.90"] {
            assert_eq!(sent(&header, client), client, "the word is there already");
        }
    }
}
