//! Makes connections through a proxy.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use tower_service::Service;

#[cfg(feature = "_tls")]
use super::tls_connector::OverTls;
use super::{Proxy, ProxyFailure, with_port};
use crate::Error;
use crate::tls::TlsOptions;

/// A connection in both directions.
pub(crate) trait Stream: Read + Write + Send + Unpin {}
impl<T: Read + Write + Send + Unpin> Stream for T {}

/// A connection of any kind.
pub(crate) type BoxedStream = Box<dyn Stream>;

/// Connects to any destination through one proxy, without TLS to the destination.
///
/// Names are resolved by the proxy.
#[derive(Clone)]
pub(crate) struct ProxyConnector {
    proxy: Arc<Proxy>,
    tcp: HttpConnector,
    /// For a proxy that is reached over TLS.
    #[cfg(feature = "_tls")]
    tls: Option<tokio_rustls::TlsConnector>,
}

impl ProxyConnector {
    /// Creates a connector that reaches the proxy over connections of `tcp`. A proxy may be reached
    /// over TLS, with these options but without a client identity.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if TLS can't be set up.
    pub(crate) fn new(proxy: Proxy, tcp: HttpConnector, options: &TlsOptions) -> Result<Self, Error> {
        let is_tls = proxy.uri().scheme_str() == Some("https");
        #[cfg(not(feature = "_tls"))]
        if is_tls {
            let _ = options;
            return Err(crate::tls::not_built_in("proxy"));
        }
        #[cfg(feature = "_tls")]
        let tls = match is_tls {
            true => {
                let options = TlsOptions { client_identity: None, ..options.clone() };
                Some(Arc::new(options.client_config(&[b"http/1.1"])?).into())
            }
            false => None,
        };
        Ok(Self {
            proxy: Arc::new(proxy),
            tcp,
            #[cfg(feature = "_tls")]
            tls,
        })
    }

    async fn connect(self, destination: Uri) -> Result<BoxedStream, ProxyFailure> {
        let (proxy, destination) = (self.proxy.uri(), with_port(&destination));
        let name = self.proxy.name();
        let failed = |error: &(dyn StdError + 'static)| ProxyFailure::new(name.clone(), error);
        match proxy.scheme_str() {
            Some("socks5" | "socks5h") => {
                let mut socks = SocksV5::new(proxy, self.tcp);
                if let Some((user, password)) = self.proxy.0.raw_auth() {
                    socks = socks.with_auth(user.to_owned(), password.to_owned());
                }
                let stream = socks.call(destination).await.map_err(|error| failed(&error))?;
                Ok(Box::new(stream))
            }
            #[cfg(feature = "_tls")]
            Some("https") => {
                let Some(tls) = self.tls else { return Err(ProxyFailure::other(name, "TLS is not set up")) };
                let connector = OverTls { tcp: self.tcp, tls };
                let stream = tunnel(&self.proxy, connector).call(destination).await;
                Ok(Box::new(stream.map_err(|error| failed(&error))?))
            }
            _ => {
                let stream = tunnel(&self.proxy, self.tcp).call(destination).await;
                Ok(Box::new(stream.map_err(|error| failed(&error))?))
            }
        }
    }
}

/// Asks an HTTP proxy for a tunnel over connections of `connector`.
fn tunnel<C>(proxy: &Proxy, connector: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy.uri(), connector);
    match proxy.0.basic_auth() {
        Some(login) => tunnel.with_auth(login.clone()),
        None => tunnel,
    }
}

impl Service<Uri> for ProxyConnector {
    type Response = BoxedStream;
    type Error = ProxyFailure;
    type Future = Pin<Box<dyn Future<Output = Result<BoxedStream, ProxyFailure>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), ProxyFailure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        Box::pin(self.clone().connect(destination))
    }
}
