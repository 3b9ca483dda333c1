//! Tells Google which kind of credentials a request comes with.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::header::Entry;
use http::{HeaderMap, HeaderValue};

use crate::headers::API_CLIENT;

/// Adds a word to `x-goog-api-client`, which clients fill with words of their own.
#[derive(Debug)]
pub(super) struct Usage {
    word: &'static str,
    /// A client says the same on every request: what it says, with the word behind it, is made once.
    joined: ArcSwapOption<Joined>,
}

#[derive(Debug)]
struct Joined {
    client: HeaderValue,
    both: HeaderValue,
}

impl Usage {
    pub(super) fn new(word: &'static str) -> Self {
        Self { word, joined: ArcSwapOption::empty() }
    }

    pub(super) fn put(&self, headers: &mut HeaderMap) {
        match headers.entry(API_CLIENT) {
            Entry::Vacant(entry) => {
                entry.insert(HeaderValue::from_static(self.word));
            }
            Entry::Occupied(mut entry) => {
                if let Some(both) = self.after(entry.get()) {
                    *entry.get_mut() = both;
                }
            }
        }
    }

    /// The word after those of the client; `None` where it is among them.
    fn after(&self, client: &HeaderValue) -> Option<HeaderValue> {
        if let Some(joined) = self.joined.load().as_deref()
            && joined.client == *client
        {
            return Some(joined.both.clone());
        }
        if client.as_bytes().split(|byte| *byte == b' ').any(|word| word == self.word.as_bytes()) {
            return None;
        }
        let both = [client.as_bytes(), b" ", self.word.as_bytes()].concat();
        let both = HeaderValue::from_bytes(&both).ok()?;
        self.joined.store(Some(Arc::new(Joined { client: client.clone(), both: both.clone() })));
        Some(both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: &str = "cred-type/imp";

    fn after(usage: &Usage, client: &'static str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(API_CLIENT, HeaderValue::from_static(client));
        usage.put(&mut headers);
        assert_eq!(headers.len(), 1);
        headers[API_CLIENT].to_str().unwrap().to_owned()
    }

    /// conf: P31
    #[test]
    fn the_word_stands_alone_or_after_the_clients_own() {
        let usage = Usage::new(WORD);
        let mut headers = HeaderMap::new();
        usage.put(&mut headers);
        assert_eq!(headers[API_CLIENT], WORD);
        for client in
            ["gl-rust/1.90", "gl-rust/1.90", "gl-python/3.12 gapic/1", "gl-rust/1.90", "cred-type/imports"]
        {
            assert_eq!(after(&usage, client), format!("{client} {WORD}"));
        }
        for client in ["cred-type/imp", "gl-rust/1.90 cred-type/imp", "cred-type/imp gl-rust/1.90"] {
            assert_eq!(after(&usage, client), client, "it is there already");
        }
    }
}
