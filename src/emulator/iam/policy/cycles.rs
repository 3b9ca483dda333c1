//! Finds groups that contain themselves.

use std::collections::HashMap;

use super::Policy;
use super::error::PolicyError;
use super::member::Member;

/// How many groups of a cycle an error shows.
const SHOWN: usize = 8;

/// How far the search of a group has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Its members are being searched, so it is on the path to the current group.
    Searching,
    /// Its members were searched, and there was no cycle.
    Done,
}

/// A group on the path to the current one, and those of its members that aren't searched yet.
struct Step<'p> {
    group: &'p str,
    members: std::slice::Iter<'p, Member>,
}

impl Policy {
    /// Checks that no group contains itself.
    ///
    /// The path is kept on the heap, because groups can be nested as deeply as a document is long. Each
    /// group is searched once.
    pub(super) fn check_cycles(&self) -> Result<(), PolicyError> {
        let mut progress = HashMap::with_capacity(self.groups.len());
        for start in self.groups.keys() {
            let mut path: Vec<Step<'_>> = Vec::new();
            self.enter(start, &mut progress, &mut path)?;
            while let Some(step) = path.last_mut() {
                match step.members.next().map(Member::as_group) {
                    Some(Some(inner)) => self.enter(inner, &mut progress, &mut path)?,
                    Some(None) => {}
                    None => {
                        progress.insert(step.group, Progress::Done);
                        path.pop();
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds a group to the path, if it isn't searched yet.
    fn enter<'p>(
        &'p self,
        group: &'p str,
        progress: &mut HashMap<&'p str, Progress>,
        path: &mut Vec<Step<'p>>,
    ) -> Result<(), PolicyError> {
        match progress.get(group) {
            Some(Progress::Done) => Ok(()),
            Some(Progress::Searching) => Err(cycle(path, group)),
            None => {
                progress.insert(group, Progress::Searching);
                path.push(Step { group, members: self.members_of(group).iter() });
                Ok(())
            }
        }
    }
}

/// Returns the error for a group that the last group on its own path contains.
fn cycle(path: &[Step<'_>], group: &str) -> PolicyError {
    let start = path.iter().position(|step| step.group == group).unwrap_or_default();
    let cycle: Vec<&str> = path[start..].iter().map(|step| step.group).collect();
    let shown = cycle[..cycle.len().min(SHOWN)].join(" → ");
    let left_out = if cycle.len() > SHOWN { " → …" } else { "" };
    let problem = format!("a cycle of groups: {shown}{left_out} → {group}");
    PolicyError::new(format!("groups[{group:?}]"), problem)
}
