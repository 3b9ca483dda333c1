//! The body of a request to an OAuth endpoint.

use axum::body::Body;
use axum::extract::{Form, FromRequest};
use http::{HeaderValue, Request, header};
use serde::de::DeserializeOwned;

use crate::emulator::error::OauthError;

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
