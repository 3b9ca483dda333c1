//! Google's IAM Service Account Credentials API over gRPC: act as another service account from any
//! tonic client.
//!
//! The crate has three central types:
//!
//! * A [`TokenSource`] fetches one token.
//! * [`Credentials`] are a source with a cache. Everything that authenticates takes them.
//! * An [`IamCredentialsClient`] makes the four calls of the API. Its method
//!   [`impersonate`](IamCredentialsClient::impersonate) returns new [`Credentials`] that act as a
//!   target service account.
//!
//! ```no_run
//! use gcp_iam_credentials::{IamCredentialsClient, scopes::CLOUD_PLATFORM};
//! use tonic::transport::{Channel, ClientTlsConfig};
//! use tower::ServiceBuilder;
//!
//! # fn act() -> Result<(), Box<dyn std::error::Error>> {
//! let target = "deployer@project.iam.gserviceaccount.com";
//! let client = IamCredentialsClient::new()?;
//! let acting = client.impersonate(target).access_token([CLOUD_PLATFORM])?;
//!
//! let tls = ClientTlsConfig::new().with_enabled_roots();
//! let channel = Channel::from_static("https://pubsub.googleapis.com")
//!     .tls_config(tls)?
//!     .connect_lazy();
//! let channel = ServiceBuilder::new().layer(acting.layer()).service(channel);
//! // Every generated client on `channel` now makes its calls as the deployer.
//! # Ok(())
//! # }
//! ```
//!
//! # Where to find what
//!
//! | Task | Start at |
//! |---|---|
//! | Make tokens, sign bytes and JWTs | [`IamCredentialsClient`], [`call`] |
//! | Act as another account | [`Impersonation`], [`Signer`] |
//! | Act as many accounts | [`ImpersonationPool`] |
//! | Let other programs act as an account | `broker`, with that feature |
//! | Let others make one request to Cloud Storage | [`Signer::signed_url`] |
//! | Put tokens on a client's requests | [`BearerLayer`], [`BearerInterceptor`] |
//! | Choose or write the source of tokens | [`Credentials`], [`source`] |
//! | Handle errors | [`Error`], [`ErrorKind`] |
//! | Find out why impersonation fails | [`diagnosis`] |
//! | Verify what an account signed | [`verify`] |
//! | Start, and read in order | [`guide`] |
//! | Understand an error | [`guide::errors`] |
//! | Test without Google | [`guide::testing`] |
//! | Port a program from another language | [`guide::names`] |
//!
//! # Features
//!
//! | Feature | Default | Adds |
//! |---|---|---|
//! | `credential-files` | yes | credential files: keys, users' logins, impersonations |
//! | `aws` | yes | federated identities of AWS, and `credential-files` |
//! | `gcp-auth` | yes | gcp_auth providers, the metadata server, and the `gcloud` command |
//! | `google-cloud-auth` | no | credentials and signers for Google's own clients, and official credentials as sources |
//! | `metrics` | no | counts and times of fetches, caches, pools and calls, for the recorder of the `metrics` facade |
//! | `tls-ring` | yes | TLS with the cryptography of ring |
//! | `tls-aws-lc` | no | TLS with the cryptography of aws-lc. If both are enabled, the process's default provider is used, else ring |
//! | `tls-native-roots` | yes | trust in the machine's certificate store |
//! | `tls-webpki-roots` | no | trust in Mozilla's root certificates, which are compiled in |
//! | `emulator` | no | an emulator of the API, for tests without a Google account |
//! | `broker` | no | servers that give impersonated tokens to programs in any language: a metadata server, Envoy's authorization, token exchange |
//! | `cli` | no | the program `iamcreds`: tokens, signatures and diagnoses at a terminal, the broker and the emulator for any language |
//!
//! A feature only adds something. No feature changes what another one does.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod adc;
pub mod bearer;
#[cfg(feature = "broker")]
pub mod broker;
mod client;
#[cfg(test)]
#[path = "../tests/support/closed_port.rs"]
#[allow(dead_code, reason = "not every set of features has a test that needs it")]
mod closed_port;
pub mod credentials;
#[cfg(any(feature = "broker", feature = "emulator"))]
#[cfg_attr(not(feature = "emulator"), allow(dead_code))]
mod document;
#[cfg(feature = "credential-files")]
pub mod downscope;
#[cfg(feature = "emulator")]
pub mod emulator;
mod environment;
mod error;
mod grpc_timeout;
pub mod guide;
mod headers;
mod host;
mod http_client;
mod impersonation;
#[cfg(any(feature = "broker", feature = "emulator"))]
#[cfg_attr(not(feature = "emulator"), allow(dead_code))]
mod json_duration;
mod jwt;
mod measurements;
#[cfg(any(feature = "broker", feature = "emulator"))]
#[cfg_attr(not(feature = "emulator"), allow(dead_code))]
mod metadata_protocol;
#[cfg(feature = "metrics")]
pub mod metrics;
mod name;
#[cfg(any(feature = "broker", feature = "emulator"))]
#[cfg_attr(not(feature = "emulator"), allow(dead_code))]
mod own_hosts;
mod panics;
mod per_thread;
mod printable;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod proto;
mod proxy;
#[cfg(any(feature = "aws", feature = "broker", feature = "emulator"))]
mod query;
#[cfg(test)]
#[path = "../tests/support/random.rs"]
mod random;
#[cfg(feature = "credential-files")]
mod regional_access_boundary;
mod retry;
mod roles;
pub mod scopes;
mod shell;
pub mod source;
#[cfg_attr(not(all(feature = "credential-files", feature = "emulator")), allow(dead_code))]
mod sts_protocol;
mod timers;
mod tls;
mod token;
#[cfg(feature = "_tls")]
pub mod verify;

pub use bearer::interceptor::BearerInterceptor;
pub use bearer::layer::BearerLayer;
pub use client::{ClientBuilder, IamCredentialsClient};
#[doc(inline)]
pub use credentials::Credentials;
pub use error::{Error, ErrorKind};
pub use impersonation::{Impersonation, ImpersonationPool, Signer};
pub use name::{ServiceAccountName, parse_service_account_path, service_account_path};
pub use retry::RetryPolicy;
pub use source::TokenSource;
pub use token::Token;
/// tonic's status codes, which [`Error::code`] returns.
pub use tonic::Code;

/// The four calls of an [`IamCredentialsClient`], what they return, the service's error reply, and the
/// trace context of a call.
pub mod call {
    pub use crate::client::{GenerateAccessToken, GenerateIdToken, SignBlob, SignJwt};
    pub use crate::client::{SignedBlob, SignedJwt, TraceContext};
    pub use crate::error::ServiceError;
}

/// The report on why an impersonation fails: see [`Impersonation::diagnose`].
pub mod diagnosis {
    pub use crate::impersonation::{DiagnosedHop, DiagnosedSource, Diagnosis, Finding, Fix, Operation};
}

/// Signed URLs of Cloud Storage: see [`Signer::signed_url`].
#[cfg(feature = "_tls")]
pub mod signed_url {
    pub use crate::impersonation::signed_url::{SignUrl, SignedUrl, SignedUrlRequest};
}

/// The types around an [`ImpersonationPool`].
pub mod pool {
    pub use crate::impersonation::{PoolBuilder, PoolStats, PooledImpersonation};
}

/// Compiles the samples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
