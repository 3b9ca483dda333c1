//! The server's replies: one token, in the three formats.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use gcp_iam_credentials::proto::GenerateAccessTokenResponse;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame};
use prost::Message;

/// The path of the gRPC call.
pub const GRPC_PATH: &str = "/google.iam.credentials.v1.IAMCredentials/GenerateAccessToken";

/// What a request asks for, and in which format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Grpc,
    Rest,
    SourceToken,
}

/// The body of a reply: some bytes, then trailers.
#[derive(Debug, Default)]
pub struct Reply {
    bytes: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let bytes = self.bytes.take().map(Frame::data);
        Poll::Ready(bytes.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && self.trailers.is_none()
    }
}

/// Replies with a token that lives for `seconds`.
pub fn token(kind: Kind, seconds: u64) -> Response<Reply> {
    let token = super::token();
    let token = String::from_utf8_lossy(&token);
    let expires = prost_types::Timestamp::from(SystemTime::now() + Duration::from_secs(seconds));
    match kind {
        Kind::Grpc => {
            let message =
                GenerateAccessTokenResponse { access_token: token.into_owned(), expire_time: Some(expires) };
            grpc(&message)
        }
        Kind::Rest => {
            json(StatusCode::OK, format!(r#"{{"accessToken":"{token}","expireTime":"{expires}"}}"#))
        }
        Kind::SourceToken => {
            let reply =
                format!(r#"{{"access_token":"{token}","expires_in":{seconds},"token_type":"Bearer"}}"#);
            json(StatusCode::OK, reply)
        }
    }
}

/// Replies that the service is unavailable.
pub fn unavailable(kind: Kind) -> Response<Reply> {
    match kind {
        Kind::Grpc => {
            let mut response = Response::new(Reply::default());
            grpc_headers(response.headers_mut());
            response.headers_mut().insert("grpc-status", HeaderValue::from_static("14"));
            response
        }
        Kind::Rest => json(
            StatusCode::SERVICE_UNAVAILABLE,
            r#"{"error":{"code":503,"message":"outage","status":"UNAVAILABLE"}}"#.to_owned(),
        ),
        Kind::SourceToken => json(
            StatusCode::SERVICE_UNAVAILABLE,
            r#"{"error":"internal_failure","error_description":"outage"}"#.to_owned(),
        ),
    }
}

/// Replies with a status alone.
pub fn refused(status: StatusCode) -> Response<Reply> {
    let mut response = Response::new(Reply::default());
    *response.status_mut() = status;
    response
}

/// Replies with a text.
pub fn text(text: String) -> Response<Reply> {
    Response::new(Reply { bytes: Some(text.into()), trailers: None })
}

fn json(status: StatusCode, body: String) -> Response<Reply> {
    let mut response = text(body);
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=UTF-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    let length = response.body().bytes.as_ref().map_or(0, Bytes::len);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn grpc(message: &impl Message) -> Response<Reply> {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.put_slice(&message.encode_to_vec());
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let mut response = Response::new(Reply { bytes: Some(frame.freeze()), trailers: Some(trailers) });
    grpc_headers(response.headers_mut());
    response
}

fn grpc_headers(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
}
