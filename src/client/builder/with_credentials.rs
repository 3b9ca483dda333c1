//! A client for other credentials, over the connection of another client.

use std::sync::Arc;

use super::origin::{check_emulator, check_universe};
use crate::client::Inner;
use crate::headers::{self, USER_PROJECT};
use crate::{Credentials, Error};

/// Returns what a client consists of that shares the connection of `inner`.
pub(in crate::client) fn with_credentials(inner: &Inner, credentials: Credentials) -> Result<Inner, Error> {
    check_universe(&credentials, &inner.universe_domain)?;
    if inner.is_emulator {
        check_emulator(inner.executor.transport().origin())?;
    }
    let mut headers = inner.executor.headers().clone();
    if !inner.has_own_quota_project {
        headers.remove(USER_PROJECT);
        if let Some(project) = credentials.info().quota_project() {
            headers.insert(USER_PROJECT, headers::quota_project(project, "quota_project")?);
        }
    }
    Ok(Inner {
        executor: inner.executor.with_credentials(credentials, headers),
        settings: inner.settings.clone(),
        universe_domain: inner.universe_domain.clone(),
        is_emulator: inner.is_emulator,
        has_own_quota_project: inner.has_own_quota_project,
        http: inner.http.clone(),
        assertion_endpoint: Arc::clone(&inner.assertion_endpoint),
    })
}
