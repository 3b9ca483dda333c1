//! The sections with controls: faults, the clock, and the policy.

use maud::{Markup, html};

use super::query::View;
use super::text::text;
use crate::emulator::clock::{Skew, timestamp};
use crate::emulator::faults::{ActiveFault, PlatformFault};
use crate::emulator::method::Method;
use crate::json_duration;

/// The effects of faults on every request, and what they do.
const EFFECTS: [(&str, &str); 10] = [
    ("status", "refuses with a code"),
    ("delay", "replies late"),
    ("hang", "never replies"),
    ("reset", "resets the connection"),
    ("drain", "sends GOAWAY, then replies"),
    ("goAway", "sends GOAWAY, and closes the connection"),
    ("stallBody", "sends a head without a body"),
    ("truncate", "breaks off in the reply"),
    ("html", "replies with a page of a proxy"),
    ("badDetails", "sends broken details"),
];

/// The codes that a fault usually has.
const CODES: [&str; 7] = [
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "INTERNAL",
    "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "NOT_FOUND",
];

pub(super) fn faults(view: &View<'_>) -> Markup {
    let faults = view.commands.faults();
    html! {
        section #faults {
            h2 { "Faults" }
            div #faults-in-force data-live {
                @if faults.is_empty() { p { "No fault is in force." } }
                ul { @for fault in faults.iter().take(SHOWN_FAULTS) { (fault_in_force(fault)) } }
                @if faults.len() > SHOWN_FAULTS { p { "and " (faults.len() - SHOWN_FAULTS) " more" } }
            }
            form data-method="POST" data-url="/emulator/faults" {
                label {
                    "Effect"
                    select name="effect" {
                        @for (name, about) in EFFECTS { option value=(name) { (name) ": " (about) } }
                        @for fault in PlatformFault::ALL { option value=(fault.as_str()) { (fault.as_str()) } }
                    }
                }
                label {
                    "Method"
                    select name="method" {
                        option value="" { "all" }
                        @for method in Method::ALL { option { (method) } }
                    }
                }
                label { "Account" input name="account" placeholder="all"; }
                label { "Times" input name="times" type="number" min="1" placeholder="always" data-type="number"; }
                label { "Share" input name="share" type="number" min="0" max="1" step="any" placeholder="1" data-type="number"; }
                label { "Delay" input name="delay" placeholder="0s" list="durations"; }
                label { "Code" select name="code" { @for code in CODES { option { (code) } } } }
                label { "Retry after" input name="retryDelay" placeholder="not said" list="durations"; }
                datalist #durations { @for duration in ["0.5s", "1s", "5s", "60s"] { option value=(duration); } }
                button { "Inject" }
                button type="button" data-method="DELETE" data-url="/emulator/faults" { "End all" }
            }
        }
    }
}

/// How many faults the page lists.
const SHOWN_FAULTS: usize = 100;

fn fault_in_force(active: &ActiveFault) -> Markup {
    let fault = &active.fault;
    let url = format!("/emulator/faults/{}", active.id.number());
    html! {
        li #{ "fault-" (active.id.number()) } {
            code { (fault.effect_name()) }
            " of " @if let Some(method) = fault.matched_method() { (method) } @else { "every method" }
            @if let Some(account) = fault.matched_account() { " for " (text(account)) }
            @if fault.applied_share() < 1.0 { ", " (fault.applied_share()) " of the requests" }
            @if !fault.delay_before().is_zero() { ", after " (json_duration::to_text(fault.delay_before())) }
            ": applied " (active.applied) @if let Some(times) = fault.limit() { " of " (times) } " times "
            button type="button" data-method="DELETE" data-url=(url) { "End" }
        }
    }
}

pub(super) fn clock(view: &View<'_>) -> Markup {
    let clock = view.commands.clock();
    let skew = match clock.skew() {
        Skew::Ahead(distance) if distance.is_zero() => "as the emulator's clock".to_owned(),
        Skew::Ahead(distance) => {
            format!("{} ahead of the emulator's clock", json_duration::to_text(distance))
        }
        Skew::Behind(distance) => format!("{} behind the emulator's clock", json_duration::to_text(distance)),
    };
    html! {
        section #clock {
            h2 { "Clock" }
            dl #time data-live {
                dt { "Clients are told" } dd { time { (timestamp(clock.shown(clock.now()))) } ", " (skew) }
                dt { "Moved forward by" } dd { (json_duration::to_text(clock.advanced())) }
            }
            div .controls {
                @for (text, body) in [
                    ("+1 minute", r#"{"advance": "60s"}"#),
                    ("+1 hour", r#"{"advance": "3600s"}"#),
                    ("+12 hours", r#"{"advance": "43200s"}"#),
                ] {
                    button type="button" data-method="POST" data-url="/emulator/clock" data-body=(body) { (text) }
                }
            }
            form data-method="POST" data-url="/emulator/clock" {
                label { "Move forward by" input name="advance" placeholder="90s"; }
                label { "Differ from the emulator's clock by" input name="skew" placeholder="-600s"; }
                button { "Set" }
                button type="button" data-method="POST" data-url="/emulator/reset" {
                    "Reset clock, faults, journal, tokens and policy"
                }
            }
        }
    }
}

pub(super) fn policy(view: &View<'_>) -> Markup {
    html! {
        section #policy {
            h2 { "Policy" }
            p #policy-state data-live {
                @if view.policy.is_none() {
                    "No policy is in force: every bearer token has all permissions, and every account exists. "
                }
                a href="/emulator/policy" { "The policy in force, as JSON" }
            }
            details #editor {
                summary { "Edit" }
                p .about { "It contains the bearer tokens and refresh tokens that the policy lists." }
                form data-method="PUT" data-url="/emulator/policy" data-text="policy" {
                    textarea name="policy" rows="24" spellcheck="false" aria-label="Policy" {}
                    button { "Put into force" }
                    button type="button" data-method="PUT" data-url="/emulator/policy" data-body="null" {
                        "Remove the policy"
                    }
                }
            }
        }
    }
}
