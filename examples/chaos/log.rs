//! Everything that is logged: how many attempts it reports, and whether it shows a secret.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry;

/// The refresh token of the user, which is a secret.
pub(crate) const REFRESH_TOKEN: &str = "1//chaos-refresh-token";

/// How all access tokens of the emulator start.
const ACCESS_TOKEN: &str = "ya29.";

/// What the log has shown so far.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) lines: AtomicU64,
    pub(crate) attempts_succeeded: AtomicU64,
    /// Failed attempts to which IAM replied.
    pub(crate) attempts_refused: AtomicU64,
    pub(crate) attempts_failed: AtomicU64,
    pub(crate) secrets: AtomicU64,
    /// tonic panics if status details aren't base64, and this crate catches it. No other panic is expected.
    pub(crate) panics: AtomicU64,
}

impl Log {
    /// Searches a text that was logged or is an error.
    pub(crate) fn search(&self, text: &str) {
        self.lines.fetch_add(1, Ordering::Relaxed);
        if text.contains(REFRESH_TOKEN) || text.contains(ACCESS_TOKEN) {
            self.secrets.fetch_add(1, Ordering::Relaxed);
            eprintln!("chaos: a secret is shown: {text}");
        }
    }

    pub(crate) fn attempts(&self) -> u64 {
        self.attempts_succeeded.load(Ordering::Relaxed) + self.attempts_failed.load(Ordering::Relaxed)
    }

    pub(crate) fn note_panic(&self, file: &str, text: &str) {
        self.search(text);
        if !file.contains("/tonic-") {
            self.panics.fetch_add(1, Ordering::Relaxed);
            eprintln!("chaos: {text}");
        }
    }
}

/// Sends everything that is logged, and every panic, to the returned log.
pub(crate) fn install() -> Arc<Log> {
    let log = Arc::new(Log::default());
    let of_panics = Arc::clone(&log);
    std::panic::set_hook(Box::new(move |panic| {
        let file = panic.location().map_or("", |place| place.file());
        of_panics.note_panic(file, &panic.to_string());
    }));
    let subscriber = registry().with(Reader(Arc::clone(&log)));
    // It fails only if there is a subscriber already.
    let _ = tracing::subscriber::set_global_default(subscriber);
    log
}

struct Reader(Arc<Log>);

impl<S: Subscriber> Layer<S> for Reader {
    /// Everything of this crate, and what others consider important.
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with("gcp_iam_credentials") || *metadata.level() <= Level::INFO
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn on_new_span(&self, attributes: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        let mut text = Text::default();
        attributes.record(&mut text);
        self.0.search(&text.0);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        self.0.search(&text.0);
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        if text.0.contains("message=attempt succeeded ") {
            count(&self.0.attempts_succeeded);
        } else if text.0.contains("message=attempt failed ") {
            count(&self.0.attempts_failed);
            if is_reply(&text.0) {
                count(&self.0.attempts_refused);
            }
        }
    }
}

/// Returns whether a failed attempt got a reply. Its error then starts with the code: `INTERNAL: …`.
fn is_reply(event: &str) -> bool {
    let code = event.split_once("error=").and_then(|(_, error)| error.split_once(": "));
    code.is_some_and(|(code, _)| code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
}

/// The fields of an event, as text.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string doesn't fail.
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}
