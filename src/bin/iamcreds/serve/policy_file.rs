//! The policy file.

use std::path::Path;

use gcp_iam_credentials::broker::{Broker, Policy};

use super::watched::WatchedFiles;
use crate::failure::Failure;

/// The file with the policy in force.
#[derive(Debug)]
pub(super) struct PolicyFile {
    file: WatchedFiles,
    /// What is wrong with the file, if that was reported.
    reported: Option<String>,
}

impl PolicyFile {
    /// Reads the file. A mistake in it is an error: without a policy, nothing can be served.
    pub(super) fn open(path: &Path) -> Result<(Self, Policy), Failure> {
        let opened = WatchedFiles::open(vec![path.to_owned()]);
        let file = opened.map_err(|(path, error)| Failure::input(&path, &error))?;
        let policy = parse(&file).map_err(|problem| Failure::input(path, &problem))?;
        Ok((Self { file, reported: None }, policy))
    }

    /// Puts the policy in the file into force, if it has changed.
    pub(super) fn look(&mut self, broker: &Broker) {
        match self.file.changed() {
            Ok(false) => {}
            Ok(true) => self.apply(broker),
            Err((_, error)) => self.report(error.to_string()),
        }
    }

    /// Puts the policy in the file into force, and says so.
    pub(super) fn read_again(&mut self, broker: &Broker) {
        match self.file.changed() {
            Ok(_) => self.apply(broker),
            Err((_, error)) => self.report(error.to_string()),
        }
    }

    fn apply(&mut self, broker: &Broker) {
        match parse(&self.file) {
            Ok(policy) => {
                broker.set_policy(policy);
                self.reported = None;
                eprintln!("iamcreds: the policy in {} is in force", self.path());
            }
            Err(problem) => self.report(problem),
        }
    }

    /// Reports a problem once.
    fn report(&mut self, problem: String) {
        if self.reported.as_ref() != Some(&problem) {
            eprintln!("iamcreds: the policy before stays in force: {}: {problem}", self.path());
            self.reported = Some(problem);
        }
    }

    fn path(&self) -> impl std::fmt::Display {
        self.file.paths()[0].display()
    }
}

fn parse(file: &WatchedFiles) -> Result<Policy, String> {
    let text = std::str::from_utf8(&file.contents()[0]).map_err(|_| "the file isn't UTF-8".to_owned())?;
    Policy::from_json(text).map_err(|error| error.to_string())
}
