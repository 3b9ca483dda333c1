//! The section with the accounts, and with who may act as whom.

use std::collections::HashMap;

use maud::{Markup, html};

use super::graph::{Graph, MOST_NODES, nodes_by_which};
use super::query::{View, same};
use super::requests::selection;
use super::text::{cut, short, text};
use crate::emulator::iam::account::project_of;
use crate::emulator::iam::policy::{Access, Policy, Resource};
use crate::roles::{SERVICE_ACCOUNT, service_account_member};

/// How many accounts the page lists at once.
const LISTED: usize = 100;

/// How many members it lists for each account.
const LISTED_MEMBERS: usize = 8;

pub(super) fn graph(view: &View<'_>) -> Markup {
    html! {
        section #graph {
            h2 { "Graph" }
            div #graph-shown data-live {
                @match &view.policy {
                    None => p {
                        "There is no policy: every bearer token has all permissions, and every account exists. Start the "
                        "emulator with a policy, or put one into force below, to see who may act as whom."
                    },
                    Some(active) => (drawn(view, &active.policy)),
                }
            }
        }
    }
}

fn drawn(view: &View<'_>, policy: &Policy) -> Markup {
    let whole = Graph::of(policy);
    let by_which = view.explained.iter().flatten().flat_map(nodes_by_which);
    let chain = view.chain.iter().enumerate().map(|(place, name)| member(place, name));
    let part = whole.around(&by_which.chain(chain).collect::<Vec<_>>());
    html! {
        p .about {
            "Who may get tokens or signatures of whom, from left to right. Select a principal, then the accounts that it "
            "acts as, one after the other."
            @if part.len() < whole.len() {
                " The graph shows " (part.len()) " of " (whole.len()) " nodes (at most " (MOST_NODES) "): those around the "
                "selected account."
            }
            @if !view.chain.is_empty() { " " a href="/emulator/#graph" { "Select nothing" } }
        }
        div .scroll { (part.draw(view)) }
    }
}

/// Returns a name of the chain as policies name it.
fn member(place: usize, name: &str) -> String {
    if place == 0 || name.starts_with(SERVICE_ACCOUNT) {
        name.to_owned()
    } else {
        service_account_member(name)
    }
}

pub(super) fn list(view: &View<'_>) -> Markup {
    html! {
        section #accounts {
            h2 { "Accounts" }
            form method="get" action="/emulator/#accounts" {
                (selection(view))
                label { "Containing" input name="find" value=(view.find); }
                button { "Find" }
            }
            div #accounts-shown data-live {
                @if let Some(active) = &view.policy { (table(view, &active.policy)) }
            }
        }
    }
}

fn table(view: &View<'_>, policy: &Policy) -> Markup {
    let matches = |email: &str| email.contains(view.find) || policy.display_name(email).contains(view.find);
    let found: Vec<&str> = policy.accounts().map(|(email, _)| email).filter(|email| matches(email)).collect();
    let members = members_by_resource(policy);
    html! {
        p {
            (found.len()) " of " (policy.accounts().count()) " accounts"
            @if found.len() > LISTED { ", of which the first " (LISTED) " are listed" }
        }
        div .scroll {
            table {
                thead { tr { th { "Account" } th { "Who may act as it" } } }
                tbody {
                    @for email in found.into_iter().take(LISTED) {
                        tr { td { (account(view, policy, email)) } td { (holders(view, &members, email)) } }
                    }
                }
            }
        }
    }
}

fn account(view: &View<'_>, policy: &Policy, email: &str) -> Markup {
    let display_name = policy.display_name(email);
    html! {
        a href=(view.selecting(&service_account_member(email), true, "#chain")) { (text(email)) }
        @if !display_name.is_empty() { " " (text(display_name)) }
        @if policy.is_disabled(email) { " " strong .bad { "disabled" } }
    }
}

/// Who may act as accounts by grants on each resource.
type Members<'p> = HashMap<Resource<'p>, Vec<Access<'p>>>;

fn members_by_resource(policy: &Policy) -> Members<'_> {
    let mut members = Members::new();
    for access in policy.accesses() {
        members.entry(access.on).or_default().push(access);
    }
    members
}

fn holders(view: &View<'_>, members: &Members<'_>, email: &str) -> Markup {
    let on = |resource| members.get(&resource).map(Vec::as_slice).unwrap_or_default();
    let (on_account, on_project) = (on(Resource::Account(email)), on(Resource::Project(project_of(email))));
    let count = on_account.len() + on_project.len();
    html! {
        ul {
            @for access in on_account.iter().chain(on_project).take(LISTED_MEMBERS) {
                @let name = access.member.as_str();
                li .selected[view.chain.first().is_some_and(|principal| same(principal, name))] {
                    a href=(view.selecting(name, access.member.as_service_account().is_some(), "#chain")) title=(cut(name, 300)) {
                        bdi { (cut(&short(name), 80)) }
                    }
                    " " code { (text(access.gives.trim_start_matches("roles/iam."))) }
                    @if matches!(access.on, Resource::Project(_)) { " on the project" }
                }
            }
            @if count > LISTED_MEMBERS { li { "and " (count - LISTED_MEMBERS) " more" } }
            @if count == 0 { li .about { "nobody" } }
        }
    }
}
