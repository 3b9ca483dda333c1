//! How the credentials of one builder reach servers.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::Error;
use crate::environment::variable;
use crate::http_client::HttpClient;
use crate::proxy::ProxyChoice;
use crate::tls::{ChangingIdentity, TlsOptions};

/// Settings of connections, and the connections themselves: clones share them, until a setting is
/// changed.
#[derive(Clone, Default)]
pub(crate) struct Network {
    tls: TlsOptions,
    proxy: ProxyChoice,
    /// Replaces the client identity of `tls`.
    identity: Option<Arc<dyn ChangingIdentity>>,
    connections: Arc<Connections>,
}

#[derive(Default)]
struct Connections {
    http: OnceLock<HttpClient>,
    /// The clients of the API. Their type belongs to a module above.
    clients: OnceLock<Arc<dyn Any + Send + Sync>>,
    /// The connections that show certificates of files. Their type belongs to a module above, too.
    #[cfg(all(feature = "credential-files", feature = "_tls"))]
    certificates: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Network {
    pub(super) fn with_tls(self, change: impl FnOnce(TlsOptions) -> TlsOptions) -> Self {
        Self { tls: change(self.tls), connections: Arc::default(), ..self }
    }

    pub(super) fn with_proxy(self, proxy: ProxyChoice) -> Self {
        Self { proxy, connections: Arc::default(), ..self }
    }

    /// Returns these settings for connections of their own, which show an identity that may change.
    #[cfg(all(feature = "credential-files", feature = "_tls"))]
    pub(crate) fn with_changing_identity(&self, identity: Arc<dyn ChangingIdentity>) -> Self {
        Self { identity: Some(identity), connections: Arc::default(), ..self.clone() }
    }

    pub(crate) fn changing_identity(&self) -> Option<Arc<dyn ChangingIdentity>> {
        self.identity.clone()
    }

    pub(crate) fn tls(&self) -> &TlsOptions {
        &self.tls
    }

    pub(crate) fn proxy(&self) -> &ProxyChoice {
        &self.proxy
    }

    /// Returns the client of token endpoints. Without settings, it is that of the whole process,
    /// unless `variables` returns other variables than the process's.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if an option can't be used.
    pub(crate) fn http(&self, variables: fn(&str) -> Option<String>) -> Result<HttpClient, Error> {
        let is_default = !self.tls.is_set() && matches!(self.proxy, ProxyChoice::Environment);
        if is_default && std::ptr::fn_addr_eq(variables, variable as fn(&str) -> Option<String>) {
            return Ok(HttpClient::shared());
        }
        if let Some(http) = self.connections.http.get() {
            return Ok(http.clone());
        }
        self.check_tls()?;
        let proxies = self.proxy.proxies(variables)?;
        let create = || HttpClient::new(self.tls.clone(), proxies);
        Ok(self.connections.http.get_or_init(create).clone())
    }

    /// Returns a client of token endpoints with connections of its own.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if an option can't be used.
    #[cfg(all(feature = "credential-files", feature = "_tls"))]
    pub(crate) fn own_http(&self, variables: fn(&str) -> Option<String>) -> Result<HttpClient, Error> {
        Ok(HttpClient::new(self.tls.clone(), self.proxy.proxies(variables)?))
    }

    #[cfg(feature = "_tls")]
    fn check_tls(&self) -> Result<(), Error> {
        match self.tls.is_set() {
            true => self.tls.client_config(&[]).map(|_| ()),
            false => Ok(()),
        }
    }

    #[cfg(not(feature = "_tls"))]
    fn check_tls(&self) -> Result<(), Error> {
        match self.tls.is_set() {
            true => Err(crate::tls::not_built_in(self.tls.field())),
            false => Ok(()),
        }
    }

    /// Returns the clients of the API, which are created when they are first needed. There is one
    /// type `T` for all of them.
    pub(crate) fn clients<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        value_in(&self.connections.clients)
    }

    /// Returns the connections that show certificates of files, of the one type `T`.
    #[cfg(all(feature = "credential-files", feature = "_tls"))]
    pub(crate) fn certificates<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        value_in(&self.connections.certificates)
    }
}

fn value_in<T: Default + Send + Sync + 'static>(slot: &OnceLock<Arc<dyn Any + Send + Sync>>) -> Arc<T> {
    let value = slot.get_or_init(|| Arc::new(T::default()));
    Arc::clone(value).downcast().unwrap_or_default()
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = match self.proxy {
            ProxyChoice::Environment => "environment",
            ProxyChoice::Direct => "none",
            ProxyChoice::At(_) => "set",
        };
        f.debug_struct("Network").field("tls", &self.tls).field("proxy", &proxy).finish()
    }
}
