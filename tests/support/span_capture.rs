//! The spans that were made, with all their fields.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use tracing::Subscriber;
use tracing::dispatcher::with_default;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use super::thread_subscriber;

/// The fields of a span by their names, each as its text.
pub(crate) type Fields = BTreeMap<&'static str, String>;

/// The spans of one name that this thread has made, in order.
#[derive(Clone)]
pub(crate) struct SpanCapture {
    name: &'static str,
    spans: Arc<Mutex<Vec<(u64, Fields)>>>,
}

impl SpanCapture {
    /// Captures the spans of this name that this thread makes while `run` runs.
    pub(crate) fn while_running(name: &'static str, run: impl FnOnce()) -> Vec<Fields> {
        let capture = Self { name, spans: Arc::default() };
        let subscriber = tracing_subscriber::registry().with(capture.clone());
        with_default(&thread_subscriber::dispatch(subscriber), run);
        let spans = capture.spans.lock().unwrap();
        spans.iter().map(|(_, fields)| fields.clone()).collect()
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for SpanCapture {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if attributes.metadata().name() == self.name {
            let mut fields = Fields::new();
            attributes.record(&mut Texts(&mut fields));
            self.spans.lock().unwrap().push((id.into_u64(), fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut spans = self.spans.lock().unwrap();
        // Ids are used again after the end of a span.
        if let Some((_, fields)) = spans.iter_mut().rev().find(|(own, _)| *own == id.into_u64()) {
            values.record(&mut Texts(fields));
        }
    }
}

struct Texts<'f>(&'f mut Fields);

impl Visit for Texts<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
