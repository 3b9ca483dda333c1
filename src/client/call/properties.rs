//! What holds for every status that a call ends with.

use http::{Response, Uri};
use tonic::{Code, Status};
use tonic_types::{ErrorDetail, StatusExt};

use super::classify::classify;
use crate::client::transport::Exchange;
use crate::properties::{lines, shown};
use crate::{Error, ErrorKind};

/// The code of a gRPC reply, and the HTTP status of another reply, decide what an error is and
/// whether it is transient. Messages and details never do, and what they contain can't imitate the
/// crate's own advice.
///
/// The input is a code, the HTTP status (0 if the reply is gRPC), the message, and the details.
pub fn statuses(data: &[u8]) {
    let [code, http, message, details] = lines(data);
    let number = |line: &[u8]| std::str::from_utf8(line).ok()?.parse::<u16>().ok();
    let code = Code::from_i32(number(code).unwrap_or_default().into());
    let http = number(http).filter(|status| (100..1000).contains(status));
    let message = String::from_utf8_lossy(message);
    let error = outcome(code, http, &message, details);
    let plain = outcome(code, http, "", &[]);

    // This is how tonic reports a reply without trailers.
    if !message.starts_with("grpc-status header missing") {
        assert_eq!((error.kind(), error.is_transient()), (plain.kind(), plain.is_transient()), "{error:?}");
        assert_eq!(error.code(), plain.code());
    }
    match http {
        Some(http) => {
            assert_eq!(error.kind(), ErrorKind::Transport);
            assert_eq!(error.is_transient(), http == 429 || (500..600).contains(&http), "{error}");
        }
        None => holds_for_a_reply(&error, code),
    }
    let text = error.during("sign_blob", "sa@example.com", 2);
    holds_for_the_text(&text);
    assert!(shown(&text).len() < 64 * (data.len() + 1_000), "{} bytes", shown(&text).len());
}

fn holds_for_a_reply(error: &Error, code: Code) {
    let is_refusal = matches!(
        code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition
    );
    assert!(!(is_refusal && error.is_transient()), "{error:?}");
    if let Some(service) = error.service() {
        assert_eq!((service.code(), error.kind()), (code, ErrorKind::Service));
        // The details, read one by one.
        let list = service.status().check_error_details_vec().unwrap_or_default();
        let mut reasons = list.iter().filter_map(|detail| match detail {
            ErrorDetail::ErrorInfo(info) => Some(info.reason.as_str()),
            _ => None,
        });
        match service.reason() {
            Some(reason) => assert!(reasons.any(|listed| listed == reason), "{error:?}"),
            None => assert_eq!(reasons.next(), None, "{error:?}"),
        }
    }
}

/// The text is one line, and one of advice.
fn holds_for_the_text(error: &Error) {
    let text = error.to_string();
    let lines: Vec<&str> = text.split('\n').collect();
    assert!(lines.len() <= 2 && lines.get(1).is_none_or(|line| line.starts_with("fix: ")), "{text:?}");
    assert_eq!(lines.get(1).map(|line| &line["fix: ".len()..]), error.hint().as_deref(), "{text:?}");
    assert!(!lines.concat().contains(char::is_control), "{text:?}");
}

fn outcome(code: Code, http: Option<u16>, message: &str, details: &[u8]) -> Error {
    let exchange = Exchange::default();
    if let Some(response) = http.and_then(|status| Response::builder().status(status).body(()).ok()) {
        exchange.record_head(response.status(), response.headers());
    }
    let status = Status::with_details(code, message, bytes::Bytes::copy_from_slice(details));
    classify(status, &exchange, &Uri::from_static("https://iamcredentials.googleapis.com"))
}
