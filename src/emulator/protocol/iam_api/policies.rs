//! The policies of accounts and projects: who has which role.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use crate::document::Object;
use crate::emulator::error::ApiError;
use crate::emulator::fingerprint;
use crate::emulator::iam::policy::{Binding, Condition, Member, Policy, Resource, Role};
use crate::emulator::protocol::proto_json::base64;

/// The version of policies with conditions.
const WITH_CONDITIONS: u32 = 3;

/// The versions that a request may name. 0 stands for 1, the version without conditions.
const VERSIONS: [u32; 3] = [0, 1, WITH_CONDITIONS];

/// What a role is followed by, in a policy of version 1, if it has a condition there.
const CONDITION_MARK: &str = "_withcond_";

/// Which form of a policy a request asks for.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct GetPolicyOptions {
    requested_policy_version: u32,
}

/// A policy in a request.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct PolicyDocument {
    version: u32,
    etag: String,
    bindings: Vec<Object<BindingDocument>>,
    audit_configs: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct BindingDocument {
    role: Role,
    #[serde(default)]
    members: Vec<Member>,
    #[serde(default)]
    condition: Option<Object<Condition>>,
}

/// Returns the bindings on an account or a project.
pub(super) fn get(mut call: Call<'_>) -> Result<Value, ApiError> {
    let options: GetPolicyOptions = call.message("options")?;
    let in_query = call.query.number("options.requestedPolicyVersion")?;
    let version = in_query.unwrap_or(options.requested_policy_version);
    check_version(version, "options.requestedPolicyVersion")?;
    let owner = owner(&call)?;
    call.fields.finish()?;
    Ok(match call.identities.policy() {
        Some(active) => view(&active.policy, owner.resource(), version),
        None => view(&Policy::new(), owner.resource(), version),
    })
}

/// Replaces the bindings on an account or a project.
pub(super) fn set(mut call: Call<'_>) -> Result<Value, ApiError> {
    let document: PolicyDocument = call.message("policy")?;
    // All parts of a policy that the emulator keeps are replaced, whatever the mask.
    call.fields.text("updateMask")?;
    let owner = owner(&call)?;
    call.fields.finish()?;
    let (etag, bindings) = (document.etag.clone(), document.into_bindings()?);
    // gcloud sends an etag back in the other alphabet.
    let sent =
        base64(&etag).ok_or_else(|| ApiError::invalid_field("policy.etag", "The etag isn't base64."))?;
    let resource = owner.resource();
    let changed = call.identities.change_existing_policy(|policy, age| {
        if !sent.is_empty() && sent != policy.bindings_etag(resource) {
            return Err(ApiError::concurrent_policy_changes(&etag, &etag_of(policy, resource)));
        }
        policy.set_bindings(resource, bindings, age)?;
        Ok(view(policy, resource, WITH_CONDITIONS))
    });
    changed.unwrap_or_else(|| Err(ApiError::no_policy()))
}

/// Returns those of the named permissions that the caller has.
pub(super) fn test(mut call: Call<'_>) -> Result<Value, ApiError> {
    let mut permissions = call.fields.texts("permissions")?;
    let owner = owner(&call)?;
    call.fields.finish()?;
    let holder = call.principal.holder();
    if holder.is_limited {
        permissions.clear();
    }
    if let Some(active) = call.identities.policy() {
        let (policy, moment) = (&active.policy, active.moment(&call.identities.clock));
        permissions.retain(|permission| match owner.resource() {
            Resource::Account(email) => policy.allows(holder, permission, email, moment),
            Resource::Project(project) => policy.allows_on_project(holder, permission, project, moment),
        });
    }
    Ok(if permissions.is_empty() { super::empty() } else { json!({ "permissions": permissions }) })
}

impl PolicyDocument {
    fn into_bindings(self) -> Result<Vec<Binding>, ApiError> {
        check_version(self.version, "policy.version")?;
        if !self.audit_configs.is_empty() {
            return Err(ApiError::invalid_field(
                "policy.auditConfigs",
                "The emulator keeps no audit configs.",
            ));
        }
        for (index, Object(binding)) in self.bindings.iter().enumerate() {
            if binding.condition.is_some() && self.version != WITH_CONDITIONS {
                let problem = "A policy with conditions needs version 3.";
                return Err(ApiError::invalid_field("policy.version", problem));
            }
            if binding.role.as_str().contains(CONDITION_MARK) {
                let field = format!("policy.bindings[{index}].role");
                let problem = format!(
                    "{}: this role has a condition, which a policy of version 1 can't contain. Request \
                     version 3 of the policy.",
                    binding.role
                );
                return Err(ApiError::invalid_field(&field, &problem));
            }
        }
        let bindings =
            self.bindings.into_iter().map(|Object(BindingDocument { role, members, condition })| Binding {
                role,
                members,
                condition: condition.map(|Object(condition)| condition),
            });
        Ok(bindings.filter(|binding| !binding.members.is_empty()).collect())
    }
}

/// Whose policy a call is about.
enum Owner {
    Account(String),
    Project(String),
}

impl Owner {
    fn resource(&self) -> Resource<'_> {
        match self {
            Self::Account(email) => Resource::Account(email),
            Self::Project(project) => Resource::Project(project),
        }
    }
}

fn owner(call: &Call<'_>) -> Result<Owner, ApiError> {
    if call.target.account.is_empty() {
        return call.project().map(Owner::Project);
    }
    call.account().map(|account| Owner::Account(account.email().to_owned()))
}

fn check_version(version: u32, field: &str) -> Result<(), ApiError> {
    if VERSIONS.contains(&version) {
        return Ok(());
    }
    Err(ApiError::invalid_field(field, &format!("A policy has version 1 or 3, got {version}.")))
}

/// Returns a policy in IAM's form. Version 1 has marks in place of conditions.
fn view(policy: &Policy, resource: Resource<'_>, version: u32) -> Value {
    let mut bindings = policy.bindings(resource);
    let has_conditions = bindings.iter().any(|binding| binding.condition.is_some());
    let shown = if has_conditions && version == WITH_CONDITIONS { WITH_CONDITIONS } else { 1 };
    if shown == 1 {
        bindings.iter_mut().for_each(mark_condition);
    }
    let mut view = json!({"version": shown, "etag": etag_of(policy, resource)});
    if !bindings.is_empty() {
        view["bindings"] = json!(bindings);
    }
    view
}

fn mark_condition(binding: &mut Binding) {
    let Some(condition) = binding.condition.take() else { return };
    let hash = fingerprint::hex(format!("{condition:?}").as_bytes(), 10);
    // The name is legal, because the role's name was.
    if let Ok(marked) = format!("{}{CONDITION_MARK}{hash}", binding.role).parse() {
        binding.role = marked;
    }
}

fn etag_of(policy: &Policy, resource: Resource<'_>) -> String {
    BASE64_STANDARD.encode(policy.bindings_etag(resource))
}
