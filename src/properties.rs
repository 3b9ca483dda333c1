//! What holds for every input, as functions that panic if it doesn't.
//!
//! Each function lies beside the code that it is about, in a module `properties`. This module lists
//! them. The fuzz targets in `fuzz/` call them with inputs that libFuzzer finds, and the tests below
//! with the committed inputs of those targets and with random changes of them. It exists only in
//! these builds, so it is no part of the public API.

mod shell;
#[cfg(test)]
mod tests;

pub use crate::adc::properties::credential_files;
pub use crate::broker::properties::broker_policies;
pub use crate::client::properties::{replies, statuses, trace_contexts};
pub use crate::emulator::properties::{
    assertions, control_documents, federated_tokens, iam_api_requests, metadata_pages, policies, rest_bodies,
    rest_queries, token_exchanges,
};
pub use crate::error::properties::printed_commands;
pub use crate::grpc_timeout::properties::grpc_timeouts;
pub use crate::host::properties::hosts;
pub use crate::jwt::properties::{claims, id_tokens};
pub use crate::name::properties::names;
pub use crate::scopes::properties::scopes;
pub use crate::source::token_endpoint::properties::token_replies;

pub(crate) use self::shell::words_of_command;

use crate::Error;

/// What marks a value as secret in the inputs: no text that is shown may contain it.
pub(crate) const SECRET: &str = "hidden";

/// Returns everything that an error shows.
pub(crate) fn shown(error: &Error) -> String {
    format!("{error} {error:#} {error:?} {error:#?} {}", error.in_one_line())
}

/// Checks that an error is one of invalid input, that it names a field, and that its text is short
/// and harmless in a terminal.
pub(crate) fn assert_names_a_field(error: &Error) {
    assert_eq!(error.kind(), crate::ErrorKind::InvalidInput, "{error:?}");
    assert!(!error.is_transient(), "{error:?}");
    assert!(error.field().is_some_and(|field| !field.is_empty()), "{error:?}");
    assert_is_plain(&error.to_string());
}

/// Checks that a text has at most a line and a line of advice, and no control characters.
pub(crate) fn assert_is_plain(text: &str) {
    assert!(text.len() <= 2_000, "{} bytes: {text:?}", text.len());
    let text = text.replacen("\nfix: ", "", 1);
    assert!(!text.contains(char::is_control), "a control character: {text:?}");
}

/// Splits an input into `N - 1` lines and the rest. Missing ones are empty.
pub(crate) fn lines<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut pieces = data.splitn(N, |byte| *byte == b'\n');
    std::array::from_fn(|_| pieces.next().unwrap_or_default())
}

/// Splits a text into `N - 1` lines and the rest; `None` if it isn't UTF-8.
pub(crate) fn text_lines<const N: usize>(data: &[u8]) -> Option<[&str; N]> {
    let text = std::str::from_utf8(data).ok()?;
    let mut pieces = text.splitn(N, '\n');
    Some(std::array::from_fn(|_| pieces.next().unwrap_or_default()))
}
