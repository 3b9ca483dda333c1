//! An identity provider that may be misconfigured, and the commands that change it.

use gcp_iam_credentials::Credentials;
use gcp_iam_credentials::emulator::{
    Emulator, ExternalAccount, ExternalAccountFile, IdentityProvider, Policy, SubjectTokenSource,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::support::federation::DEPLOYER;

const NAME: &str = "projects/12/locations/global/workloadIdentityPools/ci/providers/p";
const SUBJECT: &str = "system:serviceaccount:shop:web";

/// The provider `p`, and the grants on [`DEPLOYER`].
#[derive(Clone)]
pub(super) struct Provider {
    issuer: String,
    pub(super) allowed_audiences: Vec<String>,
    mapping: Vec<(String, String)>,
    pub(super) condition: String,
    pub(super) is_disabled: bool,
    /// Member and role.
    pub(super) grants: Vec<(String, String)>,
    /// Those of the external account `pod`.
    claims: Map<String, Value>,
}

impl Provider {
    fn new() -> Self {
        let pool = NAME.split_once("/providers").unwrap().0;
        let member = format!("principal://iam.googleapis.com/{pool}/subject/{SUBJECT}");
        let mut provider = Self {
            issuer: "https://issuer.example".to_owned(),
            allowed_audiences: Vec::new(),
            mapping: vec![("google.subject".to_owned(), "assertion.sub".to_owned())],
            condition: "true".to_owned(),
            is_disabled: false,
            grants: vec![(member, "roles/iam.workloadIdentityUser".to_owned())],
            claims: Map::new(),
        };
        provider.claim("sub", SUBJECT);
        provider.claim("short", "web");
        provider
    }

    /// Sets a claim of the subject tokens.
    pub(super) fn claim(&mut self, name: &str, value: impl Serialize) {
        self.claims.insert(name.to_owned(), serde_json::to_value(value).unwrap());
    }

    fn policy(&self) -> Policy {
        let mut provider = IdentityProvider::oidc(&self.issuer).condition(&self.condition);
        for audience in &self.allowed_audiences {
            provider = provider.allowed_audience(audience);
        }
        for (attribute, expression) in &self.mapping {
            provider = provider.map(attribute, expression);
        }
        if self.is_disabled {
            provider = provider.disabled();
        }
        let claims = self.claims.iter();
        let pod = claims.fold(ExternalAccount::new(NAME), |pod, (name, value)| pod.claim(name, value));
        let policy =
            Policy::new().identity_provider(NAME, provider).external_account("pod", pod).account(DEPLOYER);
        let grants = self.grants.iter();
        grants.fold(policy, |policy, (member, role)| policy.grant(member.as_str(), role.as_str(), DEPLOYER))
    }

    /// Returns what gcloud prints about the provider.
    pub(super) fn describe(&self) -> Value {
        let mapping: Map<String, Value> =
            self.mapping.iter().map(|(name, mapped)| (name.clone(), mapped.as_str().into())).collect();
        json!({
            "name": NAME,
            "state": "ACTIVE",
            "disabled": self.is_disabled,
            "attributeMapping": mapping,
            "attributeCondition": self.condition,
            "oidc": {"issuerUri": self.issuer, "allowedAudiences": self.allowed_audiences},
        })
    }

    /// Does what a printed command does.
    fn run(&mut self, command: &str) {
        let words = shlex::split(command).unwrap();
        match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["gcloud", "iam", "workload-identity-pools", "providers", "update-oidc", NAME, flags @ ..] => {
                flags.iter().for_each(|flag| self.update(flag));
            }
            ["gcloud", "iam", "service-accounts", "add-iam-policy-binding", DEPLOYER, member, role] => {
                let value = |flag: &str, name: &str| flag.strip_prefix(name).unwrap().to_owned();
                self.grants.push((value(member, "--member="), value(role, "--role=")));
            }
            _ => panic!("not a command that the test knows: {command}"),
        }
    }

    fn update(&mut self, flag: &str) {
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        match flag.split_once('=') {
            None if flag == "--no-disabled" => self.is_disabled = false,
            Some(("--allowed-audiences", audiences)) => self.allowed_audiences = list(audiences),
            Some(("--issuer-uri", issuer)) => self.issuer = issuer.to_owned(),
            Some(("--attribute-condition", condition)) => self.condition = condition.to_owned(),
            Some(("--attribute-mapping", mapping)) => {
                // The person who runs it chooses the claim.
                let pairs = list(&mapping.replace("CLAIM", "short"));
                let pair = |pair: &String| {
                    let (name, mapped) = pair.split_once('=').unwrap();
                    (name.to_owned(), mapped.to_owned())
                };
                self.mapping = pairs.iter().map(pair).collect();
            }
            _ => panic!("unknown flag {flag}"),
        }
    }
}

pub(super) struct World {
    pub(super) emulator: Emulator,
    pub(super) provider: Provider,
}

impl World {
    /// Starts an emulator whose provider has this change.
    pub(super) async fn start(change: fn(&mut Provider)) -> Self {
        let mut provider = Provider::new();
        change(&mut provider);
        let emulator = Emulator::builder().policy(provider.policy()).start().await.unwrap();
        Self { emulator, provider }
    }

    /// Returns the credential file of `pod`.
    pub(super) fn file(&self) -> String {
        self.file_with(ExternalAccountFile::new())
    }

    /// Returns the credential file of `pod`, which impersonates an account.
    pub(super) fn file_that_impersonates(&self, account: &str) -> String {
        self.file_with(ExternalAccountFile::new().impersonate(account))
    }

    fn file_with(&self, options: ExternalAccountFile) -> String {
        let options = options.source(SubjectTokenSource::GithubActions);
        self.emulator.external_account_json("pod", &options).unwrap()
    }

    /// Returns the credentials of `pod`. `is_described` is whether the program has the provider's
    /// description.
    pub(super) fn credentials(&self, is_described: bool) -> Credentials {
        let builder = Credentials::builder();
        let builder = match is_described {
            true => builder.provider_description(self.provider.describe().to_string()),
            false => builder,
        };
        builder.json(&self.file()).unwrap()
    }

    /// Does what a printed command does.
    pub(super) fn run(&mut self, command: &str) {
        self.provider.run(command);
        self.emulator.policy().set(self.provider.policy()).unwrap();
    }
}
