//! Access boundaries: to which resources and permissions a token is limited.

use serde::{Deserialize, Serialize};

use crate::emulator::error::OauthError;

/// The most rules of a boundary.
const MOST_RULES: usize = 10;

/// An access boundary, in the form of Google's API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct AccessBoundary {
    access_boundary_rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Rule {
    /// `//storage.googleapis.com/projects/_/buckets/BUCKET`
    available_resource: String,
    /// `inRole:roles/storage.objectViewer`
    available_permissions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    availability_condition: Option<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Condition {
    expression: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl AccessBoundary {
    /// Checks the form of a boundary.
    pub(crate) fn check(&self) -> Result<(), OauthError> {
        let rules = &self.access_boundary_rules;
        let invalid = |problem: String| OauthError::new("invalid_request", problem);
        if rules.is_empty() || rules.len() > MOST_RULES {
            return Err(invalid(format!("An access boundary must have 1 to {MOST_RULES} rules.")));
        }
        for (index, rule) in rules.iter().enumerate() {
            if !rule.available_resource.starts_with("//") {
                let problem =
                    "must be a full resource name: //storage.googleapis.com/projects/_/buckets/BUCKET";
                return Err(invalid(format!("accessBoundaryRules[{index}].availableResource {problem}.")));
            }
            let is_role = |permission: &String| {
                permission.strip_prefix("inRole:").is_some_and(|it| it.contains("roles/"))
            };
            if rule.available_permissions.is_empty() || !rule.available_permissions.iter().all(is_role) {
                let problem = "must be roles, such as inRole:roles/storage.objectViewer";
                return Err(invalid(format!("accessBoundaryRules[{index}].availablePermissions {problem}.")));
            }
            if rule.availability_condition.as_ref().is_some_and(|it| it.expression.trim().is_empty()) {
                let problem = "accessBoundaryRules[{index}].availabilityCondition must have an expression.";
                return Err(invalid(problem.replace("{index}", &index.to_string())));
            }
        }
        Ok(())
    }

    /// Returns the boundary as JSON.
    pub(crate) fn to_json(&self) -> String {
        // It consists of texts and lists, so this can't fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}
