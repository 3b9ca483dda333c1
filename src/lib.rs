//! x
mod credentials;
mod error;
mod name;
pub mod proto;
mod retry;
pub mod scopes;
mod source;
mod token;
pub use credentials::{CacheStatus, Credentials, KeepWarm};
pub use error::{Error, ErrorKind, ServiceError};
pub use name::{ServiceAccountName, parse_service_account_path, service_account_path};
pub use retry::RetryPolicy;
pub use source::{BoxFuture, CacheHints, FetchReason, FetchRequest, SourceInfo, TokenSource};
pub use token::Token;
