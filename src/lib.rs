//! Google's IAM Service Account Credentials API over gRPC: act as another service account, from
//! any tonic client.
//!
//! Three nouns carry the crate:
//!
//! * a [`TokenSource`] fetches one token,
//! * [`Credentials`] put a cache around a source: whatever authenticates takes them,
//! * an [`IamCredentialsClient`] makes the four calls of the API, and with
//!   [`impersonate`](IamCredentialsClient::impersonate) makes new [`Credentials`] that act as a
//!   target service account.
//!
//! ```no_run
//! use gcp_iam_credentials::{IamCredentialsClient, scopes::CLOUD_PLATFORM};
//! use tonic::transport::{Channel, ClientTlsConfig};
//! use tower::ServiceBuilder;
//!
//! # async fn act() -> Result<(), Box<dyn std::error::Error>> {
//! let client = IamCredentialsClient::new()?;
//! let acting = client.impersonate("deployer@project.iam.gserviceaccount.com").access_token([CLOUD_PLATFORM])?;
//!
//! let tls = ClientTlsConfig::new().with_enabled_roots();
//! let channel = Channel::from_static("https://pubsub.googleapis.com").tls_config(tls)?.connect_lazy();
//! let channel = ServiceBuilder::new().layer(acting.layer()).service(channel);
//! // Any generated client over `channel` now calls as the deployer, with tokens kept fresh.
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! | Feature | Default | Adds |
//! |---|---|---|
//! | `gcp-auth` | yes | credential files, and gcp_auth for the metadata server and `gcloud` |
//! | `tls-ring` | yes | TLS with ring |
//! | `tls-aws-lc` | no | TLS with aws-lc; both may be on, and ring is then used unless the process chose |
//! | `tls-native-roots` | yes | trust in the machine's certificate store |
//! | `tls-webpki-roots` | no | trust in Mozilla's roots, compiled in |
//! | `emulator` | no | an emulator of the API, for tests without a Google account |
//! | `cli` | no | the program `iamcreds`, which serves the emulator to any language |
//!
//! Features only add; none changes what another does.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod adc;
pub mod bearer;
mod client;
mod credentials;
#[cfg(feature = "emulator")]
pub mod emulator;
mod environment;
mod error;
mod grpc_timeout;
mod headers;
mod host;
mod impersonation;
mod jwt;
pub mod manual;
mod name;
mod panics;
pub mod proto;
mod retry;
mod roles;
pub mod scopes;
pub mod source;
mod tls;
mod token;
#[cfg(all(feature = "gcp-auth", any(feature = "tls-ring", feature = "tls-aws-lc")))]
pub mod verify;

pub use adc::CredentialsBuilder;
pub use bearer::interceptor::BearerInterceptor;
pub use bearer::layer::BearerLayer;
pub use client::{
    ClientBuilder, GenerateAccessToken, GenerateIdToken, IamCredentialsClient, SignBlob, SignJwt, SignedBlob,
    SignedJwt,
};
pub use credentials::{CacheStatus, Credentials, KeepWarm};
pub use error::{Error, ErrorKind, ServiceError};
pub use impersonation::{Impersonation, ImpersonationPool, Signer};
pub use name::{ServiceAccountName, parse_service_account_path, service_account_path};
pub use retry::RetryPolicy;
pub use source::TokenSource;
pub use token::Token;
/// tonic's status codes, as [`Error::code`] and [`ServiceError::code`] return them.
pub use tonic::Code;

/// The report on why an impersonation fails: see [`Impersonation::diagnose`].
pub mod diagnosis {
    pub use crate::impersonation::{DiagnosedHop, Diagnosis, Finding, Operation};
}

/// The types around an [`ImpersonationPool`].
pub mod pool {
    pub use crate::impersonation::{PoolBuilder, PoolStats, PooledImpersonation};
}

/// The samples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
