//! Puts the token on requests: of any tower service, or of one tonic client.

mod destination;
mod error;
mod future;
mod interceptor;
mod layer;
mod service;
mod stamp;
mod usage;

pub use self::error::{BearerError, NoToken};
pub use self::future::ResponseFuture;
pub use self::interceptor::BearerInterceptor;
pub use self::layer::BearerLayer;
pub use self::service::BearerService;
use crate::{Credentials, Error};

impl Credentials {
    /// A tower layer that puts the token on every request of the service it wraps.
    ///
    /// Works on a tonic channel, balanced or not, on a hyper client, and on any other service that
    /// takes an [`http::Request`] and gives an [`http::Response`].
    ///
    /// ```
    /// use gcp_iam_credentials::{Credentials, Token};
    /// use tonic::transport::Endpoint;
    /// use tower::ServiceBuilder;
    ///
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let credentials = Credentials::fixed(Token::new("ya29.secret", None)?);
    /// let channel = Endpoint::from_static("https://pubsub.googleapis.com").connect_lazy();
    /// let channel = ServiceBuilder::new().layer(credentials.layer()).service(channel);
    /// // let publisher = PublisherClient::new(channel);
    /// # Ok(()) }
    /// ```
    pub fn layer(&self) -> BearerLayer {
        BearerLayer::new(self.clone())
    }

    /// An interceptor for a tonic client that takes one and no layer. Waits for the first token.
    ///
    /// An interceptor can neither wait nor see replies: prefer [`layer`](Self::layer), and see
    /// [`BearerInterceptor`] for the difference.
    ///
    /// # Errors
    ///
    /// Those of [`token`](Self::token).
    pub async fn interceptor(&self) -> Result<BearerInterceptor, Error> {
        self.token().await?;
        Ok(BearerInterceptor::new(self.clone()))
    }
}
