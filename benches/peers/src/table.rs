//! The table, in Markdown.

use crate::measurement::Measurement;
use crate::peers;
use crate::results::Results;

/// Returns a table with a column for each peer and the rows of these measurements.
pub fn markdown(results: &Results, peers: &[&str], measurements: &[Measurement]) -> String {
    let mut table = String::new();
    let mut line = |cells: Vec<String>| table.push_str(&format!("| {} |\n", cells.join(" | ")));
    let head = peers.iter().map(|peer| format!("{peer} {}", version(peer)));
    line([String::new()].into_iter().chain(head).collect());
    line(vec!["---".to_owned(); peers.len() + 1]);
    let acts = peers.iter().map(|peer| peers::acts_as(peer).to_owned());
    line(["what it does here".to_owned()].into_iter().chain(acts).collect());
    for &measurement in measurements {
        for (row, title) in measurement.rows().iter().enumerate() {
            let cells = peers.iter().map(|peer| {
                let cell = results.get(peer, measurement, row);
                cell.unwrap_or("not measured").replace('|', "\\|")
            });
            line([(*title).to_owned()].into_iter().chain(cells).collect());
        }
    }
    table
}

/// Returns the version of a package in the lock file.
fn version(package: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{package}\""));
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \""));
    version.map_or("?", |version| version.trim_end_matches('"'))
}
