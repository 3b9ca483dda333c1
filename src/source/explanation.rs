//! Where tokens come from, as text for people.

use std::fmt;
use std::path::Path;

use super::SourceInfo;
use super::lines::{joined, line};
use crate::printable::Printable;

/// Follows a principal that may be another one.
const LIKELY: &str = " (likely: the identity provider's mapping decides)";

/// A text that says which credentials are used, why, and whom they impersonate.
///
/// [`Credentials::explain`](crate::Credentials::explain) returns it. It contains what the source
/// reports in its [`SourceInfo`], one fact per line, for a log or a terminal. It contains no secret.
///
/// ```text
/// credentials: user credentials from a gcloud login (authorized_user)
/// file: /home/me/.config/gcloud/application_default_credentials.json
/// reason: it is gcloud's own file, and GOOGLE_APPLICATION_CREDENTIALS is not set
/// principal: me@example.com
/// endpoint: https://oauth2.googleapis.com/token
/// impersonates: deployer@project.iam.gserviceaccount.com
///   scopes: https://www.googleapis.com/auth/cloud-platform
///   lifetime: 3600 s
///   endpoint: https://iamcredentials.googleapis.com
/// universe domain: googleapis.com
/// ```
///
/// A source of your own is explained in the same way:
///
/// ```
/// use gcp_iam_credentials::source::{Explanation, SourceInfo};
///
/// let info = SourceInfo::new()
///     .with_description("a token from Vault")
///     .with_principal("vault@project.iam.gserviceaccount.com");
/// assert_eq!(
///     Explanation::new(info).to_string(),
///     "credentials: a token from Vault\n\
///      principal: vault@project.iam.gserviceaccount.com"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    info: SourceInfo,
    emulator: Option<String>,
}

impl Explanation {
    /// Creates the text for what a source reports.
    pub fn new(info: SourceInfo) -> Self {
        Self { info, emulator: None }
    }

    pub(crate) fn with_emulator(mut self, host: Option<String>) -> Self {
        self.emulator = host;
        self
    }

    /// Replaces what the source reports. A program adds what only it knows: why it uses this source.
    ///
    /// ```
    /// use gcp_iam_credentials::{Credentials, Token};
    ///
    /// let explanation = Credentials::fixed(Token::new("secret", None)?).explain();
    /// let info = explanation.info().clone().with_reason("the variable MY_TOKEN is set");
    /// let text = explanation.with_info(info).to_string();
    /// assert!(text.contains("reason: the variable MY_TOKEN is set"));
    /// # Ok::<(), gcp_iam_credentials::Error>(())
    /// ```
    pub fn with_info(self, info: SourceInfo) -> Self {
        Self { info, ..self }
    }

    /// Returns what the source reports.
    pub fn info(&self) -> &SourceInfo {
        &self.info
    }

    /// Returns the value of the variable `IAM_CREDENTIALS_EMULATOR_HOST`, if it is set. Clients
    /// that have neither an endpoint nor a universe domain then call that emulator.
    pub fn emulator(&self) -> Option<&str> {
        self.emulator.as_deref()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = &self.info;
        write!(f, "credentials: {}", Printable(info.description().unwrap_or("a custom token source")))?;
        line(f, "file", info.file().map(Path::display))?;
        line(f, "reason", info.reason())?;
        let likely = if info.is_source_principal_likely() { LIKELY } else { "" };
        line(f, "principal", info.source_principal().map(|principal| format!("{principal}{likely}")))?;
        line(f, "audience", info.audience())?;
        line(f, "identity change", info.identity_change())?;
        line(f, "scopes", joined(info.source_scopes()))?;
        line(f, "endpoint", info.source_endpoint())?;
        for hop in info.hops() {
            write!(f, "\n{hop}")?;
        }
        line(f, "access boundary", info.access_boundary())?;
        line(f, "regional access boundary", info.regional_access_boundary())?;
        line(f, "universe domain", info.universe_domain())?;
        line(f, "quota project", info.quota_project())?;
        let emulator = self.emulator().map(|host| {
            format!(
                "{host} (IAM_CREDENTIALS_EMULATOR_HOST, for clients without an endpoint and a universe domain)"
            )
        });
        line(f, "emulator", emulator)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Hop;
    use super::*;

    #[test]
    fn a_source_that_reports_nothing_is_a_custom_one() {
        let bare = Explanation::new(SourceInfo::new());
        assert_eq!(bare.to_string(), "credentials: a custom token source");
    }

    #[test]
    fn every_reported_fact_is_shown() {
        let hop = Hop::new("b@p")
            .with_delegates(["a@p"])
            .with_scopes(["s"])
            .with_lifetime(Duration::from_secs(600))
            .with_endpoint("https://iam");
        let info = SourceInfo::new()
            .with_description("a user")
            .with_file("/adc.json")
            .with_reason("it exists")
            .with_principal("me@example.com")
            .with_audience("//provider")
            .with_identity_change("principal: me, before: you")
            .with_endpoint("https://tokens")
            .with_hop(hop)
            .with_universe_domain("googleapis.com")
            .with_quota_project("billing");
        let text = Explanation::new(info).with_emulator(Some("127.0.0.1:1".into())).to_string();
        let expected = "credentials: a user\nfile: /adc.json\nreason: it exists\nprincipal: me@example.com\n\
                        audience: //provider\nidentity change: principal: me, before: you\n\
                        endpoint: https://tokens\nimpersonates: b@p\n  delegates: a@p\n  scopes: s\n  \
                        lifetime: 600 s\n  endpoint: https://iam\nuniverse domain: googleapis.com\n\
                        quota project: billing\nemulator: 127.0.0.1:1 (IAM_CREDENTIALS_EMULATOR_HOST";
        assert!(text.starts_with(expected), "{text}");
    }

    /// conf: A13
    #[test]
    fn a_file_cannot_add_a_line_or_control_the_terminal() {
        let hostile = "x\nprincipal: root\u{1b}[2J";
        let info = SourceInfo::new()
            .with_description(hostile)
            .with_file(hostile)
            .with_principal(hostile)
            .with_scopes([hostile])
            .with_hop(Hop::new(hostile).with_delegates([hostile]).with_subject(hostile));
        let text = Explanation::new(info).with_emulator(Some(hostile.into())).to_string();
        assert_eq!(text.lines().count(), 8, "{text}");
        assert!(!text.replace('\n', "").contains(char::is_control), "{text:?}");
    }
}
