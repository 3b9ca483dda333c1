//! A recorder that keeps everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit,
};
use tonic::Code;

use super::documentation::METRICS;

/// Keeps the values of all metrics, each under its name and labels: `name{label=value,other=value}`, without the prefix
/// that all names have.
///
/// Panics if a metric, a label or a value isn't in the page about tracing. Only one recorder exists at a time, because hits
/// are counted for the whole process.
pub(crate) struct Recorder {
    recorded: Arc<Mutex<Recorded>>,
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

#[derive(Default)]
struct Recorded {
    values: BTreeMap<String, f64>,
    /// Name, type and unit.
    described: BTreeSet<(String, String, String)>,
}

const PREFIX: &str = "gcp_iam_credentials_";

impl Default for Recorder {
    fn default() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self { recorded: Arc::default(), _alone: alone }
    }
}

impl Recorder {
    /// Runs a future on a runtime of this thread, whose metrics go to this recorder.
    pub(crate) fn run<F: Future>(&self, runtime: tokio::runtime::Runtime, future: F) -> F::Output {
        metrics::with_local_recorder(self, || {
            let output = runtime.block_on(future);
            // Tasks that are left end here.
            drop(runtime);
            output
        })
    }

    pub(crate) fn described(&self) -> BTreeSet<(String, String, String)> {
        self.lock().described.clone()
    }

    /// Returns the value of a metric: the number of values for a histogram. 0 if nothing was recorded.
    pub(crate) fn value(&self, key: &str) -> f64 {
        self.lock().values.get(key).copied().unwrap_or_default()
    }

    /// Returns the metrics whose names start with this, with their values.
    pub(crate) fn starting_with(&self, start: &str) -> Vec<(String, f64)> {
        let recorded = self.lock();
        let found = recorded.values.iter().filter(|(key, _)| key.starts_with(start));
        found.map(|(key, value)| (key.clone(), *value)).collect()
    }

    /// Returns the sum of a metric over all its labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let is_it = |key: &String| key.split('{').next() == Some(name);
        self.lock().values.iter().filter(|(key, _)| is_it(key)).map(|(_, value)| value).sum()
    }

    fn describe(&self, name: &KeyName, kind: &str, unit: Option<Unit>) {
        let unit = unit.expect("a metric has a unit").as_str().to_owned();
        self.lock().described.insert((name.as_str().to_owned(), kind.to_owned(), unit));
    }

    fn register(&self, key: &Key, kind: &str) -> Arc<Value> {
        let documented = METRICS.get(key.name()).unwrap_or_else(|| panic!("{key}: not in the page"));
        assert_eq!(documented.kind, kind, "{key}");
        let given: BTreeMap<_, _> = key.labels().map(|label| (label.key(), label.value())).collect();
        assert!(given.keys().eq(documented.labels.keys()), "{key}: {:?}", documented.labels);
        for (label, value) in &given {
            let listed = &documented.labels[*label];
            let is_known = match *label {
                _ if listed.contains(*value) => true,
                "code" => is_code(value),
                _ => false,
            };
            assert!(is_known, "{key}: {label}");
        }
        let labels: Vec<_> = given.iter().map(|(label, value)| format!("{label}={value}")).collect();
        let name = key.name().strip_prefix(PREFIX).unwrap();
        let key = if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) };
        Arc::new(Value { key, recorded: Arc::clone(&self.recorded) })
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        lock(&self.recorded)
    }
}

fn lock(recorded: &Mutex<Recorded>) -> MutexGuard<'_, Recorded> {
    recorded.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_code(value: &str) -> bool {
    let name = |code: i32| format!("{:?}", Code::from_i32(code));
    // `PermissionDenied` is `PERMISSION_DENIED`.
    let squeezed = value.replace('_', "").to_lowercase();
    (0..=16).any(|code| name(code).to_lowercase() == squeezed)
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, "counter", unit);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, "gauge", unit);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, "histogram", unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.register(key, "counter"))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.register(key, "gauge"))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.register(key, "histogram"))
    }
}

struct Value {
    key: String,
    recorded: Arc<Mutex<Recorded>>,
}

impl Value {
    fn change(&self, change: impl FnOnce(f64) -> f64) {
        let mut recorded = lock(&self.recorded);
        let value = recorded.values.entry(self.key.clone()).or_default();
        *value = change(*value);
        assert!(*value >= 0.0, "{} is negative", self.key);
    }
}

impl CounterFn for Value {
    fn increment(&self, value: u64) {
        self.change(|old| old + value as f64);
    }

    fn absolute(&self, value: u64) {
        self.change(|old| old.max(value as f64));
    }
}

impl GaugeFn for Value {
    fn increment(&self, value: f64) {
        self.change(|old| old + value);
    }

    fn decrement(&self, value: f64) {
        self.change(|old| old - value);
    }

    fn set(&self, value: f64) {
        self.change(|_| value);
    }
}

impl HistogramFn for Value {
    fn record(&self, value: f64) {
        assert!((0.0..1e6).contains(&value), "{}: {value}", self.key);
        self.change(|count| count + 1.0);
    }
}
