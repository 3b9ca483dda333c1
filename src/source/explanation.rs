//! Where tokens come from, for people.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::SourceInfo;

/// Which credentials were chosen, why, and whom they end up acting as.
///
/// Made by [`Credentials::explain`](crate::Credentials::explain), from what is known without a
/// call. Shown, it is a few lines for a log or a terminal:
///
/// ```text
/// credentials: a user's credentials (authorized_user)
/// file: /home/me/.config/gcloud/application_default_credentials.json
/// because: gcloud keeps its login there, and GOOGLE_APPLICATION_CREDENTIALS is not set
/// principal: me@example.com
/// tokens from: https://oauth2.googleapis.com/token
/// acting as: deployer@project.iam.gserviceaccount.com
///   with scopes: https://www.googleapis.com/auth/cloud-platform
///   for: 3600 s at a time
///   by calls to: https://iamcredentials.googleapis.com
/// universe domain: googleapis.com
/// ```
///
/// No secret is ever in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    source: Cow<'static, str>,
    file: Option<PathBuf>,
    reason: Option<Cow<'static, str>>,
    principal: Option<String>,
    scopes: Vec<String>,
    endpoint: Option<String>,
    hops: Vec<Hop>,
    universe_domain: Option<String>,
    quota_project: Option<String>,
    emulator: Option<String>,
}

impl Explanation {
    /// An explanation of a [`TokenSource`](crate::TokenSource) of one's own: `source` says in a few
    /// words what it is. Principal, universe and quota project come from its
    /// [`info`](crate::TokenSource::info).
    pub fn new(source: impl Into<Cow<'static, str>>) -> Self {
        Self {
            source: source.into(),
            file: None,
            reason: None,
            principal: None,
            scopes: Vec::new(),
            endpoint: None,
            hops: Vec::new(),
            universe_domain: None,
            quota_project: None,
            emulator: None,
        }
    }

    /// What the first tokens come from: a key file, a user's credentials, the metadata server…
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The credential file, where there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Why this source or file and no other.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The principal that the chain starts from, if known.
    pub fn source_principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// Who the tokens speak for in the end, if known: the last target or its subject, else the
    /// [source's principal](Self::source_principal).
    pub fn principal(&self) -> Option<&str> {
        self.hops.last().map(Hop::principal).or(self.principal.as_deref())
    }

    /// The impersonations, in the order in which they are made.
    pub fn hops(&self) -> &[Hop] {
        &self.hops
    }

    /// The scopes of the tokens in the end, where they are chosen here.
    pub fn scopes(&self) -> &[String] {
        self.hops.last().map_or(&self.scopes, |hop| &hop.scopes)
    }

    /// Where the tokens come from in the end: the API of the last impersonation, else the source's
    /// token endpoint, if it has one that is known.
    pub fn endpoint(&self) -> Option<&str> {
        self.hops.last().map(Hop::endpoint).or(self.endpoint.as_deref())
    }

    /// The universe domain, if known.
    pub fn universe_domain(&self) -> Option<&str> {
        self.universe_domain.as_deref()
    }

    /// The project that calls with the tokens are counted against, if the credentials name one.
    pub fn quota_project(&self) -> Option<&str> {
        self.quota_project.as_deref()
    }

    /// The value of the variable `IAM_CREDENTIALS_EMULATOR_HOST`, where it is set: clients without
    /// an endpoint or a universe of their own then call that emulator.
    pub fn emulator(&self) -> Option<&str> {
        self.emulator.as_deref()
    }

    pub(crate) fn found(mut self, file: Option<PathBuf>, reason: impl Into<Cow<'static, str>>) -> Self {
        self.file = file;
        self.reason = Some(reason.into());
        self
    }

    pub(crate) fn with_scopes(mut self, scopes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.scopes = scopes.into_iter().map(|scope| scope.as_ref().to_owned()).collect();
        self
    }

    pub(crate) fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// The tokens so far are used to act as a target.
    pub(crate) fn then(mut self, hop: Hop) -> Self {
        self.hops.push(hop);
        self
    }

    /// Takes over what the source, or the whole credentials, say of themselves.
    pub(crate) fn with_info(mut self, info: &SourceInfo) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        if self.hops.is_empty() {
            self.principal = self.principal.or(owned(info.known_principal()));
        }
        self.universe_domain = owned(info.known_universe_domain()).or(self.universe_domain);
        self.quota_project = owned(info.known_quota_project());
        self
    }

    pub(crate) fn with_emulator(mut self, emulator: Option<String>) -> Self {
        self.emulator = emulator;
        self
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "credentials: {}", self.source)?;
        let mut line = |name: &str, value: Option<&str>| match value {
            Some(value) => write!(f, "\n{name}: {value}"),
            None => Ok(()),
        };
        line("file", self.file.as_deref().map(Path::to_string_lossy).as_deref())?;
        line("because", self.reason())?;
        line("principal", self.source_principal())?;
        line("scopes", list(&self.scopes).as_deref())?;
        line("tokens from", self.endpoint.as_deref())?;
        for hop in &self.hops {
            write!(f, "\n{hop}")?;
        }
        let mut line = |name: &str, value: Option<&str>| match value {
            Some(value) => write!(f, "\n{name}: {value}"),
            None => Ok(()),
        };
        line("universe domain", self.universe_domain())?;
        line("quota project", self.quota_project())?;
        match self.emulator() {
            Some(host) => write!(
                f,
                "\nemulator: IAM_CREDENTIALS_EMULATOR_HOST is {host}: clients without an endpoint or a universe of \
                 their own call that"
            ),
            None => Ok(()),
        }
    }
}

/// One impersonation, in an [`Explanation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    pub(crate) target: String,
    pub(crate) subject: Option<String>,
    pub(crate) delegates: Vec<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) audience: Option<String>,
    pub(crate) lifetime: Duration,
    pub(crate) endpoint: String,
}

impl Hop {
    /// The account that is acted as.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The user that the target acts as in turn, by domain-wide delegation.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The accounts in between, nearest to the source first.
    pub fn delegates(&self) -> &[String] {
        &self.delegates
    }

    /// The scopes of access tokens; ID tokens and self-signed JWTs have an
    /// [audience](Self::audience) instead.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// The audience of ID tokens and self-signed JWTs.
    pub fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    /// How long each token lives.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Where the calls go.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn principal(&self) -> &str {
        self.subject.as_ref().unwrap_or(&self.target)
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "acting as: {}", self.target)?;
        let mut line = |name: &str, value: Option<&str>| match value {
            Some(value) => write!(f, "\n  {name}: {value}"),
            None => Ok(()),
        };
        line("through", list(&self.delegates).as_deref())?;
        line("and so as", self.subject())?;
        line("with scopes", list(&self.scopes).as_deref())?;
        line("for the audience", self.audience())?;
        write!(f, "\n  for: {} s at a time\n  by calls to: {}", self.lifetime.as_secs(), self.endpoint)
    }
}

fn list(items: &[String]) -> Option<String> {
    (!items.is_empty()).then(|| items.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_known_is_shown_and_nothing_else() {
        let bare = Explanation::new("a closure").with_info(&SourceInfo::new());
        assert_eq!(bare.to_string(), "credentials: a closure");

        let info = SourceInfo::new().principal("me@example.com").universe_domain("googleapis.com");
        let hop = Hop {
            target: "b@p".into(),
            subject: None,
            delegates: vec!["a@p".into()],
            scopes: vec!["s".into()],
            audience: None,
            lifetime: Duration::from_secs(600),
            endpoint: "https://iam".into(),
        };
        let full = Explanation::new("a user")
            .found(Some("/adc.json".into()), "it is there")
            .with_endpoint("https://tokens")
            .with_info(&info)
            .then(hop)
            .with_info(&SourceInfo::new().principal("b@p").quota_project("billing"))
            .with_emulator(Some("127.0.0.1:1".into()));
        let text = full.to_string();
        let expected = "credentials: a user\nfile: /adc.json\nbecause: it is there\nprincipal: me@example.com\n\
                        tokens from: https://tokens\nacting as: b@p\n  through: a@p\n  with scopes: s\n  \
                        for: 600 s at a time\n  by calls to: https://iam\nuniverse domain: googleapis.com\n\
                        quota project: billing\nemulator: IAM_CREDENTIALS_EMULATOR_HOST is 127.0.0.1:1: ";
        assert!(text.starts_with(expected), "{text}");
        assert_eq!((full.principal(), full.source_principal()), (Some("b@p"), Some("me@example.com")));
        assert_eq!((full.endpoint(), full.scopes()), (Some("https://iam"), &["s".to_owned()][..]));
    }
}
