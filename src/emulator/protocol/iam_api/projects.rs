//! Projects, and the APIs that are enabled in them.

use serde_json::{Value, json};

use super::call::Call;
use crate::emulator::error::{ApiError, shorten};
use crate::emulator::iam::account::project_number_of;

/// The only API whose state the emulator keeps. All others are enabled.
const API: &str = "iamcredentials.googleapis.com";

/// The name of an operation that is done when the reply arrives.
const DONE: &str = "operations/noop.DONE_OPERATION";

pub(super) fn get(call: Call<'_>) -> Result<Value, ApiError> {
    let project = call.project()?;
    Ok(json!({
        "projectNumber": number(&call, &project).to_string(),
        "projectId": project,
        "lifecycleState": "ACTIVE",
        "name": project,
    }))
}

pub(super) fn get_service(call: Call<'_>) -> Result<Value, ApiError> {
    let project = call.project()?;
    let active = call.identities.policy();
    let disabled = call.target.item == API && active.is_some_and(|it| it.policy.is_api_disabled(&project));
    Ok(service(&call, &project, &call.target.item, !disabled))
}

pub(super) fn enable(call: Call<'_>) -> Result<Value, ApiError> {
    let project = call.project()?;
    call.fields.finish()?;
    let name = call.target.item.clone();
    enable_in(&call, &project, &name)?;
    let service = service(&call, &project, &name, true);
    Ok(done("EnableServiceResponse", json!({ "service": service })))
}

pub(super) fn enable_all(mut call: Call<'_>) -> Result<Value, ApiError> {
    let project = call.project()?;
    let names = call.fields.texts("serviceIds")?;
    call.fields.finish()?;
    for name in &names {
        enable_in(&call, &project, name)?;
    }
    let services: Vec<_> = names.iter().map(|name| service(&call, &project, name, true)).collect();
    Ok(done("BatchEnableServicesResponse", json!({ "services": services })))
}

pub(super) fn disable(mut call: Call<'_>) -> Result<Value, ApiError> {
    let project = call.project()?;
    // They concern other APIs, and the use that is made of this one.
    call.fields.flag("disableDependentServices")?;
    call.fields.text("checkIfServiceHasUsage")?;
    call.fields.finish()?;
    let name = call.target.item.clone();
    if name != API {
        let problem = format!("The emulator can only disable {API}, got {}.", shorten(&name));
        return Err(ApiError::invalid_field("name", &problem));
    }
    set_disabled(&call, &project, true).unwrap_or_else(|| Err(ApiError::no_policy()))?;
    let service = service(&call, &project, &name, false);
    Ok(done("DisableServiceResponse", json!({ "service": service })))
}

fn enable_in(call: &Call<'_>, project: &str, service: &str) -> Result<(), ApiError> {
    if service != API {
        return Ok(());
    }
    // Without a policy, the API is enabled everywhere.
    set_disabled(call, project, false).unwrap_or(Ok(()))
}

fn set_disabled(call: &Call<'_>, project: &str, disabled: bool) -> Option<Result<(), ApiError>> {
    call.identities.change_existing_policy(|policy, _| {
        policy.set_api_disabled(project, disabled);
        Ok(())
    })
}

fn number(call: &Call<'_>, project: &str) -> u64 {
    let active = call.identities.policy();
    active.map_or_else(|| project_number_of(project), |active| active.policy.project_number(project))
}

fn service(call: &Call<'_>, project: &str, name: &str, enabled: bool) -> Value {
    let parent = format!("projects/{}", number(call, project));
    json!({
        "name": format!("{parent}/services/{name}"),
        "parent": parent,
        "state": if enabled { "ENABLED" } else { "DISABLED" },
    })
}

fn done(kind: &str, mut response: Value) -> Value {
    response["@type"] = format!("type.googleapis.com/google.api.serviceusage.v1.{kind}").into();
    json!({"name": DONE, "done": true, "response": response})
}
