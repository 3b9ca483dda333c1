//! The headers that are the same in all calls of a client.

use http::{HeaderMap, HeaderValue};

use super::ClientBuilder;
use crate::client::api_client;
use crate::environment::{QUOTA_VARIABLE, option_or_variable};
use crate::headers::{self, API_CLIENT, USER_PROJECT};
use crate::{Credentials, Error};

const CRATE_USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

impl ClientBuilder {
    pub(super) fn fixed_headers(&self, credentials: &Credentials) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(API_CLIENT, HeaderValue::from_static(api_client::USUAL));
        let of_credentials = || Some((credentials.info().quota_project()?.to_owned(), "quota_project"));
        if let Some((project, field)) = self.own_quota_project().or_else(of_credentials) {
            headers.insert(USER_PROJECT, headers::quota_project(&project, field)?);
        }
        Ok(headers)
    }

    /// Returns the quota project that the program or the environment sets for the client, and the
    /// name that errors about it use.
    pub(super) fn own_quota_project(&self) -> Option<(String, &'static str)> {
        let option = ("quota_project", self.quota_project.clone());
        option_or_variable(option, QUOTA_VARIABLE, self.environment)
    }

    pub(super) fn user_agent_value(&self) -> Result<HeaderValue, Error> {
        let text = match &self.user_agent {
            Some(own) => format!("{own} {CRATE_USER_AGENT}"),
            None => CRATE_USER_AGENT.to_owned(),
        };
        HeaderValue::try_from(text).map_err(|_| invalid_user_agent())
    }
}

pub(super) fn invalid_user_agent() -> Error {
    Error::invalid("user_agent", "must be a legal header value")
}
