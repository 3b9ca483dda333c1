//! What whoever made credentials knows of them beyond their source.

use crate::source::Explanation;

/// Said of credentials by whoever made them.
#[derive(Debug)]
pub(crate) struct Note {
    pub(super) explanation: Explanation,
    pub(super) quota_project: Option<String>,
}

impl Note {
    pub(crate) fn new(explanation: Explanation) -> Self {
        Self { explanation, quota_project: None }
    }

    /// The project that calls with these credentials are counted against, whatever their source
    /// knows.
    pub(crate) fn quota_project(mut self, project: Option<String>) -> Self {
        self.quota_project = project;
        self
    }
}
