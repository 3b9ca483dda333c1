//! The connections of a client's channel: direct ones, or through a proxy.

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use tonic::transport::Endpoint;

use super::{ClientBuilder, TCP_KEEPALIVE};
use crate::Error;
use crate::client::transport::{CONNECT_TIMEOUT, Connect};
use crate::proxy::{Proxies, ProxyConnector};

impl ClientBuilder {
    /// Returns what connects a channel to `origin`. With `http`, the proxy gets the request for a
    /// tunnel too: gRPC needs HTTP/2 from end to end.
    pub(super) fn connect(&self, origin: &Uri, proxies: &Proxies) -> Result<Connect, Error> {
        let Some(proxy) = proxies.proxy_for(origin)? else { return Ok(Box::new(Endpoint::connect_lazy)) };
        tracing::debug!(?proxy, endpoint = %origin, "connections go through a proxy");
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = ProxyConnector::new(proxy, tcp, &self.tls)?;
        Ok(Box::new(move |endpoint| endpoint.connect_with_connector_lazy(connector.clone())))
    }
}
