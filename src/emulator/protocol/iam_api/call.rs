//! One call of a method, by a known principal.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::query::Query;
use super::target::Target;
use crate::document::problem_of;
use crate::emulator::error::ApiError;
use crate::emulator::iam::account::{Account, is_well_formed, project_of};
use crate::emulator::iam::identities::Identities;
use crate::emulator::iam::policy::Resource;
use crate::emulator::iam::principal::Principal;
use crate::emulator::protocol::proto_json::Fields;
use crate::emulator::state::EmulatorState;

/// In place of a project: the one that the account belongs to.
pub(super) const ANY_PROJECT: &str = "-";

/// One call of a method. The caller's permission isn't checked yet.
pub(super) struct Call<'a> {
    pub(super) state: &'a EmulatorState,
    pub(super) identities: &'a Identities,
    pub(super) principal: Principal,
    pub(super) target: &'a Target,
    pub(super) query: Query,
    pub(super) fields: Fields,
}

impl Call<'_> {
    /// Returns the account of the call, if the caller may do on it what it asks for.
    ///
    /// Whoever may not do it isn't told whether the account exists.
    pub(super) fn account(&self) -> Result<Arc<Account>, ApiError> {
        let named = &self.target.account;
        if !is_well_formed(named) {
            return Err(ApiError::malformed_account(named));
        }
        let found = self.identities.account(named);
        let email = found.as_ref().map_or(named.as_str(), |account| account.email());
        self.authorize(Resource::Account(email))?;
        let account = found.filter(|account| self.is_in_named_project(account.email()));
        account.ok_or_else(|| ApiError::unknown_service_account(&self.target.name()))
    }

    /// Returns the id of the project, if the caller may do on it what it asks for.
    pub(super) fn project(&self) -> Result<String, ApiError> {
        let project = self.project_id();
        self.authorize(Resource::Project(&project))?;
        Ok(project)
    }

    /// Checks that the caller has the permission that the method needs.
    pub(super) fn authorize(&self, resource: Resource<'_>) -> Result<(), ApiError> {
        let Some(permission) = self.target.operation.permission() else { return Ok(()) };
        let holder = self.principal.holder();
        let allowed = self.identities.policy().map_or(!holder.is_limited, |active| {
            let (policy, moment) = (&active.policy, active.moment(&self.identities.clock));
            match resource {
                Resource::Account(email) => policy.allows(holder, permission, email, moment),
                Resource::Project(project) => policy.allows_on_project(holder, permission, project, moment),
            }
        });
        if allowed { Ok(()) } else { Err(ApiError::permission_missing(permission, &self.target.name())) }
    }

    /// Reads a message in the body. It has all defaults if it is absent.
    pub(super) fn message<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, ApiError> {
        let mut message = self.fields.message(name)?;
        if message.is_null() {
            message = Value::Object(serde_json::Map::new());
        }
        serde_path_to_error::deserialize(message).map_err(|error| {
            let path = match error.path().to_string().as_str() {
                "." => name.to_owned(),
                path => format!("{name}.{path}"),
            };
            let problem = problem_of(error.inner());
            ApiError::invalid_field(&path, &format!("Invalid value at '{path}': {problem}"))
        })
    }

    fn is_in_named_project(&self, email: &str) -> bool {
        self.target.project == ANY_PROJECT || self.project_id() == project_of(email)
    }

    /// Returns the id of the named project, which may be named by its number. Without a policy, any name is an id.
    fn project_id(&self) -> String {
        let named = &self.target.project;
        let active = self.identities.policy();
        let known = active.as_ref().and_then(|active| active.policy.project_id(named));
        known.unwrap_or(named).to_owned()
    }
}
