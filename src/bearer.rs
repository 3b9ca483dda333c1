//! The service that a [`BearerLayer`] makes, its response future, and its errors.

mod api_client_header;
mod auth_headers;
mod destination;
mod error;
mod future;
pub(crate) mod interceptor;
pub(crate) mod layer;
mod service;
mod settings;
mod time_limit;
mod waiting;

pub use self::error::{BearerError, TokenError};
pub use self::future::ResponseFuture;
use self::interceptor::BearerInterceptor;
use self::layer::BearerLayer;
pub use self::service::BearerService;
use crate::{Credentials, Error};

impl Credentials {
    /// Returns a tower layer that puts the token on every request of the service it wraps.
    ///
    /// It works on a tonic channel, balanced or not, on a hyper client, and on any other service
    /// that takes an [`http::Request`] and returns an [`http::Response`].
    ///
    /// ```
    /// use gcp_iam_credentials::{Credentials, Token};
    /// use tonic::transport::Endpoint;
    /// use tower::ServiceBuilder;
    ///
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let acting = Credentials::fixed(Token::new("ya29.secret", None)?);
    /// let channel = Endpoint::from_static("https://pubsub.googleapis.com");
    /// let channel = channel.connect_lazy();
    /// let channel = ServiceBuilder::new().layer(acting.layer()).service(channel);
    /// // let publisher = PublisherClient::new(channel);
    /// # Ok(()) }
    /// ```
    pub fn layer(&self) -> BearerLayer {
        BearerLayer::new(self.clone())
    }

    /// Waits for the first token, and returns an interceptor for a tonic client.
    ///
    /// An interceptor can't wait for a token and sees no replies. Use [`layer`](Self::layer) if the
    /// client takes one; [`BearerInterceptor`] lists the differences.
    ///
    /// # Errors
    ///
    /// The same as for [`token`](Self::token).
    pub async fn interceptor(&self) -> Result<BearerInterceptor, Error> {
        self.token().await?;
        Ok(BearerInterceptor::new(self.clone()))
    }
}
