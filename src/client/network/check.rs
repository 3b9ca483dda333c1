//! What must hold in every world.

use std::time::Duration;

use tonic::Code;

use super::run::{Failure, Outcome, Report};
use super::server::Mode;
use super::world::{Caller, Fault, World};

/// A server that has been healthy for this long has served every call that waited for it.
const RECOVERY: Duration = Duration::from_secs(10);
/// How late a timer may be.
const SLACK: Duration = Duration::from_millis(5);
/// How long it takes to notice that a connection is dead: a ping, and the time for its answer.
const DETECTION: Duration = Duration::from_secs(31);
/// How many requests a connection sends at once until the server allows another number (RFC 9113
/// recommends no fewer).
const STREAMS: usize = 100;
/// How many requests a connection takes in one go, before it looks whether it may send them: as often
/// as tokio lets a task go on.
const TAKEN_AT_ONCE: usize = 128;
/// The longest pause between two fetches of a cache.
const PAUSE: Duration = Duration::from_secs(30);

/// Returns what doesn't hold.
pub(super) fn violations(world: &World, report: &Report) -> Vec<String> {
    let mut found = Vec::new();
    for (number, (caller, outcome)) in world.callers.iter().zip(&report.outcomes).enumerate() {
        let mut complain = |what: String| found.push(format!("call {number}: {what}: {outcome:?}"));
        ends_in_time(caller, outcome).unwrap_or_else(&mut complain);
        replies_are_right(outcome).unwrap_or_else(&mut complain);
        attempts_are_counted(caller, outcome).unwrap_or_else(&mut complain);
        succeeds_on_a_healthy_server(world, caller, outcome).unwrap_or_else(&mut complain);
    }
    found.extend(
        [
            requests_are_counted(world, report).err(),
            connections_are_few(world, report).err(),
            requests_are_few(report).err(),
            nothing_is_left(report).err(),
        ]
        .into_iter()
        .flatten(),
    );
    found
}

type Checked = Result<(), String>;

fn must(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(what()) }
}

fn ends_in_time(caller: &Caller, outcome: &Outcome) -> Checked {
    must(outcome.ended <= caller.at + caller.timeout + SLACK, || "ended too late".to_owned())
}

fn replies_are_right(outcome: &Outcome) -> Checked {
    let wrong = matches!(outcome.result, Err(Failure::WrongReply | Failure::NeverEnded));
    must(!wrong, || "the wrong reply, or none".to_owned())?;
    must(outcome.result.is_err() || outcome.journal.answered > 0, || "a reply from nowhere".to_owned())?;
    must(outcome.journal.requests <= outcome.sent, || "a request arrived twice".to_owned())
}

/// The error of a call counts at least what was written to a connection.
fn attempts_are_counted(caller: &Caller, outcome: &Outcome) -> Checked {
    let Err(Failure::OfCall(error)) = &outcome.result else { return Ok(()) };
    must(error.attempts() >= outcome.sent, || format!("{} requests were sent", outcome.sent))?;
    let limit = caller.max_attempts.unwrap_or(u32::MAX);
    must(error.attempts() <= limit, || "too many attempts".to_owned())
}

/// A server that was healthy for a while served every call that waited for it.
fn succeeds_on_a_healthy_server(world: &World, caller: &Caller, outcome: &Outcome) -> Checked {
    let healthy = healthy_since(world, caller);
    let expected = match &outcome.result {
        Ok(()) => false,
        Err(Failure::OfLayer(status)) => layer_must_succeed(world, caller, status.code(), healthy),
        Err(Failure::OfCall(error)) if error.code() == Code::Unauthenticated && revocations(world) > 1 => {
            false
        }
        Err(_) => {
            let deadline = caller.at + caller.timeout;
            caller.max_attempts.is_none() && deadline >= healthy.max(caller.at) + RECOVERY
        }
    };
    must(!expected, || format!("failed, although the server was healthy at {healthy:?}"))
}

/// How many tokens of the client are revoked. A call replaces one.
fn revocations(world: &World) -> usize {
    let at_iam = world.events.iter().filter(|event| !event.at_other_api);
    at_iam.filter(|event| matches!(event.fault, Fault::Revokes | Fault::SourceFails(_))).count()
}

/// Whether a request through the layer, which isn't retried, must not fail in this way.
fn layer_must_succeed(world: &World, caller: &Caller, code: Code, healthy: Duration) -> bool {
    let at_api = |is_cause: fn(&Fault) -> bool| {
        world.events.iter().any(|event| event.at_other_api && is_cause(&event.fault))
    };
    let rejected = code == Code::Unauthenticated && at_api(|fault| matches!(fault, Fault::Revokes));
    // tonic gives the error of an attempt to connect that nobody waited for to the next request.
    let left_over = at_api(|fault| matches!(fault, Fault::Stalls(_)));
    let may_fail = rejected || left_over || at_api(Fault::is_silent);
    !may_fail && caller.at >= healthy + RECOVERY && caller.timeout >= RECOVERY
}

/// Returns since when the server has been healthy for this call.
fn healthy_since(world: &World, caller: &Caller) -> Duration {
    let ends = world.events.iter().map(|event| {
        let end = event.at + event.fault.lasts();
        match event.fault {
            // The connection may be used, and found to be dead, at any time later.
            Fault::Loses(..) => caller.at.max(end) + DETECTION,
            // A request may wait in vain for as long as an attempt takes.
            Fault::Mode(Mode::Hangs, _) => end + caller.attempt_timeout,
            Fault::Mode(Mode::IsSlow(millis), _) => end + Duration::from_millis(millis),
            Fault::Holds(..) => end + Duration::from_secs(1),
            // While the rejected token is live, the source is asked again after a pause.
            Fault::SourceFails(_) => end + PAUSE,
            _ => end,
        }
    });
    ends.max().unwrap_or_default()
}

/// No more requests are counted than were sent. Only in a crowd a connection may end while it holds
/// some that it has read and may not send yet.
fn requests_are_counted(world: &World, report: &Report) -> Checked {
    let silent = world.events.iter().any(|event| event.fault.is_silent());
    let excess = report.outcomes.iter().map(|outcome| match &outcome.result {
        Err(Failure::OfCall(error)) => error.attempts().saturating_sub(outcome.sent) as usize,
        _ => 0,
    });
    let excess: usize = excess.sum();
    let is_crowd = world.callers.len() > STREAMS;
    let held = if is_crowd { report.connections * (TAKEN_AT_ONCE - 1) } else { 0 };
    must(silent || excess <= held, || format!("{excess} requests were counted and not sent"))
}

fn connections_are_few(world: &World, report: &Report) -> Checked {
    let at_iam = world.events.iter().filter(|event| !event.at_other_api);
    let limit = 1 + at_iam.map(|event| event.fault.may_end_connections()).sum::<usize>();
    must(report.connections <= limit, || format!("{} connections, expected {limit}", report.connections))
}

/// A first attempt, one after a lost connection and one with another token take nothing from the
/// budget. A retry that succeeds adds two, and ends its call.
fn requests_are_few(report: &Report) -> Checked {
    let calls = report.outcomes.len() as u64;
    let lasted = report.outcomes.iter().map(|outcome| outcome.ended).max().unwrap_or_default();
    let limit = 5 * calls + 100 + 10 * (lasted.as_secs() + 1);
    must(u64::from(report.requests) <= limit, || format!("{} requests, expected {limit}", report.requests))
}

fn nothing_is_left(report: &Report) -> Checked {
    must(report.tasks_left == 0, || format!("{} tasks are left", report.tasks_left))
}
