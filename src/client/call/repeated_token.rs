//! Takes the source token out of a status that repeats it.

use bytes::Bytes;
use tonic::Status;

use crate::Token;

/// How much of a token in a row counts as the token. It is its start, which servers show if they
/// shorten it.
const PART: usize = 16;

const MESSAGE: &str = "(the server's message is left out, because it repeats the source token)";

/// Returns `status` without its message or its details if they repeat `token`. So a server that puts a
/// token into a status doesn't get it into errors and logs.
pub(super) fn without_token(status: Status, token: &Token) -> Status {
    let Some(part) = token.secret().as_bytes().get(..PART) else { return status };
    let repeats = |text: &[u8]| text.windows(PART).any(|window| window == part);
    let (in_message, in_details) = (repeats(status.message().as_bytes()), repeats(status.details()));
    if !in_message && !in_details {
        return status;
    }
    let message = if in_message { MESSAGE } else { status.message() };
    let details = if in_details { Bytes::new() } else { Bytes::copy_from_slice(status.details()) };
    Status::with_details_and_metadata(status.code(), message, details, status.metadata().clone())
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;

    const SECRET: &str = "ya29.hidden-0123456789";

    fn shown(message: &str, detail: &str) -> (String, String) {
        let details = ErrorDetails::with_debug_info([], detail);
        let status = Status::with_error_details(Code::Unauthenticated, message, details);
        let status = without_token(status, &Token::new(SECRET, None).unwrap());
        assert_eq!(status.code(), Code::Unauthenticated);
        let detail = status.get_error_details().debug_info().map(|info| info.detail.clone());
        (status.message().to_owned(), detail.unwrap_or_default())
    }

    #[test]
    fn only_what_repeats_the_token_is_left_out() {
        let cut = SECRET[..PART].to_owned() + "…";
        for (message, detail, kept) in [
            ("no such token", "a detail", ("no such token", "a detail")),
            // The details contain the message too.
            (SECRET, "a detail", (MESSAGE, "")),
            (&format!("unknown: {cut}"), "a detail", (MESSAGE, "")),
            ("no such token", &format!("it was {SECRET}"), ("no such token", "")),
            ("ya29.hidden", "ya29.", ("ya29.hidden", "ya29.")),
        ] {
            assert_eq!(shown(message, detail), (kept.0.to_owned(), kept.1.to_owned()), "{message} {detail}");
        }
    }
}
