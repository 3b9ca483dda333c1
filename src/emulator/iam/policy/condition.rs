//! Conditions of grants.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::PolicyError;
use super::resource::{Moment, Resource};
use crate::emulator::clock::unix;
use crate::emulator::iam::federation::cel::{Expression, Variables};

/// The condition under which a grant gives its role.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Condition {
    /// An expression in CEL, over `request.time`, `resource.name`, `resource.type` and `resource.service`.
    pub(crate) expression: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) location: String,
}

impl Condition {
    /// Checks that the expression can be read.
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        match Expression::parse(&self.expression) {
            Ok(_) => Ok(()),
            Err(problem) => Err(PolicyError::new(
                format!("{path}.expression"),
                format!("{problem}; an example is \"request.time < timestamp('2030-01-01T00:00:00Z')\""),
            )),
        }
    }

    /// Returns whether the condition is true. If its expression has no value, it isn't.
    pub(super) fn holds(&self, resource: Resource<'_>, moment: Moment) -> bool {
        let [service, kind, name] = resource.attributes();
        let time = prost_types::Timestamp { seconds: unix(moment.time), nanos: 0 }.to_string();
        let variables = Variables::from([
            ("request", json!({ "time": time })),
            ("resource", json!({"service": service, "type": kind, "name": name})),
        ]);
        let value = Expression::parse(&self.expression).and_then(|it| it.evaluate(&variables));
        value == Ok(Value::Bool(true))
    }
}
