//! The values of `x-goog-api-client`: versions, and the kind of token that a call is for.

/// The versions of the language, this crate and its gRPC library, and then `$more`.
macro_rules! versions {
    ($more:literal) => {
        concat!("gl-rust/", env!("RUSTC_RELEASE"), " gapic/", env!("CARGO_PKG_VERSION"), " grpc/0.14", $more)
    };
}

/// What a client sends in its calls.
pub(super) const USUAL: &str = versions!("");
/// What is sent to generate an access token for impersonated credentials.
pub(crate) const FOR_ACCESS_TOKEN: &str = versions!(" auth-request-type/at cred-type/imp");
/// What is sent to generate an ID token for impersonated credentials.
pub(crate) const FOR_ID_TOKEN: &str = versions!(" auth-request-type/it cred-type/imp");
