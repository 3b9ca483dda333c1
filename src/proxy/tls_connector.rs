//! Connects to a proxy over TLS.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

type BoxError = Box<dyn StdError + Send + Sync>;
type TlsIo = TokioIo<TlsStream<TcpStream>>;

/// Makes TCP connections, and TLS on them.
#[derive(Clone)]
pub(super) struct OverTls {
    pub(super) tcp: HttpConnector,
    pub(super) tls: TlsConnector,
}

impl Service<Uri> for OverTls {
    type Response = TlsIo;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<TlsIo, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, proxy: Uri) -> Self::Future {
        let host = proxy.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let (connecting, tls) = (self.tcp.call(proxy), self.tls.clone());
        Box::pin(async move {
            let stream = connecting.await?.into_inner();
            let stream = tls.connect(ServerName::try_from(host)?, stream).await?;
            Ok(TokioIo::new(stream))
        })
    }
}
