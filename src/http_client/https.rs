//! The client for https.

use std::sync::OnceLock;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::builderstates::WantsSchemes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;

use super::SendError;
use super::setup::{client_builder, connector};
use crate::Error;
use crate::tls::Roots;

type InnerClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client that is created at first use, because that reads the certificate store.
pub(super) struct HttpsClient(OnceLock<InnerClient>);

impl HttpsClient {
    pub(super) fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Fails if this build trusts no certificate authority. The error names `field`.
    #[expect(clippy::unused_self, reason = "other clients have roots of their own")]
    pub(super) fn check(&self, field: &'static str) -> Result<(), Error> {
        match Roots::ALL {
            [] => {
                let expectation = "must not be https, because this build trusts no certificate authority";
                Err(Error::invalid(field, expectation)
                    .fix_by("enable the feature tls-native-roots or tls-webpki-roots of gcp-iam-credentials"))
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn client(&self) -> Result<InnerClient, SendError> {
        if let Some(client) = self.0.get() {
            return Ok(client.clone());
        }
        let created = tokio::task::spawn_blocking(|| {
            let connector = https_connector().map_err(|error| Error::credentials(error, false))?;
            Ok(client_builder().build(connector))
        });
        match created.await {
            // Another request may have created one at the same time.
            Ok(Ok(client)) => Ok(self.0.get_or_init(|| client).clone()),
            Ok(Err(error)) => Err(SendError { error }),
            Err(stopped) => {
                let message = format!("creating an HTTP client failed: {stopped}");
                Err(SendError { error: Error::credentials(message, true) })
            }
        }
    }
}

fn https_connector() -> Result<HttpsConnector<HttpConnector>, String> {
    let with_roots = Roots::first_usable(builder_with);
    let builder = with_roots.unwrap_or_else(|| Err("no certificate authority is trusted".to_owned()))?;
    Ok(builder.https_only().enable_http1().wrap_connector(connector()))
}

fn builder_with(roots: Roots) -> Result<HttpsConnectorBuilder<WantsSchemes>, String> {
    match roots {
        #[cfg(feature = "tls-native-roots")]
        Roots::Machine => HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(crate::tls::crypto_provider())
            .map_err(|error| format!("can't use the machine's certificate store: {error}")),
        #[cfg(feature = "tls-webpki-roots")]
        Roots::CompiledIn => HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(crate::tls::crypto_provider())
            .map_err(|error| format!("can't set up TLS: {error}")),
    }
}
