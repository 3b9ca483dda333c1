//! Replies in JSON, with the layout that Google's servers use.

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderValue, Response, header};
use serde_json::Value;

use super::error::{ApiError, OauthError};

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");

/// A reply in JSON, indented for people.
#[derive(Debug)]
pub(crate) struct Json(pub(crate) Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response<Body> {
        ([(header::CONTENT_TYPE, JSON)], format!("{:#}\n", self.0)).into_response()
    }
}

/// A reply in JSON without line breaks.
#[derive(Debug)]
pub(crate) struct CompactJson(pub(crate) Value);

impl IntoResponse for CompactJson {
    fn into_response(self) -> Response<Body> {
        ([(header::CONTENT_TYPE, JSON)], format!("{}\n", self.0)).into_response()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let mut response = (self.http_status(), Json(self.to_json())).into_response();
        response
            .headers_mut()
            .extend(self.challenge().map(|challenge| (header::WWW_AUTHENTICATE, challenge)));
        response
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response<Body> {
        let mut response = (self.status(), Json(self.to_json())).into_response();
        response
            .headers_mut()
            .extend(self.challenge().map(|challenge| (header::WWW_AUTHENTICATE, challenge)));
        response
    }
}
