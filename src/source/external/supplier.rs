//! A closure in the program as the source of subject tokens.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{SubjectToken, SubjectTokenKind, SubjectTokenSource};
use crate::Error;
use crate::source::BoxFuture;

/// What a supplier of subject tokens needs to know. [`Credentials::external_account`] passes it to the
/// supplier for each exchange.
///
/// ```
/// use gcp_iam_credentials::Error;
/// use gcp_iam_credentials::source::SubjectTokenRequest;
///
/// async fn supply(request: SubjectTokenRequest) -> Result<String, Error> {
///     println!("a token of type {}", request.subject_token_type());
///     let audience = request.audience();
///     // Ask the platform for a token for this audience.
/// #   let _ = audience;
///     Ok("a.b.c".to_owned())
/// }
/// ```
///
/// [`Credentials::external_account`]: crate::Credentials::external_account
#[derive(Clone, Debug)]
pub struct SubjectTokenRequest {
    names: Arc<Names>,
    deadline: Instant,
}

#[derive(Debug)]
struct Names {
    audience: Box<str>,
    subject_token_type: Box<str>,
}

impl SubjectTokenRequest {
    /// Returns the audience of the exchange: the name of the provider that knows the identity. Many
    /// providers expect it, or `https:` and it, as the audience of the subject token.
    pub fn audience(&self) -> &str {
        &self.names.audience
    }

    /// Returns the type that the subject token must have: a URN.
    pub fn subject_token_type(&self) -> &str {
        &self.names.subject_token_type
    }

    /// Returns the time left until the supplier is no longer waited for.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// Calls a closure for each exchange.
pub(crate) struct SupplierSource<F> {
    supplier: F,
    names: Arc<Names>,
}

impl<F> SupplierSource<F> {
    pub(crate) fn new(supplier: F, audience: &str, subject_token_type: &str) -> Self {
        let names = Names { audience: audience.into(), subject_token_type: subject_token_type.into() };
        Self { supplier, names: Arc::new(names) }
    }
}

impl<F, T> SubjectTokenSource for SupplierSource<F>
where
    F: Fn(SubjectTokenRequest) -> T + Send + Sync,
    T: Future<Output = Result<String, Error>> + Send + 'static,
{
    fn fetch(&self, deadline: Instant) -> BoxFuture<'_, Result<SubjectToken, Error>> {
        let request = SubjectTokenRequest { names: Arc::clone(&self.names), deadline };
        Box::pin(async move {
            match timeout_at(deadline, (self.supplier)(request)).await {
                Ok(token) => SubjectToken::new(&token?)
                    .ok_or_else(|| Error::credentials("the supplier returned an empty subject token", false)),
                Err(_elapsed) => {
                    Err(Error::timeout("the supplier of subject tokens didn't return in time", None))
                }
            }
        })
    }

    fn kind(&self) -> SubjectTokenKind {
        SubjectTokenKind::Programmatic
    }

    fn origin(&self) -> String {
        "a closure in the program".to_owned()
    }
}
