//! The clients of the API that the credentials of one builder share.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::settings::Settings;
#[cfg(feature = "credential-files")]
use super::target::Protocol;
use super::target::Target;
use crate::{Credentials, Error, IamCredentialsClient};

impl Settings {
    /// Returns a client of the API at `server` in this universe, for the credentials `source`. It
    /// shares the connection of all such clients of the same builder.
    pub(super) fn client(
        &self,
        source: Credentials,
        universe: &str,
        server: &str,
    ) -> Result<IamCredentialsClient, Error> {
        // Defaults aren't set, so that the variable of the emulator can replace them.
        let api = Api {
            universe: (universe != self.default_universe).then(|| universe.to_owned()),
            endpoint: (server != format!("https://iamcredentials.{universe}")).then(|| server.to_owned()),
        };
        self.network.clients::<Clients>().get(self, api, source)
    }

    /// Returns a client of the server that a file names, for its account.
    pub(super) fn client_of(
        &self,
        source: Credentials,
        universe: &str,
        target: &Target,
    ) -> Result<IamCredentialsClient, Error> {
        match &target.protocol {
            #[cfg(feature = "credential-files")]
            Protocol::Rest { url } => {
                let builder = IamCredentialsClient::builder()
                    .variables(self.variables)
                    .credentials(source)
                    .universe_domain(universe)
                    .endpoint(&*target.server);
                builder.build_over_rest(self.http.clone(), target.account.account(), url)
            }
            _ => self.client(source, universe, &target.server),
        }
    }
}

/// A server of the API. `None` is the default.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Api {
    universe: Option<String>,
    endpoint: Option<String>,
}

/// The first client of each server. The others share its connection.
#[derive(Default)]
struct Clients(Mutex<HashMap<Api, IamCredentialsClient>>);

impl Clients {
    fn get(
        &self,
        settings: &Settings,
        api: Api,
        credentials: Credentials,
    ) -> Result<IamCredentialsClient, Error> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&api) {
            return client.with_credentials(credentials);
        }
        let (tls, proxy) = (settings.network.tls().clone(), settings.network.proxy().clone());
        let mut builder = IamCredentialsClient::builder()
            .variables(settings.variables)
            .network(tls, proxy)
            .changing_identity(settings.network.changing_identity())
            .credentials(credentials);
        if let Some(universe) = &api.universe {
            builder = builder.universe_domain(universe);
        }
        if let Some(endpoint) = &api.endpoint {
            builder = builder.endpoint(endpoint);
        }
        let client = builder.build()?;
        clients.insert(api, client.clone());
        Ok(client)
    }
}
