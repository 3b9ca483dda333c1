//! What holds for every policy.

use serde_json::Value;

use crate::emulator::iam::policy::Policy;
use crate::properties::SECRET;

/// A policy is read and written without a change, or refused with a place that is in the document.
/// `Debug` shows no token.
pub fn policies(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let document: Option<Value> = serde_json::from_str(text).ok();
    match Policy::from_json(text) {
        Ok(policy) => {
            assert_eq!(policy.validate(), Ok(()));
            let written = policy.to_json();
            assert_eq!(Policy::from_json(&written), Ok(policy.clone()), "{written}");
            let document = document.unwrap_or_default();
            let without_tokens = {
                let mut document = document.clone();
                document["tokens"] = Value::Null;
                document["users"] = Value::Null;
                document
            };
            if !without_tokens.to_string().contains(SECRET) && !user_names(&document).contains(SECRET) {
                assert!(!format!("{policy:?} {policy:#?}").contains(SECRET), "{policy:?}");
            }
        }
        Err(error) => {
            let start = error.path().split(['.', '[']).next().unwrap_or_default();
            assert!(start.is_empty() || text.contains(start) || text.contains('\\'), "{error}");
            assert!(error.to_string().len() <= 4 * text.len() + 1_000, "{error}");
        }
    }
}

/// The e-mail addresses and principals, which `Debug` shows.
fn user_names(document: &Value) -> String {
    let users = document["users"].as_object().into_iter().flatten().map(|(name, _)| name.clone());
    let tokens = document["tokens"].as_array().into_iter().flatten();
    users.chain(tokens.map(|token| token["principal"].to_string())).collect()
}
