//! The name of a provider in an identity pool, and the commands about it.

use crate::shell;

/// A provider, which knows federated identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProviderName {
    /// `None` in a workforce pool, which belongs to an organization.
    project: Option<Box<str>>,
    location: Box<str>,
    pool: Box<str>,
    provider: Box<str>,
}

impl ProviderName {
    /// Reads an audience: `//iam.googleapis.com/projects/12/locations/global/workloadIdentityPools/…`.
    pub(crate) fn of_audience(audience: &str) -> Option<Self> {
        let (_host, name) = audience.strip_prefix("//")?.split_once('/')?;
        Self::parse(name)
    }

    /// Reads a resource name, without a host.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let parts: Vec<&str> = name.split('/').collect();
        let (project, rest) = match &parts[..] {
            ["projects", project, rest @ ..] => (Some(*project), rest),
            rest => (None, rest),
        };
        match (project, rest) {
            (Some(_), ["locations", location, "workloadIdentityPools", pool, "providers", provider])
            | (None, ["locations", location, "workforcePools", pool, "providers", provider]) => Some(Self {
                project: project.map(Into::into),
                location: (*location).into(),
                pool: (*pool).into(),
                provider: (*provider).into(),
            }),
            _ => None,
        }
    }

    /// Whether both are the same provider. Projects have a number and an id, so they aren't compared.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let parts = |name: &Self| (name.location.clone(), name.pool.clone(), name.provider.clone());
        parts(self) == parts(other) && self.project.is_some() == other.project.is_some()
    }

    fn pool_name(&self) -> String {
        let Self { location, pool, .. } = self;
        match &self.project {
            Some(project) => format!("projects/{project}/locations/{location}/workloadIdentityPools/{pool}"),
            None => format!("locations/{location}/workforcePools/{pool}"),
        }
    }

    /// Returns the identity of the pool with this subject, as policies name it.
    pub(crate) fn principal(&self, subject: &str) -> String {
        format!("principal://iam.googleapis.com/{}/subject/{subject}", self.pool_name())
    }

    /// Returns the audience that tokens have by default, as an URL.
    pub(super) fn default_audience(&self) -> String {
        format!("https://iam.googleapis.com/{}/providers/{}", self.pool_name(), self.provider)
    }

    /// Returns whether this is an audience that a provider accepts if it names none.
    pub(super) fn is_default_audience(&self, audience: &str) -> bool {
        let default = self.default_audience();
        audience == default || default.strip_prefix("https:").is_some_and(|rest| audience == rest)
    }

    /// Returns the command that does `verb` with the provider.
    ///
    /// It has the full name: audiences have the project's number, which gcloud refuses as `--project`.
    pub(super) fn command(&self, verb: &str, flags: &[String]) -> String {
        let pools = if self.project.is_some() { "workload-identity-pools" } else { "workforce-pools" };
        let name = format!("{}/providers/{}", self.pool_name(), self.provider);
        let words = ["gcloud", "iam", pools, "providers", verb, &name].into_iter();
        shell::command(words.chain(flags.iter().map(String::as_str)))
    }
}
