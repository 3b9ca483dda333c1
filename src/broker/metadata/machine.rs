//! The machine that a metadata server says it belongs to.

use std::collections::BTreeMap;

use crate::Error;
use crate::metadata_protocol::{Machine, MachineAccount};

/// The name of the machine.
const NAME: &str = "iamcreds";

/// The end of the e-mail addresses of service accounts, after the project.
const ACCOUNTS: &str = ".iam.gserviceaccount.com";

/// Returns a machine of an account. It is in `project`, or in the account's.
pub(in crate::broker) fn machine_of(
    email: &str,
    scopes: Vec<String>,
    project: Option<&str>,
    universe: &str,
) -> Machine {
    Machine {
        project: project.or_else(|| project_of(email)).map(str::to_owned),
        project_number: 0,
        universe: universe.to_owned(),
        name: NAME.to_owned(),
        id: 0,
        zone: None,
        created: 0,
        attributes: BTreeMap::new(),
        project_attributes: BTreeMap::new(),
        licenses: Vec::new(),
        account: Some(MachineAccount { email: email.to_owned(), scopes }),
    }
}

/// Returns the project in the e-mail address of a service account.
fn project_of(email: &str) -> Option<&str> {
    let (_, domain) = email.split_once('@')?;
    domain.strip_suffix(ACCOUNTS)
}

pub(in crate::broker) fn checked_project(project: String) -> Result<String, Error> {
    let is_legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':');
    match !project.is_empty() && project.bytes().all(is_legal) {
        true => Ok(project),
        false => Err(Error::invalid("project", format!("must be a project id, got {project:?}"))),
    }
}
