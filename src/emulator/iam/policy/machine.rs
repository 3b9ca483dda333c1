//! The machine that the metadata server belongs to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::PolicyError;
use crate::document;

/// Whose tokens the metadata server returns, and what it says about the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct MetadataServer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) service_account: Option<String>,
    #[serde(deserialize_with = "document::object", default, skip_serializing_if = "Machine::is_default")]
    pub(super) instance: Machine,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) project_attributes: BTreeMap<String, String>,
}

/// What the metadata server says about the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Machine {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<u64>,
    /// `us-central1-a`, for example.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zone: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attributes: BTreeMap<String, String>,
    /// The ids of the licenses of its image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) licenses: Vec<String>,
}

impl Machine {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl MetadataServer {
    /// Checks what the metadata server says. Names and zones become parts of paths.
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        let Machine { name, zone, attributes, licenses, .. } = &self.instance;
        let refused = |field: &str, expected: &str, got: &str| {
            let problem = format!("expected {expected}, got {got:?}");
            Err(PolicyError::new(format!("metadataServer.{field}"), problem))
        };
        if let Some(name) = name.as_deref().filter(|name| !is_name(name, &['-'])) {
            return refused("instance.name", "letters, digits and hyphens, such as \"web-1\"", name);
        }
        if let Some(zone) = zone.as_deref().filter(|zone| !is_name(zone, &['-'])) {
            return refused("instance.zone", "a zone, such as \"us-central1-a\"", zone);
        }
        for (field, attributes) in
            [("instance.attributes", attributes), ("projectAttributes", &self.project_attributes)]
        {
            if let Some(name) = attributes.keys().find(|name| !is_name(name, &['-', '_'])) {
                return refused(field, "names of letters, digits, hyphens and underscores", name);
            }
        }
        if let Some(id) = licenses.iter().find(|id| !is_name(id, &[])) {
            return refused("instance.licenses", "ids, such as \"1000204\"", id);
        }
        Ok(())
    }
}

/// Whether a text has 1 to 128 letters, digits, and characters of `more`.
fn is_name(text: &str, more: &[char]) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || more.contains(&c);
    (1..=128).contains(&text.len()) && text.chars().all(legal)
}
