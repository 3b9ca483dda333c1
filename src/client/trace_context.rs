//! The W3C trace context that a call sends, so that a trace goes on in the service.

mod parse;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
#[cfg(test)]
mod tests;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use crate::Error;
use crate::headers::{TRACEPARENT, TRACESTATE};

/// A trace context as the W3C's recommendation "Trace Context" defines it: the headers `traceparent`
/// and `tracestate`.
///
/// Give it to one call with `.trace_context(…)`, or to all calls of a client with
/// [`ClientBuilder::trace_context`](crate::ClientBuilder::trace_context). Each attempt of a call sends
/// the same headers.
///
/// ```
/// use gcp_iam_credentials::call::TraceContext;
///
/// let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let context = TraceContext::new(parent)?.with_tracestate("vendor=opaque")?;
/// assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert!(context.is_sampled());
/// # Ok::<(), gcp_iam_credentials::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// Version 00.
    traceparent: HeaderValue,
    tracestate: Option<HeaderValue>,
}

impl TraceContext {
    /// Makes a context of the value of a header `traceparent`.
    ///
    /// A value of a later version than 00 is accepted if it begins as one of version 00 does. Only that
    /// beginning is kept, and it is sent as version 00.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](crate::ErrorKind::InvalidInput) if the value is malformed, if its version
    /// is `ff`, or if one of its ids is zero.
    pub fn new(traceparent: impl AsRef<str>) -> Result<Self, Error> {
        match parse::traceparent(traceparent.as_ref().as_bytes()) {
            Some(traceparent) => Ok(Self { traceparent, tracestate: None }),
            None => Err(Error::invalid(
                "traceparent",
                "must be the version, the trace's id, the parent's id and the flags: \
                 2, 32, 16 and 2 hexadecimal digits in lower case, with `-` between them",
            )),
        }
    }

    /// Sets the value of the header `tracestate`. An empty list removes it. Default: none.
    ///
    /// A list of more than 512 characters is shortened, as the recommendation says: members of more
    /// than 128 characters are removed first, then others, the last ones first.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](crate::ErrorKind::InvalidInput) if a member is malformed, if two have the
    /// same key, or if there are more than 32.
    pub fn with_tracestate(mut self, tracestate: impl AsRef<str>) -> Result<Self, Error> {
        match parse::tracestate([tracestate.as_ref().as_bytes()]) {
            Some(tracestate) => {
                self.tracestate = tracestate;
                Ok(self)
            }
            None => Err(Error::invalid(
                "tracestate",
                "must be at most 32 members such as `vendor=value`, with `,` between them and each key once",
            )),
        }
    }

    /// Reads a context from headers: those of a request that the program serves, or those that a
    /// propagator of OpenTelemetry has written.
    ///
    /// Returns `None` if there isn't exactly one valid `traceparent`. An invalid `tracestate` is left out.
    /// Several headers `tracestate` are one list.
    ///
    /// ```
    /// use gcp_iam_credentials::call::TraceContext;
    ///
    /// let mut headers = http::HeaderMap::new();
    /// assert_eq!(TraceContext::from_headers(&headers), None);
    /// let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// headers.insert("traceparent", parent.parse()?);
    /// let context = TraceContext::from_headers(&headers).expect("a valid header");
    /// assert_eq!(context.traceparent(), parent);
    /// # Ok::<(), http::header::InvalidHeaderValue>(())
    /// ```
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let traceparent = parse::traceparent(parents.next()?.as_bytes())?;
        if parents.next().is_some() {
            return None;
        }
        let states = headers.get_all(TRACESTATE).iter().map(HeaderValue::as_bytes);
        Some(Self { traceparent, tracestate: parse::tracestate(states).flatten() })
    }

    /// Returns the value of the header `traceparent` that is sent.
    pub fn traceparent(&self) -> &str {
        self.traceparent.to_str().unwrap_or_default()
    }

    /// Returns the value of the header `tracestate` that is sent, if there is one.
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_ref()?.to_str().ok()
    }

    /// Returns the id of the trace: 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        self.traceparent().get(parse::TRACE_ID).unwrap_or_default()
    }

    /// Returns the id of the span that makes the call, which OpenTelemetry calls the span's id: 16
    /// hexadecimal digits.
    pub fn parent_id(&self) -> &str {
        self.traceparent().get(parse::PARENT_ID).unwrap_or_default()
    }

    /// Returns whether the caller may have recorded the trace.
    pub fn is_sampled(&self) -> bool {
        parse::is_sampled(self.traceparent())
    }

    /// Sets both headers of a request.
    pub(super) fn write_to(&self, headers: &mut HeaderMap) {
        headers.insert(TRACEPARENT, self.traceparent.clone());
        if let Some(tracestate) = &self.tracestate {
            headers.insert(TRACESTATE, tracestate.clone());
        }
    }
}

/// Shows the header `traceparent` only: what is in `tracestate` is the business of its vendors.
impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceContext").field("traceparent", &self.traceparent()).finish_non_exhaustive()
    }
}

/// Which trace context calls have.
#[derive(Clone, Default)]
pub(crate) enum TraceOption {
    #[default]
    None,
    This(TraceContext),
    /// The one that this returns when the call begins.
    Ask(Arc<dyn Fn() -> Option<TraceContext> + Send + Sync>),
}

impl TraceOption {
    /// Returns the trace context of a call that begins now. A provider that panics has none.
    pub(super) fn now(&self) -> Option<TraceContext> {
        match self {
            Self::None => None,
            Self::This(context) => Some(context.clone()),
            // Unwind safe: what a panic leaves broken is the provider's own.
            Self::Ask(provider) => catch_unwind(AssertUnwindSafe(|| provider())).unwrap_or_else(|_| {
                tracing::debug!("the provider of the trace context panicked: the call has none");
                None
            }),
        }
    }
}

impl From<Option<TraceContext>> for TraceOption {
    fn from(context: Option<TraceContext>) -> Self {
        context.map_or(Self::None, Self::This)
    }
}
