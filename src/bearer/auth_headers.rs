//! The headers that authenticate a request: token, quota project and metrics.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::api_client_header::ApiClientHeader;
use crate::{Credentials, Error, Token, headers};

/// The headers that a request gets. All values except the token are made once.
#[derive(Clone, Debug)]
pub(super) struct AuthHeaders {
    token_header: HeaderName,
    quota_project: QuotaProject,
    api_client: Option<Arc<ApiClientHeader>>,
}

#[derive(Clone, Debug)]
enum QuotaProject {
    Unset,
    /// The credentials' own. A request that names a project keeps it.
    Default(HeaderValue),
    /// Set on the layer or the interceptor. It replaces a project that a request names.
    Override(HeaderValue),
}

impl AuthHeaders {
    pub(super) fn new(credentials: &Credentials) -> Self {
        let info = credentials.info();
        let project = info.quota_project().and_then(|project| HeaderValue::from_str(project).ok());
        Self {
            token_header: header::AUTHORIZATION,
            quota_project: project.map_or(QuotaProject::Unset, QuotaProject::Default),
            api_client: info.api_client_entry().map(|word| Arc::new(ApiClientHeader::new(word))),
        }
    }

    /// Sets the header that carries the token.
    pub(super) fn set_token_header(&mut self, name: HeaderName) {
        if name != header::AUTHORIZATION {
            // Other headers are for a proxy or a front end, and not for a Google API.
            self.api_client = None;
        }
        self.token_header = name;
    }

    pub(super) fn set_quota_project(&mut self, project: &str) -> Result<(), Error> {
        let project = headers::quota_project(project, "quota_project")?;
        self.quota_project = QuotaProject::Override(project);
        Ok(())
    }

    /// Returns whether the token is for a proxy between the client and the API.
    pub(super) fn is_for_proxy(&self) -> bool {
        self.token_header == header::PROXY_AUTHORIZATION
    }

    /// Sets all headers. A token that is already there is replaced.
    #[inline]
    pub(super) fn insert(&self, headers: &mut HeaderMap, token: &Token) {
        headers.insert(self.token_header.clone(), token.header_value().clone());
        match &self.quota_project {
            QuotaProject::Override(project) => {
                headers.insert(headers::USER_PROJECT, project.clone());
            }
            QuotaProject::Default(project) if !headers.contains_key(headers::USER_PROJECT) => {
                headers.insert(headers::USER_PROJECT, project.clone());
            }
            QuotaProject::Unset | QuotaProject::Default(_) => {}
        }
        if let Some(api_client) = &self.api_client {
            api_client.append_to(headers);
        }
        // Other headers are not for a Google API: its boundary is that of the request's own token.
        if token.needs_boundary() && self.token_header == header::AUTHORIZATION {
            token.set_boundary(headers);
        }
    }
}
