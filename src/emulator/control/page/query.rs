//! What the page's address selects, and the links that change the selection.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::emulator::control::commands::Commands;
use crate::emulator::error::ApiError;
use crate::emulator::iam::active_policy::ActivePolicy;
use crate::emulator::iam::explanation::{self, Explanation};
use crate::emulator::method::Method;
use crate::emulator::state::EmulatorState;
use crate::name::account_in;
use crate::roles;

/// How many names of a chain the page reads.
const LONGEST_CHAIN: usize = 12;

/// The parameters of the page's address. What can't be read counts as absent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct PageQuery {
    /// The principal, the delegates and the target, separated by spaces.
    chain: String,
    /// The method that the chain is for.
    method: String,
    /// A part of the names of the accounts to list.
    find: String,
    /// A part of what the requests to list contain.
    search: String,
    /// `refused`: only the requests that were refused.
    outcome: String,
    /// The sequence number of the request before which the list begins.
    before: String,
    /// `live`: only the sections that change without a new policy.
    part: String,
}

impl PageQuery {
    pub(super) fn wants_live_part(&self) -> bool {
        self.part == "live"
    }
}

/// What is shown: the state, and what the address selects of it.
pub(super) struct View<'a> {
    pub(super) commands: &'a Commands,
    pub(super) policy: Option<Arc<ActivePolicy>>,
    /// The principal as policies name it, and then addresses of accounts.
    pub(super) chain: Vec<String>,
    pub(super) method: Method,
    /// What the chain leads to, if it has a target.
    pub(super) explained: Option<Result<Explanation, ApiError>>,
    pub(super) find: &'a str,
    pub(super) search: &'a str,
    pub(super) only_refused: bool,
    pub(super) before: Option<u64>,
}

impl<'a> View<'a> {
    pub(super) fn new(commands: &'a Commands, query: &'a PageQuery) -> Self {
        let identities = &commands.state().identities;
        let method = query.method.parse().ok().filter(|method| METHODS.contains(method));
        let method = method.unwrap_or(Method::GenerateAccessToken);
        let chain = read_chain(&query.chain);
        let explained = match chain.as_slice() {
            [principal, delegates @ .., target] => {
                Some(explanation::explain(identities, principal, method, delegates, target))
            }
            _ => None,
        };
        Self {
            commands,
            policy: identities.policy(),
            chain,
            method,
            explained,
            find: query.find.trim(),
            search: query.search.trim(),
            only_refused: query.outcome == "refused",
            before: query.before.parse().ok(),
        }
    }

    pub(super) fn state(&self) -> &EmulatorState {
        self.commands.state()
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.state().endpoint
    }

    /// Returns a number that every change of the policy changes.
    pub(super) fn version(&self) -> u64 {
        self.policy.as_ref().map_or(0, |active| active.version)
    }

    /// Returns the address of this view.
    pub(super) fn link(&self) -> Link<'_> {
        Link {
            chain: self.chain.clone(),
            method: self.method,
            find: self.find,
            more: Vec::new(),
            fragment: "",
        }
    }

    /// Returns the address of the view in which an account or a principal is selected: at the end of the chain, or,
    /// if it is in the chain, as its end. `fragment` is the section to go to.
    pub(super) fn selecting(&self, name: &str, is_account: bool, fragment: &'static str) -> Link<'_> {
        let mut link = self.link();
        let listed = |selected: &String| same(selected, name);
        match link.chain.iter().position(listed) {
            Some(place) => link.chain.truncate(place + 1),
            // Only accounts can be acted as.
            None if link.chain.is_empty() || !is_account || link.chain.len() >= LONGEST_CHAIN => {
                link.chain = vec![name.to_owned()];
            }
            None => link.chain.push(address(name).to_owned()),
        }
        link.fragment = fragment;
        link
    }
}

/// The methods that need a chain.
pub(super) const METHODS: [Method; 4] =
    [Method::GenerateAccessToken, Method::GenerateIdToken, Method::SignBlob, Method::SignJwt];

/// Returns whether two names stand for one identity, with or without `serviceAccount:`.
pub(super) fn same(one: &str, other: &str) -> bool {
    address(one) == address(other)
}

fn address(name: &str) -> &str {
    name.strip_prefix(roles::SERVICE_ACCOUNT).unwrap_or(name)
}

/// Reads the names of a chain: the principal, and then accounts in any form that requests have.
fn read_chain(text: &str) -> Vec<String> {
    let names = text.split(|c: char| c.is_whitespace() || c == ',').filter(|name| !name.is_empty());
    let mut chain = Vec::new();
    for name in names.take(LONGEST_CHAIN) {
        let account = address(account_in(name));
        chain.push(match chain.is_empty() {
            true => principal(name, account),
            false => account.to_owned(),
        });
    }
    chain
}

/// Returns the principal as policies name it. An address without a kind is that of a user or an account.
fn principal(name: &str, account: &str) -> String {
    let has_kind = name.contains(':') || ["allUsers", "allAuthenticatedUsers"].contains(&name);
    if has_kind { name.to_owned() } else { roles::member(Some(account)) }
}

/// An address of the page.
#[derive(Clone, Debug)]
pub(super) struct Link<'a> {
    pub(super) chain: Vec<String>,
    pub(super) method: Method,
    pub(super) find: &'a str,
    /// Further parameters.
    pub(super) more: Vec<(&'static str, String)>,
    /// The section to go to, with `#`.
    pub(super) fragment: &'static str,
}

impl Link<'_> {
    /// Returns the address that selects a chain, and nothing else.
    pub(super) fn explaining(chain: Vec<String>, method: Method, fragment: &'static str) -> Link<'static> {
        Link { chain, method, find: "", more: Vec::new(), fragment }
    }

    /// Returns the address without a selection.
    pub(super) fn start() -> Link<'static> {
        Link::explaining(Vec::new(), Method::GenerateAccessToken, "")
    }
}

impl Display for Link<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let chain: Vec<_> = self.chain.iter().map(|name| encoded(name)).collect();
        let mut parameters = Vec::new();
        if !chain.is_empty() {
            parameters.push(format!("chain={}", chain.join("+")));
            parameters.push(format!("method={}", self.method));
        }
        if !self.find.is_empty() {
            parameters.push(format!("find={}", encoded(self.find)));
        }
        parameters.extend(self.more.iter().map(|(name, value)| format!("{name}={}", encoded(value))));
        let separator = if parameters.is_empty() { "" } else { "?" };
        write!(f, "/emulator/{separator}{}{}", parameters.join("&"), self.fragment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::state::EmulatorState;
    use crate::own_hosts::OwnHosts;

    const BUILDER: &str = "builder@shop.iam.gserviceaccount.com";
    const DEPLOYER: &str = "deployer@shop.iam.gserviceaccount.com";

    fn commands() -> Commands {
        Commands::new(Arc::new(EmulatorState::new(String::new(), OwnHosts::default(), String::new(), None)))
    }

    #[test]
    fn a_chain_is_read_in_every_form_that_requests_have() {
        let deployer_path = format!("projects/-/serviceAccounts/{DEPLOYER}");
        for (text, expected) in [
            ("", vec![]),
            (" , ", vec![]),
            ("alice@example.com", vec!["user:alice@example.com"]),
            (BUILDER, vec!["serviceAccount:builder@shop.iam.gserviceaccount.com"]),
            ("group:a@b.c", vec!["group:a@b.c"]),
            ("allUsers", vec!["allUsers"]),
            (&format!("user:a@b.c,{BUILDER}\n{deployer_path}"), vec!["user:a@b.c", BUILDER, DEPLOYER]),
            (&format!("user:a@b.c serviceAccount:{BUILDER}"), vec!["user:a@b.c", BUILDER]),
        ] {
            assert_eq!(read_chain(text), expected, "{text}");
        }
        assert_eq!(read_chain(&"a@b.c ".repeat(1000)).len(), LONGEST_CHAIN);
    }

    #[test]
    fn a_link_leads_back_to_what_it_was_made_of() {
        let commands = commands();
        let query = PageQuery {
            chain: format!("user:a&b#<@example.com {BUILDER}"),
            method: "signBlob".to_owned(),
            find: "ü \"'".to_owned(),
            ..PageQuery::default()
        };
        let view = View::new(&commands, &query);
        let link = view.link().to_string();
        assert!(link.is_ascii() && !link.contains(['"', '<', ' ', '#']), "{link}");
        let (_, parameters) = link.split_once('?').unwrap();
        let read: std::collections::HashMap<_, _> = crate::query::pairs(parameters).collect();
        assert_eq!(read_chain(&read["chain"]), view.chain);
        assert_eq!((&*read["method"], &*read["find"]), ("SignBlob", "ü \"'"));
        assert_eq!(Link::start().to_string(), "/emulator/");
    }

    #[test]
    fn a_selection_extends_the_chain_or_goes_back_in_it() {
        let commands = commands();
        let select = |chain: &str, name: &str, is_account| {
            let query = PageQuery { chain: chain.to_owned(), ..PageQuery::default() };
            View::new(&commands, &query).selecting(name, is_account, "").chain.join(" ")
        };
        let member = format!("serviceAccount:{BUILDER}");
        let alice = "user:alice@example.com";
        assert_eq!(select("", alice, false), alice);
        assert_eq!(select("", &member, true), member);
        assert_eq!(select(alice, &member, true), format!("{alice} {BUILDER}"));
        assert_eq!(
            select(&format!("{alice} {BUILDER} {DEPLOYER}"), &member, true),
            format!("{alice} {BUILDER}")
        );
        assert_eq!(
            select(&format!("{alice} {BUILDER}"), "user:bob@example.com", false),
            "user:bob@example.com"
        );
    }
}
