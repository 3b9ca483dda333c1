//! What the page about tracing says about metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

const PAGE: &str = include_str!("../../docs/tracing.md");

/// A metric as the page describes it.
#[derive(Debug)]
pub(crate) struct Documented {
    pub(crate) kind: String,
    /// The labels. The values are empty for gRPC codes.
    pub(crate) labels: BTreeMap<String, BTreeSet<String>>,
}

/// The metrics in the page, by their names.
pub(crate) static METRICS: LazyLock<BTreeMap<String, Documented>> = LazyLock::new(|| {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `gcp_iam_credentials_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let name = cells[0].trim_matches('`').to_owned();
        let mut labels = labels(cells[2]);
        if let Some(values) = labels.get_mut("reason").filter(|values| values.is_empty()) {
            *values = REASONS.clone();
        }
        (name, Documented { kind: cells[1].to_owned(), labels })
    })
    .collect()
});

/// The reasons of failures in the page.
pub(crate) static REASONS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let list = PAGE.split("The `reason` of a failed fetch is one of these: ").nth(1).unwrap();
    let list = list.split("\n\n").next().unwrap();
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
});

/// Reads `` `name` (`value`, `value`), `name` (anything) ``.
fn labels(cell: &str) -> BTreeMap<String, BTreeSet<String>> {
    let parts = cell.split(')').filter(|part| part.contains('('));
    parts
        .map(|part| {
            let (name, values) = part.split_once(" (").unwrap();
            let values = match values.starts_with('`') {
                true => values.split(", ").map(|value| value.trim_matches('`').to_owned()).collect(),
                false => BTreeSet::new(),
            };
            (name.trim_start_matches([',', ' ']).trim_matches('`').to_owned(), values)
        })
        .collect()
}

/// conf: N1
#[test]
fn the_page_lists_the_metrics_that_are_described_with_their_types_and_units() {
    let recorder = super::recorder::Recorder::default();
    metrics::with_local_recorder(&recorder, gcp_iam_credentials::metrics::describe);
    let described = recorder.described();
    let listed = METRICS.iter().map(|(name, metric)| {
        let unit = if name.ends_with("_seconds") { "seconds" } else { "count" };
        (name.clone(), metric.kind.clone(), unit.to_owned())
    });
    assert_eq!(described.into_iter().collect::<Vec<_>>(), listed.collect::<Vec<_>>());
    assert_eq!(METRICS.len(), 13);
    let failures = &METRICS["gcp_iam_credentials_fetch_failures_total"];
    assert_eq!(failures.labels.keys().collect::<Vec<_>>(), ["code", "kind", "reason"]);
    assert!(failures.labels["kind"].contains("timeout") && failures.labels["code"].is_empty());
}
