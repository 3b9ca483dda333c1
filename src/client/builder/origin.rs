//! Where a client's calls go: the emulator, the endpoint, or the universe's usual host.

use http::Uri;

use super::ClientBuilder;
use crate::environment::{EMULATOR_VARIABLE, UNIVERSE_VARIABLE, emulator_origin, option_or_variable};
use crate::host::{self, DEFAULT_UNIVERSE};
use crate::{Credentials, Error};

impl ClientBuilder {
    /// Returns the emulator's origin, if the environment names one and neither endpoint nor
    /// universe is set.
    pub(super) fn emulator(&self) -> Result<Option<Uri>, Error> {
        if self.endpoint.is_some() || self.universe_domain.is_some() {
            return Ok(None);
        }
        let Some((origin, _)) = emulator_origin(self.environment)? else { return Ok(None) };
        if self.credentials.is_some() {
            check_emulator(&origin)?;
        }
        Ok(Some(origin))
    }

    pub(super) fn universe(&self) -> Result<String, Error> {
        let option = ("universe_domain", self.universe_domain.clone());
        match option_or_variable(option, UNIVERSE_VARIABLE, self.environment) {
            Some((domain, field)) => host::check_universe(&domain, field).map(|()| domain),
            None => Ok(DEFAULT_UNIVERSE.to_owned()),
        }
    }

    pub(super) fn origin(&self, universe: &str) -> Result<Uri, Error> {
        let text = match &self.endpoint {
            Some(endpoint) if endpoint.contains("://") => endpoint.clone(),
            Some(host) => format!("https://{host}"),
            None if self.tls.client_identity.is_none() => format!("https://iamcredentials.{universe}"),
            None if universe == DEFAULT_UNIVERSE => format!("https://iamcredentials.mtls.{universe}"),
            None => {
                let error = Error::invalid("client_identity", "must be used with an endpoint");
                return Err(error.fix_by("set `endpoint`: mTLS has a known host only in googleapis.com"));
            }
        };
        let origin = host::origin(&text, "endpoint")?;
        if origin.scheme_str() == Some("http") && !host::is_loopback(&origin) && !self.allow_plaintext {
            let expectation = "must be https unless the host is loopback, got http";
            let error = Error::invalid("endpoint", expectation);
            return Err(error.fix_by("use https, or call `allow_plaintext()` to send tokens unencrypted"));
        }
        Ok(origin)
    }
}

/// Checks that real credentials may be sent to the emulator at this origin.
pub(super) fn check_emulator(origin: &Uri) -> Result<(), Error> {
    if host::is_loopback(origin) {
        return Ok(());
    }
    let host = origin.host().unwrap_or_default();
    let expectation = format!("must be a loopback host if credentials are set, got {host}");
    Err(Error::invalid(EMULATOR_VARIABLE, expectation))
}

/// Checks that credentials of a known universe belong to the one that is called.
pub(super) fn check_universe(credentials: &Credentials, universe: &str) -> Result<(), Error> {
    match credentials.info().universe_domain() {
        Some(theirs) if theirs != universe => {
            let expectation = format!("must be {theirs:?}, as the credentials say, got {universe:?}");
            Err(Error::invalid("universe_domain", expectation))
        }
        _ => Ok(()),
    }
}
