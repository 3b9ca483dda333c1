//! The methods of Google's APIs, as errors name them.

use super::method::Method;

/// A method of one of Google's APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CalledMethod {
    /// `iamcredentials.googleapis.com`, for example.
    pub(crate) service: &'static str,
    /// The interface and the method: `google.iam.credentials.v1.IAMCredentials.SignBlob`, for example.
    pub(crate) interface: &'static str,
    pub(crate) method: &'static str,
}

impl From<Method> for CalledMethod {
    fn from(method: Method) -> Self {
        Self {
            service: "iamcredentials.googleapis.com",
            interface: "google.iam.credentials.v1.IAMCredentials",
            method: method.as_str(),
        }
    }
}
