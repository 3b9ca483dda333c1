//! The signature of a request to AWS, in version 4 (SigV4).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::signed_request::SignedRequest;
use crate::query;

/// What is encoded in a canonical query.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Returns whether `secret`, the secret access key, signed the request.
pub(super) fn is_valid(request: &SignedRequest, secret: &str) -> bool {
    let Some(canonical) = canonical(request) else { return false };
    let text = format!(
        "AWS4-HMAC-SHA256\n{}\n{}\n{}",
        request.date,
        request.scope.text(),
        hex(digest(&SHA256, canonical.as_bytes()).as_ref())
    );
    hmac::verify(&signing_key(request, secret), text.as_bytes(), &request.signature).is_ok()
}

/// Returns the request in its canonical form. Returns `None` if a signed header is missing.
fn canonical(request: &SignedRequest) -> Option<String> {
    let mut headers = String::new();
    for name in &request.signed_headers {
        let value: Vec<&str> = request.header(name)?.split_ascii_whitespace().collect();
        headers.push_str(&format!("{name}:{}\n", value.join(" ")));
    }
    let (query, signed) = (canonical_query(&request.query), request.signed_headers.join(";"));
    let body = hex(digest(&SHA256, request.body.as_bytes()).as_ref());
    Some(format!("{}\n{}\n{query}\n{headers}\n{signed}\n{body}", request.method, request.path))
}

fn canonical_query(text: &str) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, &RESERVED).to_string();
    let mut pairs: Vec<(String, String)> =
        query::pairs(text).map(|(name, value)| (encoded(&name), encoded(&value))).collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn signing_key(request: &SignedRequest, secret: &str) -> hmac::Key {
    let scope = &request.scope;
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [&scope.date, &scope.region, &scope.service, "aws4_request"] {
        key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
    }
    hmac::Key::new(hmac::HMAC_SHA256, &key)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::iam::federation::aws::signed_request::Scope;

    /// The secret of AWS's published test suite for this signature.
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// Returns a request of AWS's test suite.
    fn request(query: &str, signature: &str) -> SignedRequest {
        let date = "20150830T123600Z";
        let bytes = (0..64).step_by(2).map(|at| u8::from_str_radix(&signature[at..at + 2], 16).unwrap());
        SignedRequest {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            query: query.to_owned(),
            body: String::new(),
            access_key_id: "AKIDEXAMPLE".to_owned(),
            scope: Scope {
                date: "20150830".to_owned(),
                region: "us-east-1".to_owned(),
                service: "service".to_owned(),
            },
            signed_headers: ["host", "x-amz-date"].map(str::to_owned).to_vec(),
            signature: bytes.collect(),
            date: date.to_owned(),
            time: 0,
            target_resource: String::new(),
            headers: [("host", "example.amazonaws.com"), ("x-amz-date", date)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        }
    }

    /// conf: X4
    #[test]
    fn signatures_of_the_published_test_suite_are_valid() {
        for (query, signature) in [
            ("", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            (
                "Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
        ] {
            let mut request = request(query, signature);
            assert!(is_valid(&request, SECRET), "{query}");
            assert!(!is_valid(&request, "another secret"));
            request.query = "Param1=value1&Param2=value3".to_owned();
            assert!(!is_valid(&request, SECRET), "another query");
        }
    }
}
