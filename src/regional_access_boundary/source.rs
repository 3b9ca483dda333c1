//! The source of tokens with a boundary.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::boundary::Boundary;
use super::lookup::Locations;
use super::moment::Clock;
use super::resource::Resource;
use crate::host::DEFAULT_UNIVERSE;
use crate::source::{BoxFuture, CacheHints, FetchRequest, SourceInfo};
use crate::token::RegionalAccessBoundary;
use crate::{Error, Token, TokenSource};

/// Fetches tokens from another source. Each token knows the boundary of its identity.
///
/// The source's identity can change when its file is replaced. So a boundary belongs to a token, and not
/// to the credentials: a former identity's boundary goes out only with its own tokens.
pub(super) struct BoundedSource {
    source: Arc<dyn TokenSource>,
    locations: Arc<dyn Locations>,
    /// The universe, if the source doesn't know its own.
    universe: String,
    clock: Clock,
    /// The boundary of the latest token's identity. Only this one is looked up.
    current: Mutex<Option<Arc<Boundary>>>,
}

impl BoundedSource {
    pub(super) fn new(source: Arc<dyn TokenSource>, locations: Arc<dyn Locations>, universe: String) -> Self {
        Self { source, locations, universe, clock: Clock::new(None), current: Mutex::default() }
    }

    /// Injects a wall clock.
    #[cfg(test)]
    pub(super) fn with_time_source(mut self, time: Arc<dyn crate::credentials::TimeSource>) -> Self {
        self.clock = Clock::new(Some(time));
        self
    }

    async fn token(&self, request: FetchRequest<'_>) -> Result<Token, Error> {
        let revision = self.source.revision();
        let token = self.source.fetch(request).await?;
        let info = self.source.info();
        // If the source was replaced in the meantime, nobody knows which identity the token has.
        let is_known = self.source.revision() == revision;
        Ok(token.with_boundary(is_known.then(|| self.boundary_of(&info)).flatten()))
    }

    /// Returns the boundary of the identity that `info` describes, and makes it the current one.
    fn boundary_of(&self, info: &SourceInfo) -> Option<Arc<dyn RegionalAccessBoundary>> {
        let resource = Resource::of(info).filter(|_| self.is_in_default_universe(info));
        let mut current = self.current();
        let is_same = current.as_ref().map(|current| current.resource()) == resource.as_ref();
        let former = match is_same {
            true => None,
            false => {
                let made = resource.and_then(|resource| {
                    let lookup = self.locations.lookup(info)?;
                    Some(Boundary::new(resource, lookup, self.clock.clone()))
                });
                std::mem::replace(&mut *current, made)
            }
        };
        let boundary = current.clone().map(|boundary| boundary as _);
        drop(current);
        if let Some(former) = former {
            former.close();
        }
        boundary
    }

    /// Only the public universe has boundaries.
    fn is_in_default_universe(&self, info: &SourceInfo) -> bool {
        info.universe_domain().unwrap_or(&self.universe) == DEFAULT_UNIVERSE
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<Boundary>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenSource for BoundedSource {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(self.token(request))
    }

    fn info(&self) -> SourceInfo {
        let info = self.source.info();
        let current = self.current().clone();
        let state = match current {
            _ if !self.is_in_default_universe(&info) => {
                format!("not looked up in another universe than {DEFAULT_UNIVERSE}")
            }
            Some(boundary) => boundary.state(),
            None => "not known yet".to_owned(),
        };
        info.with_regional_access_boundary(state)
    }

    fn cache_hints(&self) -> CacheHints {
        self.source.cache_hints()
    }

    fn revision(&self) -> u64 {
        self.source.revision()
    }
}

impl Drop for BoundedSource {
    fn drop(&mut self) {
        if let Some(boundary) = self.current().take() {
            boundary.close();
        }
    }
}
