//! x
mod credentials;
#[cfg(feature = "emulator")]
pub mod emulator;
mod error;
mod name;
pub mod proto;
mod retry;
pub mod scopes;
mod source;
mod token;
pub use credentials::Credentials;
pub use error::{Error, ErrorKind, ServiceError};
pub use name::{ServiceAccountName, parse_service_account_path, service_account_path};
pub use retry::RetryPolicy;
pub use source::{BoxFuture, FetchReason, FetchRequest, SourceInfo, TokenSource};
pub use token::Token;
