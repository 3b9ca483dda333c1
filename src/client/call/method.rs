//! The four RPCs.

use std::sync::LazyLock;

use http::uri::PathAndQuery;

/// The full name of the gRPC service.
pub(super) const SERVICE: &str = "google.iam.credentials.v1.IAMCredentials";

/// One of the four RPCs.
pub(crate) struct Method {
    /// The name of the client's function, as errors show it.
    pub(crate) operation: &'static str,
    pub(super) name: &'static str,
    /// Parsed once, not in every call.
    path: LazyLock<PathAndQuery>,
}

impl Method {
    pub(super) fn path(&self) -> PathAndQuery {
        PathAndQuery::clone(&self.path)
    }
}

macro_rules! method {
    ($constant:ident, $operation:literal, $name:literal) => {
        pub(crate) static $constant: Method = Method {
            operation: $operation,
            name: $name,
            path: LazyLock::new(|| {
                PathAndQuery::from_static(concat!("/google.iam.credentials.v1.IAMCredentials/", $name))
            }),
        };
    };
}

method!(GENERATE_ACCESS_TOKEN, "generate_access_token", "GenerateAccessToken");
method!(GENERATE_ID_TOKEN, "generate_id_token", "GenerateIdToken");
method!(SIGN_BLOB, "sign_blob", "SignBlob");
method!(SIGN_JWT, "sign_jwt", "SignJwt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_contain_the_service_and_the_name() {
        for method in [&GENERATE_ACCESS_TOKEN, &GENERATE_ID_TOKEN, &SIGN_BLOB, &SIGN_JWT] {
            assert_eq!(method.path(), format!("/{SERVICE}/{}", method.name).as_str());
        }
    }
}
