//! `policy.json`: reading it, and finding what is wrong with it.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::role::{ACCOUNT_PERMISSIONS, ROLES};
use super::{Grant, Policy};
use crate::emulator::iam::account::is_well_formed;

/// What is wrong with a policy, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    path: String,
    problem: String,
}

impl PolicyError {
    fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }

    /// The place in the document: `serviceAccounts["sa@p.iam.gserviceaccount.com"].grants[0].role`.
    /// Empty for the document as a whole.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "the policy is wrong: {}", self.problem),
            path => write!(f, "the policy is wrong at {path}: {}", self.problem),
        }
    }
}

impl std::error::Error for PolicyError {}

pub(crate) fn read(text: &str) -> Result<Policy, PolicyError> {
    // An empty list would do for an object none of whose members is required.
    if text.trim_start().starts_with('[') {
        return Err(PolicyError::new("", "this is a list, not an object"));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let policy: Policy = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = match error.path().to_string() {
            root if root == "." => String::new(),
            path => path,
        };
        PolicyError::new(path, error.inner().to_string())
    })?;
    reader.end().map_err(|error| PolicyError::new("", error.to_string()))?;
    check_shape(text)?;
    validate(&policy)?;
    Ok(policy)
}

/// Refuses lists where objects belong: serde would read them as the fields in order.
fn check_shape(text: &str) -> Result<(), PolicyError> {
    let document: Value =
        serde_json::from_str(text).map_err(|error| PolicyError::new("", error.to_string()))?;
    object(&document, "")?;
    for part in ["projects", "serviceAccounts", "users"] {
        for (name, entry) in document[part].as_object().into_iter().flatten() {
            let path = format!("{part}[{name:?}]");
            object(entry, &path)?;
            objects(&entry["grants"], &format!("{path}.grants"))?;
        }
    }
    objects(&document["tokens"], "tokens")?;
    ["metadataServer", "ambiguities"].into_iter().try_for_each(|part| match document.get(part) {
        Some(entry) if !entry.is_null() => object(entry, part),
        _ => Ok(()),
    })
}

fn object(value: &Value, path: &str) -> Result<(), PolicyError> {
    if value.is_object() { Ok(()) } else { Err(PolicyError::new(path, "expected an object")) }
}

fn objects(list: &Value, path: &str) -> Result<(), PolicyError> {
    let mut list = list.as_array().into_iter().flatten().enumerate();
    list.try_for_each(|(index, entry)| object(entry, &format!("{path}[{index}]")))
}

pub(crate) fn validate(policy: &Policy) -> Result<(), PolicyError> {
    let mut ids = BTreeSet::new();
    for (email, rules) in &policy.service_accounts {
        let path = format!("serviceAccounts[{email:?}]");
        if !email.contains('@') || !is_well_formed(email) {
            return Err(PolicyError::new(path, "this is no e-mail address of a service account"));
        }
        if let Some(id) = &rules.unique_id {
            if id.is_empty() || id.len() > 30 || !id.bytes().all(|b| b.is_ascii_digit()) {
                return Err(PolicyError::new(format!("{path}.uniqueId"), "a unique id has 1 to 30 digits"));
            }
            if !ids.insert(id) {
                return Err(PolicyError::new(
                    format!("{path}.uniqueId"),
                    "another account has this unique id",
                ));
            }
        }
        check_grants(policy, &rules.grants, &path)?;
    }
    for (name, project) in &policy.projects {
        let path = format!("projects[{name:?}]");
        if name.is_empty() || name.contains(['/', '@', ' ']) {
            return Err(PolicyError::new(path, "this is no project id"));
        }
        check_grants(policy, &project.grants, &path)?;
    }
    for (group, members) in &policy.groups {
        for (index, member) in members.iter().enumerate() {
            check_member(policy, member, &format!("groups[{group:?}][{index}]"))?;
        }
        check_cycles(policy, group, &mut vec![group])?;
    }
    for (name, permissions) in &policy.roles {
        let path = format!("roles[{name:?}]");
        if ROLES.iter().any(|(known, _)| known == name) {
            return Err(PolicyError::new(path, "this role is predefined"));
        }
        permissions.iter().try_for_each(|permission| check_permission(permission, &path))?;
    }
    check_tokens(policy)?;
    match policy.metadata_server() {
        Some(email) if !policy.knows(email) => Err(PolicyError::new(
            "metadataServer.serviceAccount",
            format!("{email:?} is not among serviceAccounts"),
        )),
        _ => Ok(()),
    }
}

fn check_tokens(policy: &Policy) -> Result<(), PolicyError> {
    let mut seen = BTreeSet::new();
    for (index, fixed) in policy.tokens.iter().enumerate() {
        let path = format!("tokens[{index}]");
        if fixed.token.is_empty() || !fixed.token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(PolicyError::new(format!("{path}.token"), "a token is visible ASCII without spaces"));
        }
        if !seen.insert(&fixed.token) {
            return Err(PolicyError::new(format!("{path}.token"), "this token is there twice"));
        }
        let principal = ["user:", "serviceAccount:", "principal://"];
        if !principal.iter().any(|kind| fixed.principal.starts_with(kind)) {
            return Err(PolicyError::new(
                format!("{path}.principal"),
                "a principal is user:…, serviceAccount:… or principal://…",
            ));
        }
        check_member(policy, &fixed.principal, &format!("{path}.principal"))?;
    }
    Ok(())
}

fn check_grants(policy: &Policy, grants: &[Grant], path: &str) -> Result<(), PolicyError> {
    for (index, grant) in grants.iter().enumerate() {
        let path = format!("{path}.grants[{index}]");
        if grant.members.is_empty() {
            return Err(PolicyError::new(format!("{path}.members"), "a grant needs members"));
        }
        for (index, member) in grant.members.iter().enumerate() {
            check_member(policy, member, &format!("{path}.members[{index}]"))?;
        }
        match &grant.role {
            Some(_) if !grant.permissions.is_empty() => {
                return Err(PolicyError::new(path, "a grant has a role or permissions, not both"));
            }
            Some(role) => {
                if !policy.roles.contains_key(role) && !ROLES.iter().any(|(known, _)| known == role) {
                    let known: Vec<_> = ROLES.iter().map(|(name, _)| *name).collect();
                    let problem =
                        format!("unknown role {role:?}; known are {} and those in roles", known.join(", "));
                    return Err(PolicyError::new(format!("{path}.role"), problem));
                }
            }
            None if grant.permissions.is_empty() => {
                return Err(PolicyError::new(path, "a grant needs a role or permissions"));
            }
            None => grant
                .permissions
                .iter()
                .try_for_each(|permission| check_permission(permission, &format!("{path}.permissions")))?,
        }
    }
    Ok(())
}

fn check_permission(permission: &str, path: &str) -> Result<(), PolicyError> {
    let formed = permission.split('.').count() >= 3 && permission.split('.').all(|part| !part.is_empty());
    let known = !permission.starts_with("iam.serviceAccounts.") || ACCOUNT_PERMISSIONS.contains(&permission);
    if formed && known {
        return Ok(());
    }
    let known = ACCOUNT_PERMISSIONS.join(", ");
    Err(PolicyError::new(
        path,
        format!("unknown permission {permission:?}; those on service accounts are {known}"),
    ))
}

fn check_member(policy: &Policy, member: &str, path: &str) -> Result<(), PolicyError> {
    let problem = match member.split_once(':') {
        _ if matches!(member, "allUsers" | "allAuthenticatedUsers") => return Ok(()),
        Some(("serviceAccount", email)) if policy.knows(email) => return Ok(()),
        Some(("serviceAccount", _)) => "this account is not among serviceAccounts",
        Some(("group", group)) if policy.groups.contains_key(group) => return Ok(()),
        Some(("group", _)) => "this group is not among groups",
        Some(("user", email)) if email.contains('@') && !email.contains([' ', ':', '/']) => return Ok(()),
        Some(("domain", domain)) if !domain.is_empty() && !domain.contains(['@', '/', ' ']) => return Ok(()),
        Some(("principal", rest)) if rest.starts_with("//") && rest.len() > 2 => return Ok(()),
        _ => {
            "a member is user:…, serviceAccount:…, group:…, domain:…, principal://…, allAuthenticatedUsers \
             or allUsers"
        }
    };
    Err(PolicyError::new(path, format!("{member:?}: {problem}")))
}

/// Groups may hold groups, but not themselves.
fn check_cycles<'p>(policy: &'p Policy, group: &str, above: &mut Vec<&'p str>) -> Result<(), PolicyError> {
    let members = policy.groups.get(group).map(Vec::as_slice).unwrap_or_default();
    for inner in members.iter().filter_map(|member| member.strip_prefix("group:")) {
        if let Some(start) = above.iter().position(|seen| *seen == inner) {
            let mut cycle: Vec<&str> = above[start..].to_vec();
            cycle.push(inner);
            let path = format!("groups[{:?}]", above[0]);
            return Err(PolicyError::new(path, format!("a cycle of groups: {}", cycle.join(" → "))));
        }
        above.push(inner);
        check_cycles(policy, inner, above)?;
        above.pop();
    }
    Ok(())
}

/// Durations as proto-JSON writes them: `"120s"`.
pub(crate) mod duration {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::emulator::protocol::proto_json;

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&proto_json::duration_text(*duration))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        let duration = proto_json::duration(&text).and_then(|duration| Duration::try_from(duration).ok());
        duration.ok_or_else(|| D::Error::custom("a duration is a number of seconds, such as \"120s\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(json: &str) -> PolicyError {
        read(json).expect_err(json)
    }

    #[test]
    fn an_error_names_the_place() {
        for (json, path) in [
            ("", ""),
            ("[]", ""),
            ("{} trailing", ""),
            (r#"{"serviceAccounts": {"sa@p.q": ["7"]}}"#, r#"serviceAccounts["sa@p.q"]"#),
            (r#"{"tokens": [["t", "user:a@b"]]}"#, "tokens[0]"),
            (r#"{"ambiguities": []}"#, "ambiguities"),
            (r#"{"projets": {}}"#, "projets"),
            (r#"{"serviceAccounts": {"sa": {}}}"#, r#"serviceAccounts["sa"]"#),
            (r#"{"serviceAccounts": {"sa@p.q": {"disabled": 1}}}"#, "serviceAccounts.sa@p.q.disabled"),
            (
                r#"{"serviceAccounts": {"sa@p.q": {"uniqueId": "x"}}}"#,
                r#"serviceAccounts["sa@p.q"].uniqueId"#,
            ),
            (
                r#"{"serviceAccounts": {"sa@p.q": {"grants": [{"members": ["allUsers"], "role": "roles/x"}]}}}"#,
                r#"serviceAccounts["sa@p.q"].grants[0].role"#,
            ),
            (
                r#"{"serviceAccounts": {"sa@p.q": {"grants": [{"members": ["me"], "role": "roles/owner"}]}}}"#,
                r#"serviceAccounts["sa@p.q"].grants[0].members[0]"#,
            ),
            (
                r#"{"projects": {"p": {"grants": [{"members": ["allUsers"], "permissions": ["iam.serviceAccounts.sing"]}]}}}"#,
                r#"projects["p"].grants[0].permissions"#,
            ),
            (r#"{"projects": {"p": {"grants": [{"members": ["allUsers"]}]}}}"#, r#"projects["p"].grants[0]"#),
            (r#"{"groups": {"a@b": ["group:c@d"]}}"#, r#"groups["a@b"][0]"#),
            (r#"{"roles": {"roles/owner": []}}"#, r#"roles["roles/owner"]"#),
            (r#"{"tokens": [{"token": "t t", "principal": "user:a@b"}]}"#, "tokens[0].token"),
            (r#"{"tokens": [{"token": "t", "principal": "allUsers"}]}"#, "tokens[0].principal"),
            (r#"{"metadataServer": {"serviceAccount": "a@b.c"}}"#, "metadataServer.serviceAccount"),
            (r#"{"ambiguities": {"middleHop": "neither"}}"#, "ambiguities.middleHop"),
        ] {
            let error = error(json);
            assert_eq!(error.path(), path, "{json}: {error}");
            assert!(error.to_string().contains(path), "{error}");
        }
    }

    #[test]
    fn a_cycle_of_groups_is_shown() {
        let error =
            error(r#"{"groups": {"a@x": ["group:b@x"], "b@x": ["group:c@x"], "c@x": ["group:b@x"]}}"#);
        assert!(error.to_string().contains("b@x → c@x → b@x"), "{error}");
    }

    #[test]
    fn a_policy_survives_the_way_to_json_and_back() {
        let policy = Policy::new()
            .token_with_scopes("t", "user:a@example.com", ["scope"])
            .user("a@example.com", "refresh")
            .group("g@example.com", ["user:a@example.com"])
            .role("projects/p/roles/signer", ["iam.serviceAccounts.signBlob"])
            .grant("group:g@example.com", "projects/p/roles/signer", "sa@p.iam.gserviceaccount.com")
            .grant_after(
                std::time::Duration::from_millis(1500),
                "domain:example.com",
                crate::emulator::TOKEN_CREATOR,
                "sa@p.iam.gserviceaccount.com",
            )
            .api_disabled("q")
            .middle_hop(crate::emulator::MiddleHop::Action);
        assert_eq!(read(&policy.to_json()), Ok(policy.clone()), "{}", policy.to_json());
        let shown = format!("{policy:?}");
        assert!(!shown.contains("refresh"), "{shown}");
    }
}
