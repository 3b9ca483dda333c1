//! The section with the journal.

use maud::{Markup, html};
use tonic::Code;

use super::query::{Link, METHODS, View};
use super::text::{cut, short, text};
use crate::emulator::clock::timestamp;
use crate::emulator::journal::{JOURNAL_CAPACITY, JournalEntry, Outcome, Protocol};
use crate::error::code_name;
use crate::json_duration;
use crate::name::account_in;

/// How many requests the page lists at once.
const LISTED: usize = 50;

/// How many headers of a request, or names in a list, the page shows.
const SHOWN_VALUES: usize = 40;

pub(super) fn section(view: &View<'_>) -> Markup {
    let matches = |entry: &JournalEntry| {
        (!view.only_refused || entry.outcome.as_ref().is_some_and(|outcome| outcome.code != Code::Ok))
            && (view.search.is_empty() || entry.texts().any(|text| text.contains(view.search)))
    };
    let (entries, count) = view.state().journal.newest(view.before.unwrap_or(u64::MAX), LISTED, matches);
    html! {
        section #requests {
            h2 { "Requests" }
            form method="get" action="/emulator/#requests" {
                (selection(view))
                label { "Containing" input name="search" value=(view.search); }
                label {
                    "Outcome"
                    select name="outcome" {
                        option value="" { "all" }
                        option value="refused" selected[view.only_refused] { "refused" }
                    }
                }
                button { "Filter" }
                label .check { input #pause type="checkbox"; "Pause" }
                button type="button" data-method="DELETE" data-url="/emulator/journal" { "Empty the journal" }
            }
            p #count data-live {
                (count) @if count == 1 { " request" } @else { " requests" }
                @if !view.search.is_empty() || view.only_refused { " that match" }
                ". The journal keeps the newest " (JOURNAL_CAPACITY) ", without secrets."
            }
            div #journal .requests data-live { @for entry in &entries { (request(entry)) } }
            p #older data-live {
                @if view.before.is_some() { a href={ (page(view, None)) } { "Newest" } " " }
                @if let Some(oldest) = entries.last().filter(|_| entries.len() == LISTED) {
                    a href={ (page(view, Some(oldest.sequence))) } { "Older" }
                }
            }
        }
    }
}

/// The hidden fields that keep the selected chain when a form is sent.
pub(super) fn selection(view: &View<'_>) -> Markup {
    html! {
        @if !view.chain.is_empty() {
            input type="hidden" name="chain" value=(view.chain.join(" "));
            input type="hidden" name="method" value=(view.method);
        }
    }
}

/// Returns the address of a part of the journal.
fn page<'v>(view: &'v View<'_>, before: Option<u64>) -> Link<'v> {
    let mut link = view.link();
    link.fragment = "#requests";
    link.more.extend((!view.search.is_empty()).then(|| ("search", view.search.to_owned())));
    link.more.extend(view.only_refused.then(|| ("outcome", "refused".to_owned())));
    link.more.extend(before.map(|before| ("before", before.to_string())));
    link
}

fn request(entry: &JournalEntry) -> Markup {
    let time = timestamp(entry.received_at);
    let clock = time.split_once('T').map_or(&*time, |(_, clock)| clock.trim_end_matches('Z'));
    let (class, outcome) = match &entry.outcome {
        None => ("waiting", "in progress".to_owned()),
        Some(outcome) if outcome.code == Code::Ok => ("good", "OK".to_owned()),
        Some(outcome) => {
            ("bad", outcome.reason.clone().unwrap_or_else(|| code_name(outcome.code).to_owned()))
        }
    };
    html! {
        details #{ "request-" (entry.sequence) } .(class) {
            summary {
                time datetime=(time) title=(time) { (clock) }
                span .method { (entry.method) }
                span .who {
                    @if let Some(principal) = &entry.principal { bdi { (cut(&short(principal), 60)) } }
                    @else { "unknown" }
                    " → " bdi { (cut(&short(account_in(&entry.name)), 60)) }
                }
                span .outcome { (cut(&outcome, 60)) }
            }
            (facts(entry))
        }
    }
}

fn facts(entry: &JournalEntry) -> Markup {
    let fields = &entry.fields;
    let protocol = match entry.protocol {
        Protocol::Grpc => "gRPC",
        Protocol::Rest => "HTTP",
    };
    html! {
        dl {
            dt { "Request" } dd { (entry.sequence) " over " (protocol) ", connection " (entry.connection) }
            dt { "Principal" } dd { (text(entry.principal.as_deref().unwrap_or("unknown"))) }
            dt { "Name" } dd { (text(&entry.name)) }
            (list("Delegates", &entry.delegates))
            (list("Scopes", &fields.scopes))
            @if let Some(lifetime) = fields.lifetime {
                dt { "Lifetime" } dd { (json_duration::to_text(lifetime)) }
            }
            @if let Some(audience) = &fields.audience { dt { "Audience" } dd { (text(audience)) } }
            @if fields.include_email { dt { "Include e-mail" } dd { "yes" } }
            @if let Some(length) = fields.payload_len { dt { "Payload" } dd { (length) " bytes" } }
            @if let Some(grant_type) = &fields.grant_type { dt { "Grant type" } dd { (text(grant_type)) } }
            @if let Some(options) = &fields.options { dt { "Options" } dd { (text(options)) } }
            @if let Some(outcome) = &entry.outcome { (outcome_facts(entry, outcome)) }
            @for (name, value) in entry.headers.iter().take(SHOWN_VALUES) {
                dt .header { (text(name.as_str())) } dd { (text(value)) }
            }
            (left_out("headers", entry.headers.len()))
        }
    }
}

fn outcome_facts(entry: &JournalEntry, outcome: &Outcome) -> Markup {
    html! {
        dt { "Reply" }
        dd {
            code { (code_name(outcome.code)) }
            @if let Some(message) = &outcome.message { " " (text(message)) }
            @if outcome.by_fault { " (by a fault)" }
            @if let Some(link) = chain_of(entry) {
                " " a href=(link) { @if outcome.hop.is_some() { "Why?" } @else { "Explain the chain" } }
            }
        }
    }
}

/// Returns the address that explains the chain of a request, if it has one.
fn chain_of(entry: &JournalEntry) -> Option<Link<'static>> {
    let principal = entry.principal.as_deref().filter(|principal| principal.contains(':'))?;
    METHODS.contains(&entry.method).then(|| {
        let accounts = entry.delegates.iter().chain([&entry.name]).map(|name| account_in(name).to_owned());
        let chain = [principal.to_owned()].into_iter().chain(accounts).collect();
        Link::explaining(chain, entry.method, "#chain")
    })
}

fn list(title: &str, values: &[String]) -> Markup {
    html! {
        @if !values.is_empty() {
            dt { (title) }
            dd { @for value in values.iter().take(SHOWN_VALUES) { (text(value)) br; } }
            (left_out("values", values.len()))
        }
    }
}

fn left_out(what: &str, count: usize) -> Markup {
    html! {
        @if let Some(more) = count.checked_sub(SHOWN_VALUES).filter(|more| *more > 0) {
            dt {} dd { "and " (more) " more " (what) }
        }
    }
}
