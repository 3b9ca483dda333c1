//! What a request is given: the token, the project it is counted against, and a word on its kind.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::usage::Usage;
use crate::headers::USER_PROJECT;
use crate::{Credentials, Error, Token};

/// The headers that a request gets, or why it can get none.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    header: HeaderName,
    quota: Quota,
    usage: Option<Arc<Usage>>,
}

#[derive(Clone, Debug)]
enum Quota {
    None,
    /// The credentials' own project: the request's counts more.
    Default(HeaderValue),
    /// Counts more than the request's.
    Always(HeaderValue),
    /// The name given cannot stand in a header.
    Invalid,
}

impl Stamp {
    pub(super) fn new(credentials: &Credentials) -> Self {
        let info = credentials.info();
        let project = info.known_quota_project().and_then(|project| HeaderValue::from_str(project).ok());
        Self {
            header: header::AUTHORIZATION,
            quota: project.map_or(Quota::None, Quota::Default),
            usage: info.known_usage().map(|word| Arc::new(Usage::new(word))),
        }
    }

    pub(super) fn header_name(&mut self, name: HeaderName) {
        if name != header::AUTHORIZATION {
            // Other headers are for what stands before an application: that is no API of Google's.
            self.usage = None;
        }
        self.header = name;
    }

    pub(super) fn quota_project(&mut self, project: &str) {
        let value = HeaderValue::from_str(project).ok().filter(|value| !value.is_empty());
        self.quota = value.map_or(Quota::Invalid, Quota::Always);
    }

    pub(super) fn is_for_proxies(&self) -> bool {
        self.header == header::PROXY_AUTHORIZATION
    }

    /// Whether requests can be stamped at all.
    #[inline]
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.quota {
            Quota::Invalid => Err(Error::invalid("quota_project", "cannot stand in a header")),
            _ => Ok(()),
        }
    }

    /// Puts the token on a request, in the place of any that is there.
    #[inline]
    pub(super) fn put(&self, headers: &mut HeaderMap, token: &Token) {
        headers.insert(self.header.clone(), token.header_value().clone());
        match &self.quota {
            Quota::Always(project) => {
                headers.insert(USER_PROJECT, project.clone());
            }
            Quota::Default(project) if !headers.contains_key(USER_PROJECT) => {
                headers.insert(USER_PROJECT, project.clone());
            }
            Quota::None | Quota::Default(_) | Quota::Invalid => {}
        }
        if let Some(usage) = &self.usage {
            usage.put(headers);
        }
    }
}
