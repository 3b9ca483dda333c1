//! An access boundary: the rules that limit a downscoped token.

use std::fmt;

use serde_json::{Value, json};

use super::AccessRule;
use crate::Error;

/// The rules that limit a downscoped token. It can do what one of the rules allows, if its source can do
/// that too.
///
/// ```
/// use gcp_iam_credentials::downscope::{AccessBoundary, AccessRule};
///
/// let boundary = AccessBoundary::new()
///     .rule(AccessRule::bucket("inbox").role("roles/storage.objectCreator"))
///     .rule(AccessRule::bucket("outbox").role("roles/storage.objectViewer").folder("me"));
/// # let _ = boundary;
/// ```
#[must_use = "a boundary has an effect only on downscoped credentials"]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessBoundary {
    rules: Vec<AccessRule>,
}

impl AccessBoundary {
    /// The most rules of a boundary: 10.
    pub const MAX_RULES: usize = 10;

    /// The longest boundary, in characters of the JSON that is sent: 2048.
    pub const MAX_LENGTH: usize = 2048;

    /// Creates a boundary without rules. It needs at least one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule. There are at most [`MAX_RULES`](Self::MAX_RULES).
    pub fn rule(mut self, rule: AccessRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Returns the options of an exchange with this boundary, as JSON.
    pub(super) fn to_json(&self) -> Result<String, Error> {
        if !(1..=Self::MAX_RULES).contains(&self.rules.len()) {
            let (most, got) = (Self::MAX_RULES, self.rules.len());
            return Err(Error::invalid("rules", format!("must be 1 to {most}, got {got}")));
        }
        let rule = |(index, rule): (usize, &AccessRule)| {
            rule.to_json().map_err(|error| error.in_object(&format!("rules[{index}].")))
        };
        let rules = self.rules.iter().enumerate().map(rule).collect::<Result<Vec<Value>, Error>>()?;
        let boundary = json!({ "accessBoundaryRules": rules });
        let length = boundary.to_string().chars().count();
        if length > Self::MAX_LENGTH {
            let expectation =
                format!("must have at most {} characters as JSON, got {length}", Self::MAX_LENGTH);
            return Err(Error::invalid("boundary", expectation));
        }
        Ok(json!({ "accessBoundary": boundary }).to_string())
    }
}

/// Shows the rules for people.
impl fmt::Display for AccessBoundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rule) in self.rules.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{rule}")?;
        }
        Ok(())
    }
}
