//! The boundary of one identity, which all its tokens share.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::{HeaderMap, HeaderValue};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::Instrument;

use super::lookup::{LOOKUP_TIMEOUT, Lookup};
use super::moment::{Clock, Moment};
use super::resource::Resource;
use super::schedule::Schedule;
use crate::panics::catch_panic;
use crate::timers::runtime_with_timers;
use crate::token::RegionalAccessBoundary;
use crate::{Error, Token, headers};

/// The boundary of one identity: what is known of it, and the lookups.
pub(super) struct Boundary {
    resource: Resource,
    lookup: Arc<dyn Lookup>,
    clock: Clock,
    known: ArcSwapOption<Known>,
    /// When a lookup is due, in nanoseconds on the monotonic clock.
    due: AtomicU64,
    /// Never held while code runs that isn't this module's own.
    inner: Mutex<Inner>,
    this: Weak<Self>,
}

struct Known {
    value: HeaderValue,
    end: Moment,
}

struct Inner {
    schedule: Schedule,
    task: Option<AbortHandle>,
    /// The error of the last lookup, if it failed.
    error: Option<Error>,
}

impl Boundary {
    pub(super) fn new(resource: Resource, lookup: Arc<dyn Lookup>, clock: Clock) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            resource,
            lookup,
            clock,
            known: ArcSwapOption::empty(),
            due: AtomicU64::new(0),
            inner: Mutex::new(Inner { schedule: Schedule::new(), task: None, error: None }),
            this: this.clone(),
        })
    }

    pub(super) fn resource(&self) -> &Resource {
        &self.resource
    }

    /// Ends the lookup in progress, and begins no other. Requests with a token of this identity still
    /// get the boundary, until its end.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.schedule.close();
        self.publish_due(&inner);
        let task = inner.task.take();
        drop(inner);
        if let Some(task) = task {
            task.abort();
        }
    }

    /// Returns what is known, for people.
    pub(super) fn state(&self) -> String {
        let now = self.clock.now();
        let known = self.known.load();
        let known = known.as_ref().filter(|known| !known.end.is_past(now));
        let value = known.and_then(|known| known.value.to_str().ok()).unwrap_or("not known yet");
        match &self.lock().error {
            Some(error) => format!("{value}; the last lookup failed: {}", error.in_one_line()),
            None => value.to_owned(),
        }
    }

    /// Begins a lookup with `token`, if one is due.
    #[cold]
    fn begin_lookup(&self, token: &Token, now: Moment) {
        let Ok(runtime) = runtime_with_timers() else { return };
        let mut inner = self.lock();
        let begun = inner.schedule.begin(now);
        self.publish_due(&inner);
        if !inner.schedule.has_boundary(now) {
            self.known.store(None);
        }
        let lost = begun.and_then(|_| inner.task.take());
        drop(inner);
        if let Some(task) = lost {
            task.abort();
        }
        let Some(id) = begun else { return };
        let guard = LookupGuard { boundary: Weak::clone(&self.this), id };
        let task = run(guard, Arc::clone(&self.lookup), self.resource.clone(), token.clone());
        let span = tracing::debug_span!(parent: None, "look_up_regional_access_boundary");
        let task = runtime.spawn(task.instrument(span)).abort_handle();
        let mut inner = self.lock();
        if inner.schedule.is_in_flight(id) {
            inner.task = Some(task);
        } else {
            drop(inner);
            task.abort();
        }
    }

    fn complete(&self, id: u64, outcome: Result<HeaderValue, Error>) {
        let resource = self.resource.as_str();
        let now = self.clock.now();
        let mut inner = self.lock();
        match outcome {
            Ok(value) => {
                let Some(end) = inner.schedule.succeed(id, now) else { return };
                inner.error = None;
                self.publish_due(&inner);
                self.known.store(Some(Arc::new(Known { value: value.clone(), end })));
                drop(inner);
                let boundary = value.to_str().unwrap_or_default();
                tracing::debug!(resource, boundary, "regional access boundary looked up");
            }
            Err(error) => {
                let Some(next_in) = inner.schedule.fail(id, now) else { return };
                inner.error = Some(error.clone());
                self.publish_due(&inner);
                let still_known = inner.schedule.has_boundary(now);
                if !still_known {
                    self.known.store(None);
                }
                drop(inner);
                tracing::warn!(
                    resource,
                    ?next_in,
                    still_known,
                    error = %error.in_one_line(),
                    "the regional access boundary could not be looked up"
                );
            }
        }
    }

    fn abandon(&self, id: u64) {
        let now = self.clock.now();
        let mut inner = self.lock();
        inner.schedule.abandon(id, now);
        self.publish_due(&inner);
    }

    /// To be called under the lock after each change of the schedule.
    fn publish_due(&self, inner: &Inner) {
        self.due.store(nanos(inner.schedule.due()), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RegionalAccessBoundary for Boundary {
    fn set_header(&self, token: &Token, headers: &mut HeaderMap) {
        let now = self.clock.now();
        let known = self.known.load();
        let usable = known.as_ref().filter(|known| !known.end.is_past(now));
        match usable {
            Some(known) => headers.insert(headers::ALLOWED_LOCATIONS, known.value.clone()),
            None => headers.remove(headers::ALLOWED_LOCATIONS),
        };
        let has_ended = known.is_some() && usable.is_none();
        if has_ended || nanos(now.mono) >= self.due.load(Ordering::Relaxed) {
            self.begin_lookup(token, now);
        }
    }
}

/// Looks the boundary up. While it waits, it keeps neither the boundary nor the credentials alive.
async fn run(guard: LookupGuard, lookup: Arc<dyn Lookup>, resource: Resource, token: Token) {
    let outcome = {
        let lookup = pin!(async {
            match timeout(LOOKUP_TIMEOUT, lookup.look_up(&resource, &token)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Error::timeout("no reply within the time allowed", None)),
            }
        });
        catch_panic(lookup).await
    };
    // The panic's message may contain a secret.
    let outcome = outcome.unwrap_or_else(|_| Err(Error::invalid_reply("the lookup panicked")));
    if let Some(boundary) = guard.boundary.upgrade() {
        boundary.complete(guard.id, outcome);
    }
}

/// If it is dropped without an outcome, because the runtime ends, a later use begins another lookup.
struct LookupGuard {
    boundary: Weak<Boundary>,
    id: u64,
}

impl Drop for LookupGuard {
    fn drop(&mut self) {
        if let Some(boundary) = self.boundary.upgrade() {
            boundary.abandon(self.id);
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
