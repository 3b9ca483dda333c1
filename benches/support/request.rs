//! The request that the benchmarks of the layer send.

use http::{HeaderName, HeaderValue, Request};

/// What a request of a tonic client contains.
const HEADERS: [(&str, &str); 6] = [
    ("content-type", "application/grpc"),
    ("te", "trailers"),
    ("user-agent", "my-app/1.2 tonic/0.14"),
    ("grpc-timeout", "20000000u"),
    ("x-goog-request-params", "topic=projects%2Fp%2Ftopics%2Ft"),
    ("x-goog-api-client", "gl-rust/1.90.0 gapic/1.0.0 grpc/0.14.0"),
];

/// Returns a request whose map has room for one more header: all would pay the same for a map that
/// must grow.
pub(crate) fn request() -> Request<()> {
    let mut request = Request::new(());
    request.headers_mut().reserve(16);
    for (name, value) in HEADERS {
        request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    request
}
