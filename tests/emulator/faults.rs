//! Injected faults, as a client sees them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Fault, JournalEntry, Method};
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{ErrorKind, RetryPolicy};
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::emulator::{EMAIL, client_of, get_token, http, start, stub};
use crate::support::runtime::until;

#[tokio::test]
async fn a_fault_applies_to_as_many_calls_as_requested() {
    let emulator = start().await;
    let mut stub = stub(&emulator);
    emulator.faults().inject(
        Fault::status(Code::Unavailable)
            .message("later")
            .retry_info(Duration::from_millis(2500))
            .method(Method::GenerateAccessToken)
            .times(2),
    );
    for _ in 0..2 {
        let status = get_token(&mut stub).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "later"));
        let retry = status.get_details_retry_info().unwrap();
        assert_eq!(retry.retry_delay, Some(Duration::from_millis(2500)));
    }
    get_token(&mut stub).await.unwrap();
    let faults =
        emulator.journal().entries().iter().filter(|entry| entry.outcome().unwrap().by_fault()).count();
    assert_eq!(faults, 2);
}

#[tokio::test]
async fn a_hanging_call_ends_when_its_caller_cancels_it() {
    let emulator = start().await;
    let fault = emulator.faults().inject(Fault::hang());
    let mut stub = stub(&emulator);
    let call = get_token(&mut stub);
    tokio::time::timeout(Duration::from_millis(200), call).await.unwrap_err();
    until("the end of the call in the journal", || emulator.journal().entries()[0].outcome().is_some()).await;
    assert_eq!(emulator.journal().entries()[0].outcome().unwrap().code(), Code::Cancelled);
    assert!(emulator.faults().clear(fault));
    get_token(&mut stub).await.unwrap();
}

#[tokio::test]
async fn a_delayed_call_succeeds() {
    let emulator = start().await;
    emulator.faults().inject(Fault::delay(Duration::from_millis(150)).times(1));
    let start = tokio::time::Instant::now();
    get_token(&mut stub(&emulator)).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn each_kind_of_broken_reply_fails_one_call_and_no_other() {
    let emulator = start().await;
    for (fault, what) in [
        (Fault::reset(), "reset"),
        (Fault::go_away(), "a GOAWAY without a reply"),
        (Fault::truncate(), "truncated"),
        (Fault::html(http::StatusCode::BAD_GATEWAY), "HTML"),
    ] {
        emulator.faults().clear_all();
        emulator.faults().inject(fault.times(1));
        let mut stub = stub(&emulator);
        let call = get_token(&mut stub);
        let result = tokio::time::timeout(Duration::from_secs(10), call).await.expect(what);
        result.expect_err(what);
        get_token(&mut stub).await.expect(what);
    }
}

#[tokio::test]
async fn a_reply_that_is_cut_off_is_a_lost_connection_and_may_be_retried() {
    let emulator = start().await;
    emulator.faults().inject(Fault::truncate().times(2));
    let client = client_of(&emulator);
    let call = client.generate_access_token(EMAIL, [CLOUD_PLATFORM]).retry(RetryPolicy::none());
    let error = call.await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Transport, true), "{error}");
    assert!(error.to_string().contains("was lost"), "{error}");
    client.generate_access_token(EMAIL, [CLOUD_PLATFORM]).await.expect("the second attempt succeeds");
}

#[tokio::test]
async fn a_drained_connection_sends_its_last_replies_and_the_next_call_uses_a_new_one() {
    let emulator = start().await;
    let (mut stub, client) = (stub(&emulator), client_of(&emulator));
    emulator.faults().inject(Fault::delay(Duration::from_millis(300)).times(1));
    emulator.faults().inject(Fault::drain().times(1));
    let mut slow_stub = stub.clone();
    let slow = tokio::spawn(async move { get_token(&mut slow_stub).await });
    until("the slow call", || emulator.journal().entries().len() == 1).await;
    get_token(&mut stub).await.expect("the call with the fault gets its reply");
    slow.await.unwrap().expect("a call in progress gets its reply");
    let connections = |emulator: &Emulator| -> Vec<_> {
        emulator.journal().entries().iter().map(JournalEntry::connection).collect()
    };
    assert_eq!(connections(&emulator), [1, 1]);

    emulator.journal().clear();
    emulator.faults().inject(Fault::drain());
    for _ in 0..5 {
        // tonic may use the old connection once more. This crate's client then retries.
        client.generate_access_token(EMAIL, [CLOUD_PLATFORM]).await.expect("no call is lost");
    }
    assert_eq!(connections(&emulator), [2, 3, 4, 5, 6], "each reply is the last one of its connection");
}

#[tokio::test]
async fn a_draining_connection_can_still_be_reset() {
    let emulator = start().await;
    let mut stub = stub(&emulator);
    emulator.faults().inject(Fault::reset().after(Duration::from_millis(300)).times(1));
    let mut reset_stub = stub.clone();
    let reset = tokio::spawn(async move { get_token(&mut reset_stub).await });
    until("the call", || !emulator.journal().entries().is_empty()).await;
    emulator.faults().inject(Fault::drain().times(1));
    get_token(&mut stub).await.unwrap();
    let outcome = tokio::time::timeout(Duration::from_secs(10), reset).await;
    outcome.expect("the reset ends the call").unwrap().unwrap_err();
}

#[tokio::test]
async fn over_http_1_a_drained_connection_closes_after_its_reply() {
    let emulator = start().await;
    emulator.faults().inject(Fault::drain());
    let url = format!("{}/tokeninfo", emulator.endpoint());
    let (status, headers, _) = http("GET", &url, &[], "").await;
    assert_eq!(status, 400, "the reply to a request without a token");
    assert_eq!(headers.get("connection").map(|value| value.as_bytes()), Some(&b"close"[..]));
}

/// conf: A21
#[test]
fn a_share_is_a_number_from_0_to_1() {
    for share in [0.0, -0.0, f64::MIN_POSITIVE, 0.5, 1.0] {
        assert!(Fault::hang().share(share).is_ok(), "{share}");
        assert!(Fault::status(Code::Unavailable).share(share).is_ok(), "{share}");
    }
    for share in [-f64::MIN_POSITIVE, -1.0, 1.000_000_1, 25.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = Fault::hang().share(share).unwrap_err().to_string();
        assert_eq!(error, format!("invalid `share`: must be between 0 and 1, got {share}"));
        Fault::status(Code::Unavailable).share(share).unwrap_err();
    }
}

#[tokio::test]
async fn a_fault_of_one_method_applies_to_no_other() {
    let emulator = start().await;
    emulator.faults().inject(Fault::bad_details().method(Method::SignBlob));
    get_token(&mut stub(&emulator)).await.expect("the fault is for sign_blob");
}

#[tokio::test]
async fn a_stalled_body_never_ends() {
    let emulator = start().await;
    emulator.faults().inject(Fault::stall_body());
    let mut stub = stub(&emulator);
    let call = get_token(&mut stub);
    tokio::time::timeout(Duration::from_millis(200), call).await.expect_err("the body stalls");
}

/// conf: S5
#[tokio::test]
async fn later_refusals_on_the_connection_of_broken_details_are_still_read() {
    let emulator = start().await;
    emulator.faults().inject(Fault::bad_details().times(1));
    let refusal =
        Fault::status(Code::PermissionDenied).error_info("REASON", "example.com", [("key", "value")]);
    emulator.faults().inject(refusal);
    let client = client_of(&emulator);
    for expected in [None, Some("REASON"), Some("REASON")] {
        let call = client.generate_access_token(EMAIL, [CLOUD_PLATFORM]).retry(RetryPolicy::none());
        let error = call.await.unwrap_err();
        assert_eq!(error.service().and_then(|service| service.reason()), expected, "{error}");
    }
    let connections: Vec<_> = emulator.journal().entries().iter().map(JournalEntry::connection).collect();
    assert_eq!(connections, [1, 1, 1]);
}

/// conf: S5
#[test]
fn a_header_with_broken_details_is_never_indexed() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let emulator = runtime.block_on(start());
    emulator.faults().inject(Fault::bad_details());
    let block = reply_header_block(&emulator);
    let fields = fields_of_header_block(&block);
    let never_indexed = fields.iter().filter(|first_byte| **first_byte >> 4 == 0b0001).count();
    assert_eq!(never_indexed, 1, "the first bytes of the fields: {fields:02x?}");
}

/// Sends a gRPC request by hand, and returns the first header block of the reply.
fn reply_header_block(emulator: &Emulator) -> Vec<u8> {
    let mut socket = TcpStream::connect(emulator.address()).unwrap();
    let mut headers = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", "/google.iam.credentials.v1.IAMCredentials/SignBlob"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        // A field without indexing whose name is a literal.
        headers.push(0);
        for text in [name, value] {
            headers.push(text.len() as u8);
            headers.extend_from_slice(text.as_bytes());
        }
    }
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    // SETTINGS, HEADERS (with END_HEADERS), and DATA (with END_STREAM): an empty message.
    for (kind, flags, stream, payload) in [(4, 0, 0, &[][..]), (1, 4, 1, &headers), (0, 1, 1, &[0; 5])] {
        socket.write_all(&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream]).unwrap();
        socket.write_all(payload).unwrap();
    }
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        socket.read_exact(&mut payload).unwrap();
        if head[3] == 1 {
            return payload;
        }
    }
}

/// Returns the first byte of each field in an HPACK block (RFC 7541, section 6).
fn fields_of_header_block(mut block: &[u8]) -> Vec<u8> {
    /// Reads an integer with a prefix of that many bits.
    fn integer(block: &mut &[u8], bits: u32) -> usize {
        let mask = (1u8 << bits) - 1;
        let mut value = usize::from(block.split_off_first().unwrap() & mask);
        if value < usize::from(mask) {
            return value;
        }
        for shift in (0..).step_by(7) {
            let byte = block.split_off_first().unwrap();
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut firsts = Vec::new();
    while let Some(first) = block.first().copied() {
        let (bits, has_value) = match first {
            0x80.. => (7, false),
            0x40.. => (6, true),
            0x20.. => (5, false),
            _ => (4, true),
        };
        let index = integer(&mut block, bits);
        let strings = usize::from(has_value) + usize::from(has_value && index == 0);
        for _ in 0..strings {
            let length = integer(&mut block, 7);
            block = &block[length..];
        }
        firsts.push(first);
    }
    firsts
}
