//! Finds files that depend on each other in a circle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::rules::file_name;
use crate::scan::Path;
use crate::tree::Dependency;

/// The shortest circle through each file that is part of one; each circle once.
///
/// A file may use its own parent module: it belongs to it.
pub(crate) fn cycles(dependencies: &BTreeSet<Dependency>) -> BTreeSet<String> {
    let mut next: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
    for Dependency { from, to, .. } in dependencies {
        if !from.starts_with(to) {
            next.entry(from).or_default().insert(to);
        }
    }
    next.keys().filter_map(|file| cycle_through(file, &next)).map(|cycle| shown(&cycle)).collect()
}

/// The files of the shortest way from `start` back to it.
fn cycle_through<'a>(
    start: &'a Path,
    next: &BTreeMap<&'a Path, BTreeSet<&'a Path>>,
) -> Option<Vec<&'a Path>> {
    let mut previous: BTreeMap<&Path, &Path> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for after in next.get(file).into_iter().flatten() {
            if *after == start {
                return Some(way_back(file, start, &previous));
            }
            if !previous.contains_key(after) {
                previous.insert(after, file);
                queue.push_back(after);
            }
        }
    }
    None
}

fn way_back<'a>(
    mut file: &'a Path,
    start: &'a Path,
    previous: &BTreeMap<&'a Path, &'a Path>,
) -> Vec<&'a Path> {
    let mut cycle = vec![file];
    while file != start {
        file = previous[file];
        cycle.push(file);
    }
    cycle.reverse();
    cycle
}

/// The circle as text, from its first file in the order of names.
fn shown(cycle: &[&Path]) -> String {
    let first = (0..cycle.len()).min_by_key(|at| cycle[*at]).unwrap_or(0);
    let names = cycle.iter().cycle().skip(first).take(cycle.len() + 1).map(|file| file_name(file));
    names.collect::<Vec<_>>().join(" -> ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::path;

    fn found(arrows: &[(&str, &str)]) -> Vec<String> {
        let dependency = |(from, to): &(&str, &str)| Dependency { from: path(from), to: path(to), line: 1 };
        cycles(&arrows.iter().map(dependency).collect()).into_iter().collect()
    }

    #[test]
    fn a_circle_is_found_once() {
        assert_eq!(
            found(&[("b", "c"), ("c", "a"), ("a", "b"), ("d", "a")]),
            ["src/a.rs -> src/b.rs -> src/c.rs -> src/a.rs"]
        );
    }

    #[test]
    fn a_way_without_a_return_is_no_circle() {
        assert_eq!(found(&[("a", "b"), ("b", "c"), ("a", "c")]), Vec::<String>::new());
    }

    #[test]
    fn a_child_may_use_its_parent() {
        assert_eq!(found(&[("a", "a::b"), ("a::b", "a")]), Vec::<String>::new());
    }

    #[test]
    fn siblings_may_not_use_each_other() {
        assert_eq!(found(&[("a::b", "a::c"), ("a::c", "a::b")]).len(), 1);
    }
}
