//! The section that explains the selected chain, hop by hop.

use maud::{Markup, html};
use serde_json::json;

use super::query::{METHODS, View};
use super::text::text;
use crate::emulator::iam::explanation::{ExplainedHop, Explanation, Finding, GrantFacts};
use crate::error::{add_binding, code_name};
use crate::roles;

pub(super) fn section(view: &View<'_>) -> Markup {
    html! {
        section #chain {
            h2 { "Chain" }
            p .about {
                "Who acts as whom: select a principal and then accounts in the graph, or write their names, one after "
                "the other. The last one is the target, and those in between are the delegates."
            }
            (form(view))
            div #explanation data-live { (explanation(view)) }
        }
    }
}

fn form(view: &View<'_>) -> Markup {
    html! {
        form method="get" action="/emulator/#chain" {
            label .wide {
                "Principal, delegates, target"
                textarea name="chain" rows="2" spellcheck="false"
                    placeholder="alice@example.com builder@shop.iam.gserviceaccount.com" { (view.chain.join(" ")) }
            }
            label {
                "Method"
                select name="method" {
                    @for method in METHODS {
                        option value=(method) selected[method == view.method] { (method) }
                    }
                }
            }
            button { "Explain" }
        }
    }
}

fn explanation(view: &View<'_>) -> Markup {
    match (view.chain.as_slice(), &view.explained) {
        ([principal, .., target], Some(Ok(explained))) => html! {
            (summary(view, principal, target, explained))
            ol .hops { @for hop in &explained.hops { (explained_hop(hop)) } }
        },
        (_, Some(Err(error))) => html! { p .bad { (text(error.message())) } },
        ([principal, ..], _) => html! { p { "Now select the account that " (text(principal)) " acts as." } },
        ([], _) => html! { p { "Nothing is selected." } },
    }
}

fn summary(view: &View<'_>, principal: &str, target: &str, explained: &Explanation) -> Markup {
    let refused = explained.hops.iter().position(|hop| !hop.finding.is_allowed());
    html! {
        @if explained.is_principal_disabled {
            p .bad { (text(principal)) " is disabled: all its tokens are refused, whatever the grants say." }
        }
        @match (refused, &explained.refusal) {
            (None, None) => p .good {
                strong { "Allowed. " } (text(principal)) " may call " (view.method) " for " (text(target)) "."
            },
            (hop, refusal) => p .bad {
                strong { "Refused" @if let Some(hop) = hop { " at hop " (hop + 1) } ". " }
                @if let Some(error) = refusal { "The reply is " code { (code_name(error.code())) } ": " (text(error.message())) }
            },
        }
    }
}

fn explained_hop(hop: &ExplainedHop) -> Markup {
    let class = if hop.finding.is_allowed() { "good" } else { "bad" };
    html! {
        li .(class) {
            p { (text(&hop.member)) " needs " code { (hop.permission) } " on " (text(&hop.account)) "." }
            p { (finding(&hop.finding)) }
            @if matches!(hop.finding, Finding::NoGrant) { (remedy(hop)) }
        }
    }
}

fn finding(finding: &Finding) -> Markup {
    html! {
        @match finding {
            Finding::NoPolicy => "Allowed: there is no policy, so everyone has every permission.",
            Finding::Granted(grant) => { "Allowed by " (facts(grant)) "." },
            Finding::Pending(grant, left) => {
                "Refused: " (facts(grant)) " comes into force in " (left.as_secs_f64().ceil()) " s."
            },
            Finding::ConditionIsFalse(grant) => { "Refused: the condition of " (facts(grant)) " isn't true." },
            Finding::NoGrant => "Refused: no grant gives it.",
            Finding::UnknownAccount => "Refused: the policy has no such account.",
            Finding::DisabledAccount => "Refused: the account is disabled.",
        }
    }
}

fn facts(grant: &GrantFacts) -> Markup {
    html! {
        "the grant of " code { (text(&grant.gives)) } " to " (text(&grant.member))
        @if let Some(project) = &grant.project { " on the project " (text(project)) }
    }
}

/// The command that adds the missing grant, and the button that adds it here.
fn remedy(hop: &ExplainedHop) -> Markup {
    let role = roles::granted_to(&hop.member, Some(hop.permission));
    let grant = json!({"member": hop.member, "role": role, "serviceAccount": hop.account});
    html! {
        p { "The fix, as with Google:" }
        pre { code { (add_binding(&hop.account, &hop.member, role)) } }
        button type="button" data-method="POST" data-url="/emulator/grants" data-body=(grant) { "Grant it here" }
    }
}
