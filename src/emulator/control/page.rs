//! The page for people, at `/emulator/`: what the emulator knows, what it was asked, and controls.
//!
//! The server writes all of it, so it can be read without JavaScript. The script replaces the parts that
//! change, and sends what the controls say to the control pages. Every text that a policy or a request may
//! contain is written as [`text`] or by maud, which escapes it.

mod accounts;
mod chain;
mod controls;
mod graph;
mod query;
mod requests;
mod text;

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use maud::{DOCTYPE, Markup, html};

pub(super) use self::query::PageQuery;
use self::query::{Link, View};
use super::commands::Commands;
use crate::emulator::fingerprint;

/// What browsers may load and do: the emulator's own style and script, and nothing else. No page may show
/// this one in a frame.
const SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'",
);

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The headers of the page, of its style and of its script.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::CONTENT_SECURITY_POLICY, SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Returns whether a client prefers a page for people: browsers name `text/html`, programs don't.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        range.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html"))
    })
}

/// Returns the page, or the parts of it that change while nobody changes the policy.
pub(super) fn reply(commands: &Commands, query: &PageQuery, pages: &[(&str, &str)]) -> Response<Body> {
    let view = View::new(commands, query);
    let live = html! {
        (requests::section(&view))
        (controls::faults(&view))
        (controls::clock(&view))
    };
    let body = match query.wants_live_part() {
        true => document(&view, &html! { (chain::section(&view)) (live) }),
        false => full(&view, &live, pages),
    };
    let body = body.into_string();
    let tag = HeaderValue::try_from(format!("\"{}\"", fingerprint::hex(body.as_bytes(), 16)));
    let mut reply = ([(header::CONTENT_TYPE, HTML)], body).into_response();
    let headers = reply.headers_mut();
    headers.extend(HEADERS);
    headers.extend([
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::VARY, HeaderValue::from_static("Accept")),
    ]);
    headers.extend(tag.ok().map(|tag| (header::ETAG, tag)));
    reply
}

pub(super) async fn style() -> Response<Body> {
    asset("text/css; charset=utf-8", include_str!("page/page.css"))
}

pub(super) async fn script() -> Response<Body> {
    asset("text/javascript; charset=utf-8", include_str!("page/page.js"))
}

fn asset(kind: &'static str, text: &'static str) -> Response<Body> {
    let mut reply = ([(header::CONTENT_TYPE, kind)], text).into_response();
    reply.headers_mut().extend(HEADERS);
    // Another version of the emulator may be at this address next.
    reply.headers_mut().extend([(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))]);
    reply
}

/// The frame of the page, with some of its sections.
fn document(view: &View<'_>, sections: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "IAM emulator" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/emulator/page.css";
                script src="/emulator/page.js" defer {}
            }
            body {
                (sections)
                // Another policy changes more than the live parts.
                div #version data-version=(view.version()) {}
            }
        }
    }
}

fn full(view: &View<'_>, live: &Markup, pages: &[(&str, &str)]) -> Markup {
    let sections = [
        ("graph", "Graph"),
        ("chain", "Chain"),
        ("accounts", "Accounts"),
        ("requests", "Requests"),
        ("faults", "Faults"),
        ("clock", "Clock"),
        ("policy", "Policy"),
    ];
    document(
        view,
        &html! {
            header {
                h1 { "IAM emulator" }
                p { "Clients call " code { (view.endpoint()) } ". Nothing that comes from it is worth anything elsewhere." }
                nav { @for (id, title) in sections { a href={ "#" (id) } { (title) } " " } }
                p #message role="status" {}
                noscript {
                    p .note {
                        "Without JavaScript, this page shows everything, but doesn't renew itself, and its buttons do "
                        "nothing. Reload it, and control the emulator with the pages that are listed at the end."
                    }
                }
            }
            main {
                (accounts::graph(view))
                (chain::section(view))
                (accounts::list(view))
                (live)
                (controls::policy(view))
            }
            footer {
                details {
                    summary { "Control pages for programs (JSON)" }
                    dl { @for (page, about) in pages { dt { code { (page) } } dd { (about) } } }
                }
                p { "gcp-iam-credentials " (env!("CARGO_PKG_VERSION")) " · " a href=(Link::start()) { "Start again" } }
            }
        },
    )
}
