//! A chain of accounts in the emulator, whose grants can be broken, and fixed by commands.

use std::fmt;

use gcp_iam_credentials::diagnosis::Operation;
use gcp_iam_credentials::emulator::{Emulator, MiddleHop, Policy, Role};
use gcp_iam_credentials::scopes::USERINFO_EMAIL;
use gcp_iam_credentials::source::SourceInfo;
use gcp_iam_credentials::{Error, IamCredentialsClient, Impersonation};

use super::Left;
use super::gcloud::{self, Gcloud};
use crate::support::accounts::member;
use crate::support::token_source::ScriptedSource;

pub(super) const OPERATIONS: [Operation; 4] =
    [Operation::AccessToken, Operation::IdToken, Operation::SignBlob, Operation::SignJwt];

/// The permissions of Token Creator that calls need.
pub(super) const PERMISSIONS: [&str; 5] = [
    "iam.serviceAccounts.getAccessToken",
    "iam.serviceAccounts.getOpenIdToken",
    "iam.serviceAccounts.implicitDelegation",
    "iam.serviceAccounts.signBlob",
    "iam.serviceAccounts.signJwt",
];

const ALICE: &str = "user:alice@example.com";
const PROJECT: &str = "p";
const OWNER: &str = "user:owner@example.com";
const CUSTOM_ROLE: &str = "projects/p/roles/custom";

/// The target, and the delegates before it.
const TARGET: &str = "t@p.iam.gserviceaccount.com";
const DELEGATES: [&str; 3] =
    ["a@p.iam.gserviceaccount.com", "b@p.iam.gserviceaccount.com", "c@p.iam.gserviceaccount.com"];

/// An emulator with the accounts, and Alice's client.
pub(super) struct World {
    emulator: Emulator,
    client: IamCredentialsClient,
    naming: MiddleHop,
}

impl World {
    pub(super) async fn start(naming: MiddleHop) -> Self {
        let emulator = Emulator::builder().policy(Policy::new()).start().await.unwrap();
        let info = SourceInfo::new().with_principal("alice@example.com");
        let alice = ScriptedSource::tokens(["alice"]).with_info(info).credentials();
        let client = IamCredentialsClient::builder().credentials(alice).endpoint(emulator.endpoint());
        Self { client: client.build().unwrap(), emulator, naming }
    }

    /// Returns the owner of the project, with gcloud.
    fn administrator(&self) -> Gcloud<'_> {
        Gcloud::new(&self.emulator, PROJECT)
    }

    /// Returns a chain with this number of hops.
    pub(super) fn chain(&self, hops: usize) -> Chain<'_> {
        Chain { world: self, delegates: &DELEGATES[..hops - 1] }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Chain<'a> {
    world: &'a World,
    delegates: &'static [&'static str],
}

impl<'a> Chain<'a> {
    pub(super) fn len(&self) -> usize {
        self.delegates.len() + 1
    }

    pub(super) fn account(&self, hop: usize) -> &'static str {
        self.delegates.get(hop).unwrap_or(&TARGET)
    }

    /// Returns who needs a grant on which account, hop by hop.
    pub(super) fn grants(&self) -> impl Iterator<Item = (String, &'static str)> {
        let accounts = self.delegates.iter().copied().chain([TARGET]);
        let members = std::iter::once(ALICE.to_owned()).chain(self.delegates.iter().map(|d| member(d)));
        members.zip(accounts)
    }

    /// Puts a policy into force that grants Token Creator on all hops except one.
    pub(super) fn break_grant(&self, broken: usize, left: &Left) {
        let mut policy = Policy::new().token("alice", ALICE).middle_hop(self.world.naming);
        policy = policy.token(gcloud::TOKEN, OWNER).grant_on_project(OWNER, Role::OWNER, PROJECT);
        if let Left::Custom(permissions) = left {
            policy = policy.role(CUSTOM_ROLE, permissions.iter().copied());
        }
        for (hop, (member, account)) in self.grants().enumerate() {
            policy = policy.account(account);
            policy = match left {
                _ if hop != broken => policy.grant(member, Role::TOKEN_CREATOR, account),
                Left::Nothing => policy,
                Left::Predefined(role) => policy.grant(member, role, account),
                Left::Custom(_) => policy.grant(member, CUSTOM_ROLE, account),
            };
        }
        self.world.emulator.policy().set(policy).unwrap();
    }

    pub(super) fn acting(&self) -> Impersonation {
        self.world.client.impersonate(TARGET).delegates(self.delegates)
    }

    /// Performs an operation on the target.
    pub(super) async fn run(&self, operation: Operation) -> Result<(), Error> {
        let (client, delegates) = (&self.world.client, self.delegates);
        match operation {
            Operation::AccessToken => {
                client.generate_access_token(TARGET, [USERINFO_EMAIL]).delegates(delegates).await.map(drop)
            }
            Operation::IdToken => client.generate_id_token(TARGET, "x").delegates(delegates).await.map(drop),
            Operation::SignBlob => client.sign_blob(TARGET, "x").delegates(delegates).await.map(drop),
            Operation::SignJwt => {
                let claims = serde_json::json!({ "aud": "x" });
                client.sign_jwt(TARGET, &claims).delegates(delegates).await.map(drop)
            }
            other => unreachable!("{other:?} isn't known here"),
        }
    }

    /// Carries out a command that grants a role with the requests that gcloud makes for it, and takes the grant
    /// back at the end. Returns whether the operation works with it. It never works without it.
    pub(super) async fn is_fixed_by(&self, command: &str, operation: Operation) -> bool {
        let policy = self.world.emulator.policy();
        let before = policy.get();
        self.world.administrator().run(command).await;
        let works = self.run(operation).await.is_ok();
        policy.set(before).unwrap();
        assert!(self.run(operation).await.is_err(), "{self:?}: {command} was not needed");
        works
    }
}

impl fmt::Debug for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = self.world.emulator.policy().get();
        write!(f, "{} hops, {:?}, {policy:?}", self.len(), self.world.naming)
    }
}
