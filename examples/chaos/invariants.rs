//! What must hold, whatever is broken.

use std::sync::atomic::Ordering;
use std::time::Duration;

use gcp_iam_credentials::Credentials;
use tonic::Code;

use crate::IDENTITIES;
use crate::callers::{CALL_TIMEOUT, Tally};
use crate::faults::{Fault, SKEW_MS};
use crate::journal::{Summary, WINDOW_MS};
use crate::log::Log;
use crate::resources::{Resources, Sample};
use crate::schedule::Episode;

/// What a call may take beyond its deadline, besides what the machine delays.
const DEADLINE_SLACK: Duration = Duration::from_secs(1);

/// How long a request may take to the API, in milliseconds, besides what the machine delays.
const ARRIVAL_MS: u64 = 500;

/// The most requests of one identity in ten seconds: a token of three seconds is replaced every two
/// seconds or so, and a fetch makes about sixteen attempts in ten seconds. The callers of one identity
/// make 1000 calls in that time.
const MOST_REQUESTS: usize = 60;

/// The shortest time between two fetches of one identity on average: half of the pause after a failure.
const BETWEEN_FETCHES: Duration = Duration::from_millis(500);

/// What a run leaves behind.
pub(crate) struct Evidence<'a> {
    pub(crate) tally: &'a Tally,
    pub(crate) episodes: &'a [Episode],
    pub(crate) journal: &'a Summary,
    pub(crate) log: &'a Log,
    pub(crate) length: Duration,
}

/// An invariant, and what was seen of it.
pub(crate) struct Check {
    pub(crate) what: &'static str,
    pub(crate) seen: String,
    pub(crate) holds: bool,
}

fn check(what: &'static str, holds: bool, seen: String) -> Check {
    Check { what, seen, holds }
}

pub(crate) fn check_all(
    evidence: &Evidence<'_>,
    resources: &Resources,
    acting: &[Credentials],
) -> Vec<Check> {
    let mut checks = vec![
        ends_of_tokens(evidence, resources),
        headers(evidence),
        deadlines(evidence, resources),
        requests(evidence),
        fetches(evidence, acting),
        recovery(evidence),
        success_without_faults(evidence),
        passing_faults(evidence),
    ];
    checks.extend(attempts(evidence));
    checks.extend(shown(evidence.log));
    checks.extend(growth(resources));
    checks
}

fn ends_of_tokens(evidence: &Evidence<'_>, resources: &Resources) -> Check {
    let Summary { latest, late_requests, tokens_used, .. } = evidence.journal;
    let allowed = SKEW_MS + ARRIVAL_MS + resources.lag().as_millis() as u64;
    let seen = format!(
        "of {tokens_used} tokens, {late_requests} requests came after the end, at most {latest} ms (allowed {allowed})"
    );
    check("no token is sent past its end, beyond the skew", *latest <= allowed && *tokens_used > 0, seen)
}

fn headers(evidence: &Evidence<'_>) -> Check {
    let without = evidence.journal.without_token;
    check("each request has exactly one token", without == 0, format!("{without} had not"))
}

fn deadlines(evidence: &Evidence<'_>, resources: &Resources) -> Check {
    let longest = evidence.tally.values().map(|outcomes| outcomes.longest).max().unwrap_or_default();
    let allowed = CALL_TIMEOUT + DEADLINE_SLACK + resources.lag();
    let seen = format!("the longest took {longest:.2?} (allowed {allowed:.2?})");
    check("each call ends by its deadline", longest <= allowed, seen)
}

fn requests(evidence: &Evidence<'_>) -> Check {
    let most = evidence.journal.most_in_a_window;
    let seen = format!("at most {most} of one identity in {} s (allowed {MOST_REQUESTS})", WINDOW_MS / 1000);
    check("requests to IAM are bounded", most <= MOST_REQUESTS, seen)
}

fn fetches(evidence: &Evidence<'_>, acting: &[Credentials]) -> Check {
    let most = acting.iter().map(|acting| acting.status().fetches()).max().unwrap_or_default();
    let rejections: u64 =
        evidence.episodes.iter().filter(|episode| episode.fault.rejects_tokens()).count() as u64;
    // A burst of three may follow each rejection.
    let allowed = (evidence.length.as_millis() / BETWEEN_FETCHES.as_millis()) as u64 + 3 * rejections;
    let seen = format!("at most {most} of one identity (allowed {allowed})");
    check("fetches keep their pauses", most <= allowed, seen)
}

fn recovery(evidence: &Evidence<'_>) -> Check {
    let late = evidence.episodes.iter().find(|episode| episode.recovered.is_none());
    let seen = match late {
        Some(Episode { fault, allowed, .. }) => format!("not in {allowed:?} after {fault}"),
        None => format!("after all {} faults", evidence.episodes.len()),
    };
    check("all identities work again within one pause", late.is_none(), seen)
}

/// Between two faults, all identities have new tokens, so no call fails.
fn success_without_faults(evidence: &Evidence<'_>) -> Check {
    let quiet = evidence.tally.get(&Fault::Nothing).cloned().unwrap_or_default();
    let all: u64 = quiet.by_code.values().sum();
    let failed = all - quiet.by_code.get(&(Code::Ok as i32)).copied().unwrap_or_default();
    let seen = format!("{failed} of {all} calls failed between faults");
    check("calls succeed while nothing is broken", failed == 0 && all > 0, seen)
}

/// A fault that passes by itself never looks like a refusal. A token that came too late is refused.
fn passing_faults(evidence: &Evidence<'_>) -> Check {
    let passing = evidence.tally.iter().filter(|(fault, _)| !fault.refuses());
    let refused = passing.filter_map(|(_, outcomes)| outcomes.by_code.get(&(Code::Unauthenticated as i32)));
    let (refused, journal) = (refused.sum::<u64>(), evidence.journal);
    let late = journal.late_requests + journal.late_after_freeze;
    let seen = format!("{refused} calls ended with UNAUTHENTICATED, {late} requests were late");
    check("a fault that passes is no refusal", refused <= late, seen)
}

/// Compares what the crate reports with the server's journal. A reply can be lost with its connection,
/// and an attempt can end before it sends its request.
fn attempts(evidence: &Evidence<'_>) -> [Check; 3] {
    let Evidence { log, journal, episodes, .. } = evidence;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let (reported, succeeded) = (log.attempts(), count(&log.attempts_succeeded));
    let replied = succeeded + count(&log.attempts_refused);
    let Summary { requests, replied_well, .. } = journal;
    let broken = episodes.iter().filter(|episode| episode.fault.breaks_connections()).count();
    // Each identity can have a request in flight on a connection that is lost, a few times per fault.
    let lost = (broken * IDENTITIES * 4 + IDENTITIES) as u64;
    [
        check(
            "each request was reported as an attempt",
            *requests <= reported,
            format!("{requests} requests, {reported} attempts"),
        ),
        check(
            "each attempt with a reply is a request in the journal",
            replied <= *requests,
            format!("{replied} attempts with a reply, {requests} requests"),
        ),
        check(
            "each good reply arrived, unless its connection was lost",
            *replied_well <= succeeded + lost,
            format!("{replied_well} good replies, {succeeded} successful attempts (lost at most {lost})"),
        ),
    ]
}

fn shown(log: &Log) -> [Check; 2] {
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let (lines, secrets, panics) = (count(&log.lines), count(&log.secrets), count(&log.panics));
    [
        check(
            "no secret is shown",
            secrets == 0 && lines > 0,
            format!("{secrets} in {lines} lines and errors"),
        ),
        check("nothing panics", panics == 0, format!("{panics} panics, without those of tonic")),
    ]
}

/// Compares the second fifth of the run with the last one. A short run has no sample in one of them.
fn growth(resources: &Resources) -> [Check; 3] {
    let compare = |what, value: fn(&Sample) -> u64, slack: fn(u64) -> u64| {
        let parts = (resources.largest(0.2, 0.4, value), resources.largest(0.8, f64::INFINITY, value));
        let (Some(early), Some(late)) = parts else {
            return check(what, true, "the run was too short to see".to_owned());
        };
        check(what, late <= early + slack(early), format!("{early}, later {late}"))
    };
    [
        compare("the number of tasks doesn't grow", |sample| sample.tasks, |_| 16),
        compare("the number of descriptors doesn't grow", |sample| sample.descriptors, |_| 8),
        compare("memory (KiB) doesn't grow", |sample| sample.memory_kib, |early| early / 5 + 8 * 1024),
    ]
}
