//! gRPC replies as HTTP responses.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio_stream::Stream;
use tonic::body::Body;

/// Puts the flag and the length before an encoded message, as gRPC sends it.
pub(crate) fn frame(message: &[u8]) -> Bytes {
    let mut data = BytesMut::with_capacity(5 + message.len());
    data.put_u8(0);
    data.put_u32(message.len() as u32);
    data.put(message);
    data.freeze()
}

/// Returns a complete reply with this encoded message.
pub(crate) fn success(message: &[u8]) -> Response<Body> {
    success_framed(frame(message))
}

/// Returns a complete reply: the head, one framed message, and the trailers of a success.
pub(crate) fn success_framed(framed: Bytes) -> Response<Body> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    response(tokio_stream::iter([Ok(Frame::data(framed)), Ok(Frame::trailers(trailers))]))
}

/// Returns a head, the start of a message, and no end.
pub(crate) fn stalled() -> Response<Body> {
    let start = tokio_stream::once(Ok(Frame::data(Bytes::from_static(&[0, 0, 0, 0, 9, 1]))));
    response(tokio_stream::StreamExt::chain(start, tokio_stream::pending()))
}

/// Returns a head, after which the stream is reset.
pub(crate) fn reset() -> Response<Body> {
    response(tokio_stream::once(Err(std::io::Error::other("the scripted service resets the stream"))))
}

fn response(
    frames: impl Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send + 'static,
) -> Response<Body> {
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
