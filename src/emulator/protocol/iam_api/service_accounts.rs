//! Service accounts: list, create, change, disable, delete.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{ANY_PROJECT, Call};
use super::empty;
use crate::emulator::error::{ApiError, shorten};
use crate::emulator::fingerprint;
use crate::emulator::iam::account::{Account, is_well_formed, project_of};
use crate::emulator::iam::identities::Identities;
use crate::emulator::iam::policy::{AccountDetails, Policy, Resource};

/// How many accounts a page has if the request doesn't say: 20. At most 100.
const PAGE: usize = 20;
const LARGEST_PAGE: usize = 100;

/// The lengths that an account's id may have.
const ID_LENGTHS: std::ops::RangeInclusive<usize> = 6..=30;

/// The largest lengths of names and descriptions, in bytes.
const LONGEST_NAME: usize = 100;
const LONGEST_DESCRIPTION: usize = 256;

/// An account in a request. Only the name and the description can be chosen; clients send the rest back as they
/// got it.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct AccountDocument {
    display_name: Option<String>,
    description: Option<String>,
    #[serde(rename = "name")]
    _name: Value,
    #[serde(rename = "projectId")]
    _project_id: Value,
    #[serde(rename = "uniqueId")]
    _unique_id: Value,
    #[serde(rename = "email")]
    _email: Value,
    #[serde(rename = "etag")]
    _etag: Value,
    #[serde(rename = "oauth2ClientId")]
    _oauth2_client_id: Value,
    #[serde(rename = "disabled")]
    _disabled: Value,
}

pub(super) fn get(call: Call<'_>) -> Result<Value, ApiError> {
    let account = call.account()?;
    call.fields.finish()?;
    Ok(view(call.identities, &account))
}

pub(super) fn list(call: Call<'_>) -> Result<Value, ApiError> {
    let project = call.project()?;
    call.fields.finish()?;
    let size = match call.query.number("pageSize")? {
        None | Some(0) => PAGE,
        Some(size) => usize::try_from(size).unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE),
    };
    let after = match call.query.text("pageToken") {
        None | Some("") => String::new(),
        Some(token) => read_page_token(token)?,
    };
    let mut emails = emails_after(call.identities, &project, &after, size + 1);
    let more = emails.len() > size;
    emails.truncate(size);
    let found = emails.iter().filter_map(|email| call.identities.account(email));
    let mut reply = json!({});
    let accounts: Vec<_> = found.map(|account| view(call.identities, &account)).collect();
    if !accounts.is_empty() {
        reply["accounts"] = accounts.into();
    }
    if let Some(last) = emails.last().filter(|_| more) {
        reply["nextPageToken"] = BASE64_STANDARD.encode(last).into();
    }
    Ok(reply)
}

pub(super) fn create(mut call: Call<'_>) -> Result<Value, ApiError> {
    let project = call.project()?;
    let id = call.fields.text("accountId")?;
    let details = call.message::<AccountDocument>("serviceAccount")?.changed(AccountDetails::default());
    call.fields.finish()?;
    check_id(&id)?;
    check_details(&details)?;
    let email = format!("{id}@{project}.iam.gserviceaccount.com");
    if project == ANY_PROJECT || !is_well_formed(&email) {
        let problem = format!("An account is created in a project, got {:?}.", shorten(&project));
        return Err(ApiError::invalid_field("name", &problem));
    }
    let exists = || ApiError::account_exists(&id, &project);
    let identities = call.identities;
    let created = identities.change_existing_policy(|policy, _| {
        if policy.create_account(&email, details) { Ok(()) } else { Err(exists()) }
    });
    match created {
        Some(created) => created?,
        // Without a policy, all accounts exist. This one has just not been used so far.
        None if identities.accounts.find(&email).is_some() => return Err(exists()),
        None => {}
    }
    let account = identities.account(&email).ok_or_else(|| ApiError::unknown_service_account(&email))?;
    Ok(view(identities, &account))
}

pub(super) fn patch(mut call: Call<'_>) -> Result<Value, ApiError> {
    let account = call.account()?;
    let mut document: AccountDocument = call.message("serviceAccount")?;
    let mask = call.fields.text("updateMask")?;
    call.fields.finish()?;
    document.keep(&mask)?;
    change(&call, &account, |policy, email| {
        let details = document.changed(policy.details_of(email));
        check_details(&details)?;
        policy.set_details(email, details);
        Ok(())
    })?;
    Ok(view(call.identities, &account))
}

/// Disables or enables an account. Without a policy all accounts are enabled, and stay so.
pub(super) fn set_disabled(call: Call<'_>, disabled: bool) -> Result<Value, ApiError> {
    let account = call.account()?;
    call.fields.finish()?;
    if !disabled && call.identities.policy().is_none() {
        return Ok(empty());
    }
    change(&call, &account, |policy, email| {
        policy.set_disabled(email, disabled);
        Ok(())
    })?;
    Ok(empty())
}

pub(super) fn delete(call: Call<'_>) -> Result<Value, ApiError> {
    let account = call.account()?;
    call.fields.finish()?;
    change(&call, &account, |policy, email| {
        policy.delete_account(email, account.unique_id());
        Ok(())
    })?;
    call.identities.forget_account(&account);
    Ok(empty())
}

/// Restores a deleted account, which the request names by its unique id.
pub(super) fn undelete(call: Call<'_>) -> Result<Value, ApiError> {
    call.fields.finish()?;
    let unknown = || ApiError::unknown_service_account(&call.target.name());
    let active = call.identities.policy().ok_or_else(ApiError::no_policy)?;
    let unique_id = &call.target.account;
    let email = active.policy.deleted_email(unique_id).ok_or_else(unknown)?;
    call.authorize(Resource::Project(project_of(email)))?;
    let restored = call.identities.change_existing_policy(|policy, _| {
        policy.undelete_account(unique_id).ok_or_else(|| {
            let id = email.split('@').next().unwrap_or_default();
            ApiError::account_exists(id, project_of(email))
        })
    });
    let email = restored.unwrap_or_else(|| Err(ApiError::no_policy()))?;
    let account = call.identities.account(&email).ok_or_else(unknown)?;
    Ok(json!({ "restoredAccount": view(call.identities, &account) }))
}

impl AccountDocument {
    /// Leaves out what a mask doesn't name. An empty mask names everything.
    fn keep(&mut self, mask: &str) -> Result<(), ApiError> {
        let names: Vec<_> = mask.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let is = |name: &str, camel: &str, snake: &str| name == camel || name == snake;
        let is_name = |name: &&str| is(name, "displayName", "display_name");
        let is_description = |name: &&str| *name == "description";
        if let Some(other) = names.iter().find(|name| !is_name(name) && !is_description(name)) {
            let other = shorten(other);
            let problem = format!("\"{other}\" can't be changed; displayName and description can.");
            return Err(ApiError::invalid_field("updateMask", &problem));
        }
        if !names.is_empty() {
            self.display_name.take_if(|_| !names.iter().any(is_name));
            self.description.take_if(|_| !names.iter().any(is_description));
        }
        Ok(())
    }

    /// Returns the details with the changes that the request makes.
    fn changed(self, details: AccountDetails) -> AccountDetails {
        AccountDetails {
            display_name: self.display_name.unwrap_or(details.display_name),
            description: self.description.unwrap_or(details.description),
        }
    }
}

/// Changes an account that exists in the policy.
fn change(
    call: &Call<'_>,
    account: &Arc<Account>,
    change: impl FnOnce(&mut Policy, &str) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let unknown = || ApiError::unknown_service_account(&call.target.name());
    let changed = call.identities.change_existing_policy(|policy, _| {
        if policy.knows(account.email()) { change(policy, account.email()) } else { Err(unknown()) }
    });
    changed.unwrap_or_else(|| Err(ApiError::no_policy()))
}

fn view(identities: &Identities, account: &Account) -> Value {
    let (email, project, id) = (account.email(), account.project(), account.unique_id());
    let active = identities.policy();
    let details = active.as_ref().map(|active| active.policy.details_of(email)).unwrap_or_default();
    let disabled = active.is_some_and(|active| active.policy.is_disabled(email));
    let etag = fingerprint::number(&format!("{id} {disabled} {details:?}")).to_be_bytes();
    let mut view = json!({
        "name": format!("projects/{project}/serviceAccounts/{email}"),
        "projectId": project,
        "uniqueId": id,
        "email": email,
        "etag": BASE64_STANDARD.encode(etag),
        "oauth2ClientId": id,
    });
    let AccountDetails { display_name, description } = details;
    for (field, text) in [("displayName", display_name), ("description", description)] {
        if !text.is_empty() {
            view[field] = text.into();
        }
    }
    if disabled {
        view["disabled"] = true.into();
    }
    view
}

/// Returns the addresses of a project's accounts after that one. Without a policy, those that were used so far.
fn emails_after(identities: &Identities, project: &str, after: &str, most: usize) -> Vec<String> {
    match identities.policy() {
        Some(active) => active.policy.accounts_of(project, after).take(most).map(str::to_owned).collect(),
        None => {
            let emails = identities.accounts.emails();
            let in_project = |email: &&Arc<str>| project_of(email) == project && &***email > after;
            emails.iter().filter(in_project).take(most).map(|email| email.to_string()).collect()
        }
    }
}

fn read_page_token(token: &str) -> Result<String, ApiError> {
    let text = BASE64_STANDARD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| ApiError::invalid_field("pageToken", "The page token is invalid."))
}

fn check_id(id: &str) -> Result<(), ApiError> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let formed =
        id.bytes().all(legal) && id.starts_with(|c: char| c.is_ascii_lowercase()) && !id.ends_with('-');
    if formed && ID_LENGTHS.contains(&id.len()) {
        return Ok(());
    }
    let id = shorten(id);
    let problem = format!(
        "The account ID \"{id}\" does not have a length between 6 and 30, or isn't of lowercase letters, digits \
         and hyphens, such as \"my-builder\"."
    );
    Err(ApiError::invalid_field("account_id", &problem))
}

fn check_details(details: &AccountDetails) -> Result<(), ApiError> {
    for (field, text, most) in [
        ("service_account.display_name", &details.display_name, LONGEST_NAME),
        ("service_account.description", &details.description, LONGEST_DESCRIPTION),
    ] {
        if text.len() > most {
            let problem = format!("At most {most} bytes are allowed, got {}.", text.len());
            return Err(ApiError::invalid_field(field, &problem));
        }
    }
    Ok(())
}
