//! x
mod adc;
mod client;
mod credentials;
mod error;
mod host;
mod impersonation;
mod jwt;
mod name;
pub mod proto;
mod retry;
pub mod scopes;
mod source;
mod token;
pub use client::{
    ClientBuilder, GenerateAccessToken, GenerateIdToken, IamCredentialsClient, SignBlob, SignJwt, SignedBlob,
    SignedJwt,
};
pub use credentials::Credentials;
pub use error::{Error, ErrorKind, ServiceError};
pub use impersonation::Impersonation;
pub use name::{ServiceAccountName, parse_service_account_path, service_account_path};
pub use retry::RetryPolicy;
pub use source::{BoxFuture, FetchReason, FetchRequest, SourceInfo, TokenSource};
pub use token::Token;
