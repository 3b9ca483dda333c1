//! The bodies of requests to OAuth endpoints, and of their replies.

use axum::body::Body;
use axum::extract::{Form, FromRequest};
use axum::response::IntoResponse;
use http::{HeaderValue, Request, Response, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::emulator::api::record::JournalRecord;
use crate::emulator::error::OauthError;
use crate::emulator::reply::Json;

/// Reads JSON if the content type says so, otherwise a form.
pub(super) async fn read<T: DeserializeOwned>(mut request: Request<Body>) -> Result<T, OauthError> {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let is_json = content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    let read = if is_json {
        axum::Json::from_request(request, &()).await.map(|axum::Json(body)| body).ok()
    } else {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, form);
        Form::from_request(request, &()).await.map(|Form(body)| body).ok()
    };
    read.ok_or_else(|| OauthError::new("invalid_request", "The body is neither a form nor JSON."))
}

/// Replies with tokens must not be cached (RFC 6749, section 5.1).
const NOT_CACHED: HeaderValue = HeaderValue::from_static("no-cache, no-store, max-age=0, must-revalidate");

/// Records how a request ended, and returns its reply.
pub(super) fn reply(record: JournalRecord<'_>, result: Result<Value, OauthError>) -> Response<Body> {
    let mut response = match result {
        Ok(body) => {
            record.finish(None);
            Json(body).into_response()
        }
        Err(error) => {
            record.finish_with_oauth_error(error.code(), error.error, &error.description);
            error.into_response()
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, NOT_CACHED);
    response
}
