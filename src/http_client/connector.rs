//! Makes connections: directly or through a proxy, with or without TLS.

use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::time::timeout;
use tower_service::Service;

use super::failure::{Step, proxy_failure, transport_failure};
use crate::Error;
use crate::proxy::{BoxedStream, Proxies, ProxyConnector};
use crate::tls::TlsOptions;
#[cfg(feature = "_tls")]
use crate::tls::has_usual_roots;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);
/// The time for the TLS handshake.
#[cfg(feature = "_tls")]
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(8);

#[cfg(feature = "_tls")]
const HTTP2: &[u8] = b"h2";
#[cfg(feature = "_tls")]
const HTTP1: &[u8] = b"http/1.1";

/// A connection, before the first request.
pub(super) struct Established {
    pub(super) stream: BoxedStream,
    pub(super) is_http2: bool,
}

/// Makes connections with the settings of a client.
pub(super) struct Connector {
    proxies: Proxies,
    options: TlsOptions,
    /// Created at first use, because that may read the machine's certificate store.
    #[cfg(feature = "_tls")]
    tls: tokio::sync::OnceCell<tokio_rustls::TlsConnector>,
}

impl Connector {
    pub(super) fn new(options: TlsOptions, proxies: Proxies) -> Self {
        Self {
            proxies,
            options,
            #[cfg(feature = "_tls")]
            tls: tokio::sync::OnceCell::new(),
        }
    }

    /// Returns a connector with another client identity, after it has checked the identity.
    #[cfg_attr(not(feature = "_tls"), allow(dead_code, reason = "only certificates need it"))]
    pub(super) async fn with_client_identity(&self, identity: (Vec<u8>, Vec<u8>)) -> Result<Self, Error> {
        let options = TlsOptions { client_identity: Some(identity), ..self.options.clone() };
        let connector = Self::new(options, self.proxies.clone());
        #[cfg(feature = "_tls")]
        connector.tls().await?;
        Ok(connector)
    }

    /// Fails if this build can't connect to `uri`. The error names `field`, or the variable of an
    /// invalid proxy.
    pub(super) fn check(&self, uri: &Uri, field: &'static str) -> Result<(), Error> {
        if uri.scheme_str() != Some("http") {
            self.check_tls(field)?;
        }
        self.proxies.proxy_for(uri).map(|_| ())
    }

    #[cfg(feature = "_tls")]
    fn check_tls(&self, field: &'static str) -> Result<(), Error> {
        if has_usual_roots() || self.options.root_certificates.is_some() {
            return Ok(());
        }
        let expectation = "must not be https, because this build trusts no certificate authority";
        Err(Error::invalid(field, expectation)
            .fix_by("enable the feature tls-native-roots or tls-webpki-roots of gcp-iam-credentials"))
    }

    #[cfg(not(feature = "_tls"))]
    #[expect(clippy::unused_self, reason = "with TLS, it has settings")]
    fn check_tls(&self, field: &'static str) -> Result<(), Error> {
        Err(crate::tls::not_built_in(field))
    }

    /// Connects to the host of `uri`.
    pub(super) async fn connect(&self, uri: &Uri) -> Result<Established, Error> {
        let host = uri.host().unwrap_or_default();
        self.check(uri, "url")?;
        #[cfg(feature = "_tls")]
        if uri.scheme_str() != Some("http") {
            // This may read the certificate store, so it comes first.
            let tls = self.tls().await?;
            return with_tls(tls, self.connect_tcp(uri, host).await?, host).await;
        }
        Ok(Established { stream: self.connect_tcp(uri, host).await?, is_http2: false })
    }

    async fn connect_tcp(&self, uri: &Uri, host: &str) -> Result<BoxedStream, Error> {
        match timeout(CONNECT_TIMEOUT, self.connect_without_limit(uri, host)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => {
                let message = format!("can't connect to {host} within {CONNECT_TIMEOUT:?}");
                Err(Error::timeout(message, None))
            }
        }
    }

    async fn connect_without_limit(&self, uri: &Uri, host: &str) -> Result<BoxedStream, Error> {
        if let Some(proxy) = self.proxies.proxy_for(uri)? {
            let mut connector = ProxyConnector::new(proxy, tcp(), &self.options)?;
            return connector.call(uri.clone()).await.map_err(|failure| proxy_failure(&failure, host));
        }
        match tcp().call(uri.clone()).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(transport_failure(Step::Connect, host, &error)),
        }
    }

    #[cfg(feature = "_tls")]
    async fn tls(&self) -> Result<&tokio_rustls::TlsConnector, Error> {
        let create = || async {
            let options = self.options.clone();
            let created = tokio::task::spawn_blocking(move || options.client_config(&[HTTP2, HTTP1])).await;
            match created {
                Ok(config) => Ok(std::sync::Arc::new(config?).into()),
                Err(stopped) => Err(Error::transport(format!("setting up TLS failed: {stopped}"), true)),
            }
        };
        self.tls.get_or_try_init(create).await
    }
}

/// Makes TLS on a connection.
#[cfg(feature = "_tls")]
async fn with_tls(
    tls: &tokio_rustls::TlsConnector,
    stream: BoxedStream,
    host: &str,
) -> Result<Established, Error> {
    use hyper_util::rt::TokioIo;
    use rustls::pki_types::ServerName;

    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|_| Error::transport(format!("can't connect to {host}: not a host name"), false))?;
    let handshake = tls.connect(name, TokioIo::new(stream));
    match timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
            Ok(Established { stream: Box::new(TokioIo::new(stream)), is_http2 })
        }
        Ok(Err(error)) => Err(transport_failure(Step::Connect, host, &error)),
        Err(_elapsed) => {
            let message = format!("no TLS handshake with {host} within {HANDSHAKE_TIMEOUT:?}");
            Err(Error::timeout(message, None))
        }
    }
}

fn tcp() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector
}
