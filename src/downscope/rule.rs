//! One rule of an access boundary.

use std::fmt;

use serde_json::{Value, json};

use super::cel::Objects;
use crate::Error;

/// What is in front of a role in Google's API.
const IN_ROLE: &str = "inRole:";

/// A resource, and which of the source's permissions a downscoped token keeps on it.
///
/// ```
/// use gcp_iam_credentials::downscope::AccessRule;
///
/// let reports = AccessRule::bucket("reports")
///     .role("roles/storage.objectViewer")
///     .folder("2026/q3") // Everything under 2026/q3/, also lists of it.
///     .object("index.html"); // And this object.
/// assert_eq!(
///     AccessRule::bucket("reports").role("roles/storage.objectViewer").to_string(),
///     "roles/storage.objectViewer on //storage.googleapis.com/projects/_/buckets/reports",
/// );
/// # let _ = reports;
/// ```
#[must_use = "a rule has an effect only in an access boundary"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    resource: Resource,
    roles: Vec<String>,
    objects: Vec<Objects>,
    expression: Option<String>,
    title: Option<String>,
    description: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Resource {
    Bucket(String),
    /// A full resource name.
    Named(String),
}

impl AccessRule {
    /// Creates a rule for a bucket in Cloud Storage, and for everything in it unless
    /// [`folder`](Self::folder), [`object`](Self::object),
    /// [`objects_starting_with`](Self::objects_starting_with) or [`condition`](Self::condition) limits
    /// it.
    pub fn bucket(name: impl Into<String>) -> Self {
        Self::on(Resource::Bucket(name.into()))
    }

    /// Creates a rule for a resource by its full name, for example
    /// `//storage.googleapis.com/projects/_/buckets/BUCKET`.
    pub fn resource(full_name: impl Into<String>) -> Self {
        Self::on(Resource::Named(full_name.into()))
    }

    fn on(resource: Resource) -> Self {
        let (roles, objects) = Default::default();
        Self { resource, roles, objects, expression: None, title: None, description: None }
    }

    /// Adds a role whose permissions the token keeps, if its source has them. A rule has at least one.
    ///
    /// It is predefined (`roles/storage.objectViewer`), or custom
    /// (`projects/PROJECT/roles/ROLE`, `organizations/NUMBER/roles/ROLE`).
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.roles.push(role.into());
        self
    }

    /// Limits the rule to the objects in a folder of the bucket, and to lists of them. Several calls
    /// allow several folders.
    ///
    /// The name ends at a slash, which is added if it is missing: `customer-1` doesn't allow
    /// `customer-10/invoice.pdf`.
    pub fn folder(self, folder: impl Into<String>) -> Self {
        self.allow(Objects::Folder(folder.into()))
    }

    /// Limits the rule to one object of the bucket. Several calls allow several objects.
    pub fn object(self, name: impl Into<String>) -> Self {
        self.allow(Objects::Named(name.into()))
    }

    /// Limits the rule to the objects whose names start with `prefix`, wherever it ends, and to lists
    /// of them. Several calls allow several prefixes.
    ///
    /// `customer-1` also allows `customer-10/invoice.pdf`. Use [`folder`](Self::folder) unless you
    /// need that.
    pub fn objects_starting_with(self, prefix: impl Into<String>) -> Self {
        self.allow(Objects::StartingWith(prefix.into()))
    }

    fn allow(mut self, objects: Objects) -> Self {
        self.objects.push(objects);
        self
    }

    /// Sets your own condition, in the [Common Expression Language](https://cel.dev). It can't be
    /// combined with [`folder`](Self::folder) and similar limits, which write the condition.
    pub fn condition(mut self, expression: impl Into<String>) -> Self {
        self.expression = Some(expression.into());
        self
    }

    /// Sets the title of the condition. Default: none.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Sets the description of the condition. Default: none.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Returns the rule in the form of Google's API. Errors name the option.
    pub(super) fn to_json(&self) -> Result<Value, Error> {
        self.check_resource()?;
        self.check_roles()?;
        self.check_condition()?;
        let permissions: Vec<String> = self.roles.iter().map(|role| format!("{IN_ROLE}{role}")).collect();
        let mut rule = json!({
            "availableResource": self.resource.to_string(),
            "availablePermissions": permissions,
        });
        if let Some(expression) = self.whole_condition() {
            let mut condition = json!({ "expression": expression });
            let texts = [("title", &self.title), ("description", &self.description)];
            for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?))) {
                condition[name] = text.as_str().into();
            }
            rule["availabilityCondition"] = condition;
        }
        Ok(rule)
    }

    /// Returns the condition that the options make, if there is one.
    fn whole_condition(&self) -> Option<String> {
        match &self.resource {
            Resource::Bucket(bucket) if !self.objects.is_empty() => {
                let conditions = self.objects.iter().map(|objects| objects.condition(bucket));
                Some(conditions.collect::<Vec<_>>().join(" || "))
            }
            _ => self.expression.clone(),
        }
    }

    fn check_resource(&self) -> Result<(), Error> {
        match &self.resource {
            Resource::Bucket(name) if !is_bucket(name) => {
                Err(Error::invalid("bucket", "must be a bucket's name"))
            }
            Resource::Named(name) if !is_full_name(name) => {
                let expectation =
                    "must be a full resource name such as //storage.googleapis.com/projects/_/buckets/BUCKET";
                Err(Error::invalid("resource", expectation))
            }
            _ => Ok(()),
        }
    }

    fn check_roles(&self) -> Result<(), Error> {
        if self.roles.is_empty() {
            return Err(Error::invalid("roles", "must not be empty"));
        }
        let wrong = self.roles.iter().enumerate().find(|(_, role)| !is_role(role));
        wrong.map_or(Ok(()), |(index, role)| {
            let error = Error::invalid("roles", "must be a role such as roles/storage.objectViewer");
            let error = match role.starts_with(IN_ROLE) {
                true => error.fix_by("leave out `inRole:`"),
                false => error,
            };
            Err(error.at_index(index))
        })
    }

    fn check_condition(&self) -> Result<(), Error> {
        for objects in &self.objects {
            let option = objects.option();
            if let Some(problem) = objects.problem() {
                return Err(Error::invalid(option, problem));
            }
            if matches!(self.resource, Resource::Named(_)) {
                return Err(Error::invalid(option, "can be used only with `AccessRule::bucket`"));
            }
        }
        let is_combined = self.expression.is_some() && !self.objects.is_empty();
        if is_combined || self.expression.as_ref().is_some_and(|text| text.trim().is_empty()) {
            let expectation = "must be an expression, and can't be combined with folders and objects";
            return Err(Error::invalid("condition", expectation));
        }
        let has_condition = self.expression.is_some() || !self.objects.is_empty();
        for (option, text) in [("title", &self.title), ("description", &self.description)] {
            if text.as_ref().is_some_and(|text| text.is_empty() || !has_condition) {
                return Err(Error::invalid(option, "must not be empty, and needs a condition"));
            }
        }
        Ok(())
    }
}

/// Shows the rule for people.
impl fmt::Display for AccessRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.roles.join(", "), self.resource)?;
        match self.whole_condition() {
            Some(condition) => write!(f, " if {condition}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket(name) => write!(f, "//storage.googleapis.com/projects/_/buckets/{name}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// Whether this has the form of a bucket's name. No character of it has a meaning in a URL or in CEL.
fn is_bucket(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let is_alphanumeric = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    (3..=222).contains(&name.len())
        && name.bytes().all(is_legal)
        && is_alphanumeric(name.bytes().next())
        && is_alphanumeric(name.bytes().last())
}

fn is_full_name(name: &str) -> bool {
    let parts = name.strip_prefix("//").and_then(|rest| rest.split_once('/'));
    parts.is_some_and(|(service, path)| !service.is_empty() && !path.is_empty())
        && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether this has the form of a role's name, predefined or custom.
fn is_role(role: &str) -> bool {
    let parts: Vec<&str> = role.split('/').collect();
    let is_known = matches!(parts[..], ["roles", _] | ["projects" | "organizations", _, "roles", _]);
    is_known && parts.iter().all(|part| !part.is_empty()) && role.bytes().all(is_role_byte)
}

fn is_role_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-:".contains(&byte)
}
