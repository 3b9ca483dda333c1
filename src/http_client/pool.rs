//! All connections of a client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Request, Uri};
use tokio::runtime::{Handle, Id};

use super::Reply;
use super::connector::Connector;
use super::origin::Origin;
use crate::Error;
use crate::proxy::Proxies;
use crate::tls::TlsOptions;

/// The servers that a client has called. Each runtime has connections of its own, because a
/// connection works only while its runtime does.
pub(super) struct Pool {
    connector: ArcSwap<Connector>,
    origins: Mutex<HashMap<Key, Arc<Origin>>>,
}

type Key = (Id, Scheme, Authority);

impl Pool {
    pub(super) fn new(tls: TlsOptions, proxies: Proxies) -> Self {
        Self { connector: ArcSwap::from_pointee(Connector::new(tls, proxies)), origins: Mutex::default() }
    }

    pub(super) fn check(&self, uri: &Uri, field: &'static str) -> Result<(), Error> {
        self.connector.load().check(uri, field)
    }

    #[cfg_attr(not(feature = "_tls"), allow(dead_code, reason = "only certificates need it"))]
    pub(super) async fn set_client_identity(&self, identity: (Vec<u8>, Vec<u8>)) -> Result<(), Error> {
        let connector = self.connector.load_full().with_client_identity(identity).await?;
        self.connector.store(Arc::new(connector));
        // Connections that are in use end with their last request.
        self.origins.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Reply, Error> {
        self.origin(request.uri())?.send(request).await
    }

    fn origin(&self, uri: &Uri) -> Result<Arc<Origin>, Error> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(Error::invalid("url", "must be a URL with a host"));
        };
        let key = (Handle::current().id(), scheme.clone(), authority.clone());
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(origin) = origins.get(&key) {
            return Ok(Arc::clone(origin));
        }
        // Some of the others may belong to runtimes that have ended.
        origins.retain(|_, origin| !origin.is_unused());
        let origin = Arc::new(Origin::new(uri.clone(), self.connector.load_full()));
        Ok(Arc::clone(origins.entry(key).or_insert(origin)))
    }
}
