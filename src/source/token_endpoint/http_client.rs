//! The HTTP client under an endpoint: HTTP/1.1, no redirects, bounded replies.
//!
//! HTTP/1.1 on purpose: an attempt that times out takes its connection with it, so the next one
//! cannot meet the same black hole.

#[cfg(not(feature = "gcp-auth"))]
pub(super) use self::none::HttpClient;
#[cfg(feature = "gcp-auth")]
pub(super) use self::some::HttpClient;

#[cfg(not(feature = "gcp-auth"))]
mod none {
    use http::Uri;

    use super::super::Failure;
    use super::super::reply::Reply;

    /// No client: the feature that brings it is off.
    pub(in super::super) enum HttpClient {}

    impl HttpClient {
        pub(in super::super) fn new(_uri: &Uri) -> Result<Self, &'static str> {
            Err("needs an HTTP client: enable this crate's feature gcp-auth")
        }

        pub(in super::super) async fn post(&self, _uri: &Uri, _form: String) -> Result<Reply, Failure> {
            match *self {}
        }
    }
}

#[cfg(feature = "gcp-auth")]
mod some {
    use std::error::Error as StdError;
    use std::io;
    use std::time::Duration;

    use bytes::Bytes;
    use http::{HeaderMap, Method, Request, Uri, header};
    use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
    use hyper::body::Incoming;
    use hyper_util::client::legacy::Client;
    use hyper_util::client::legacy::connect::HttpConnector;
    use hyper_util::rt::TokioExecutor;

    use super::super::Failure;
    use super::super::reply::Reply;
    use crate::Error;

    /// No token comes near this size.
    const MAX_REPLY: usize = 128 << 10;

    const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);
    /// Google closes idle connections after minutes.
    const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
    const MAX_IDLE: usize = 8;

    const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

    /// Plain for this machine, TLS for all others.
    pub(in super::super) enum HttpClient {
        Plain(Client<HttpConnector, Full<Bytes>>),
        #[cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
        Tls(super::tls::LazyClient),
    }

    impl HttpClient {
        pub(in super::super) fn new(uri: &Uri) -> Result<Self, &'static str> {
            if uri.scheme_str() == Some("http") {
                return Ok(Self::Plain(client_builder().build(connector())));
            }
            Self::tls()
        }

        #[cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
        fn tls() -> Result<Self, &'static str> {
            super::tls::LazyClient::new().map(Self::Tls)
        }

        #[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc")))]
        fn tls() -> Result<Self, &'static str> {
            Err(crate::tls::NOT_BUILT_IN)
        }

        pub(in super::super) async fn post(&self, uri: &Uri, form: String) -> Result<Reply, Failure> {
            let mut request = Request::new(Full::from(form));
            *request.method_mut() = Method::POST;
            *request.uri_mut() = uri.clone();
            request.headers_mut().extend(headers());
            let response = match self {
                Self::Plain(client) => client.request(request).await,
                #[cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
                Self::Tls(lazy) => lazy.client().await?.request(request).await,
            };
            let host = uri.host().unwrap_or_default();
            match response {
                Ok(response) => whole(response, host).await,
                Err(error) => {
                    let what =
                        if error.is_connect() { "cannot connect to" } else { "lost the connection to" };
                    Err(transport_failure(what, host, &error))
                }
            }
        }
    }

    pub(super) fn client_builder() -> hyper_util::client::legacy::Builder {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(IDLE_TIMEOUT).pool_max_idle_per_host(MAX_IDLE);
        builder
    }

    pub(super) fn connector() -> HttpConnector {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        connector
    }

    fn headers() -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(4);
        let form = header::HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, form);
        headers.insert(header::ACCEPT, header::HeaderValue::from_static("application/json"));
        headers.insert(header::USER_AGENT, header::HeaderValue::from_static(USER_AGENT));
        headers
    }

    async fn whole(response: http::Response<Incoming>, host: &str) -> Result<Reply, Failure> {
        let (head, body) = response.into_parts();
        let seconds = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = seconds.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
        let body = match Limited::new(body, MAX_REPLY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let message = format!("the token endpoint at {host} answered with too large a reply");
                return Err(Failure::last(Error::invalid_reply(message)));
            }
            Err(error) => return Err(transport_failure("lost the reply of", host, &*error)),
        };
        Ok(Reply { status: head.status, retry_after, body })
    }

    fn transport_failure(what: &str, host: &str, error: &(dyn StdError + 'static)) -> Failure {
        let chain = || std::iter::successors(Some(error), |error| cause(*error));
        let mut causes: Vec<String> = chain().map(ToString::to_string).collect();
        // Some errors show what caused them.
        causes.dedup_by(|cause, shown| shown.ends_with(&**cause));
        let message = format!("{what} {host}: {}", causes.join(": "));
        // A certificate that does not check out stays so.
        let lasting = chain()
            .filter_map(|error| error.downcast_ref::<io::Error>())
            .any(|error| error.kind() == io::ErrorKind::InvalidData);
        Failure { error: Error::transport(message, !lasting), again: !lasting, delay: None }
    }

    /// The error inside, which [`io::Error`] passes over as a source.
    fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    }
}

#[cfg(all(feature = "gcp-auth", any(feature = "tls-ring", feature = "tls-aws-lc")))]
mod tls {
    use std::sync::OnceLock;

    use bytes::Bytes;
    use http_body_util::Full;
    use hyper_rustls::HttpsConnector;
    use hyper_util::client::legacy::Client;
    use hyper_util::client::legacy::connect::HttpConnector;

    use super::super::Failure;
    use super::some::{client_builder, connector};
    use crate::Error;
    use crate::tls::{Roots, crypto_provider};

    pub(in super::super) type TlsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

    /// A client that is made when it is first needed, for it reads the certificate store.
    pub(in super::super) struct LazyClient(OnceLock<TlsClient>);

    impl LazyClient {
        pub(super) fn new() -> Result<Self, &'static str> {
            if Roots::ALL.is_empty() {
                return Err("is https, but no roots are trusted: enable this crate's feature \
                            tls-native-roots or tls-webpki-roots");
            }
            Ok(Self(OnceLock::new()))
        }

        pub(super) async fn client(&self) -> Result<TlsClient, Failure> {
            if let Some(client) = self.0.get() {
                return Ok(client.clone());
            }
            let made = tokio::task::spawn_blocking(|| {
                let https = https().map_err(|error| Error::credentials(error, false))?;
                Ok(client_builder().build(https))
            });
            match made.await {
                // One that was made at the same time may have been first.
                Ok(Ok(client)) => Ok(self.0.get_or_init(|| client).clone()),
                Ok(Err(error)) => Err(Failure::last(error)),
                Err(stopped) => {
                    let message = format!("making an HTTP client failed: {stopped}");
                    Err(Failure::last(Error::credentials(message, true)))
                }
            }
        }
    }

    fn https() -> Result<HttpsConnector<HttpConnector>, String> {
        let with_roots = Roots::first_usable(|roots| {
            let builder = hyper_rustls::HttpsConnectorBuilder::new();
            match roots {
                #[cfg(feature = "tls-native-roots")]
                Roots::Machine => builder
                    .with_provider_and_native_roots(crypto_provider())
                    .map_err(|error| format!("the machine's certificate store cannot be used: {error}")),
                #[cfg(feature = "tls-webpki-roots")]
                Roots::CompiledIn => builder
                    .with_provider_and_webpki_roots(crypto_provider())
                    .map_err(|error| format!("TLS cannot be set up: {error}")),
            }
        });
        let builder = with_roots.unwrap_or_else(|| Err("no roots are trusted".to_owned()))?;
        Ok(builder.https_only().enable_http1().wrap_connector(connector()))
    }
}
