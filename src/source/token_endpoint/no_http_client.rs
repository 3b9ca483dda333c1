//! The replacement for the HTTP client in builds without the feature `credential-files`.

use http::Uri;

use super::AttemptError;
use super::reply::Reply;
use crate::Error;

/// No value of this type exists.
pub(super) enum HttpClient {}

impl HttpClient {
    /// Fails with an error that names `field` and the missing feature.
    pub(super) fn new(_uri: &Uri, field: &'static str) -> Result<Self, Error> {
        Err(Error::invalid(field, "must not be used, because this build can't call token endpoints")
            .fix_by("enable the feature credential-files of gcp-iam-credentials"))
    }

    pub(super) async fn post(&self, _uri: &Uri, _form: String) -> Result<Reply, AttemptError> {
        match *self {}
    }
}
