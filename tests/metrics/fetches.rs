//! Fetches, and the requests that wait for them.

use std::time::Duration;

use gcp_iam_credentials::{Credentials, Error, ImpersonationPool, Token};
use tonic::Code;
use tonic_types::ErrorDetails;

use crate::documentation::REASONS;
use crate::recorder::Recorder;
use crate::support::accounts::TARGET;
use crate::support::runtime::{one_paused_thread, until};
use crate::support::scripted_service::{Answer, Script};
use crate::support::token_source::{Outcome, ScriptedSource};

/// conf: N1
#[test]
fn a_fetch_is_counted_with_its_reason_and_its_result() {
    let recorder = Recorder::default();
    recorder.run(one_paused_thread(), async {
        let source = ScriptedSource::numbered();
        let credentials = source.credentials();
        let token = credentials.token().await.unwrap();
        credentials.refresh().await.unwrap();
        credentials.invalidate(&credentials.token().await.unwrap());
        credentials.token().await.unwrap();
        assert_ne!(credentials.token().await.unwrap().secret(), token.secret());
        source.set(Outcome::Fail(Error::permanent("gone")));
        credentials.refresh().await.unwrap_err();
    });
    for (key, expected) in [
        ("fetches_total{reason=empty,result=ok}", 1.0),
        ("fetches_total{reason=requested,result=ok}", 1.0),
        ("fetches_total{reason=rejected,result=ok}", 1.0),
        ("fetches_total{reason=requested,result=error}", 1.0),
        ("fetch_duration_seconds{result=ok}", 3.0),
        ("fetch_duration_seconds{result=error}", 1.0),
        ("fetch_failures_total{code=UNAUTHENTICATED,kind=credentials,reason=none}", 1.0),
        ("fetches_in_progress", 0.0),
    ] {
        assert_eq!(recorder.value(key), expected, "{key}: {:?}", recorder.starting_with("fetch"));
    }
}

/// conf: N4
#[test]
fn the_cause_of_a_failure_is_one_of_a_fixed_list_whatever_the_service_says() {
    let recorder = Recorder::default();
    recorder.run(one_paused_thread(), async {
        let refusal = |reason: &str| {
            let details = ErrorDetails::with_error_info(
                reason,
                "iam.googleapis.com",
                [("a".to_owned(), "b".to_owned())],
            );
            Answer::details(Code::PermissionDenied, "no", details)
        };
        let secret = "UNHEARD_OF_ya29.secret";
        let script = Script::new([refusal("IAM_PERMISSION_DENIED"), refusal(secret), refusal(TARGET)]);
        for _ in 0..3 {
            let acting = script.client().impersonate(TARGET).access_token(["openid"]).unwrap();
            acting.token().await.unwrap_err();
        }
        let panics = Credentials::from_fn(|| async { panic!("a secret") });
        panics.token().await.unwrap_err();
        let slow = ScriptedSource::new([Outcome::Hang]).credentials();
        slow.token().await.unwrap_err();
        let expired = Credentials::from_fn(|| async { Token::new("t", std::time::SystemTime::UNIX_EPOCH) });
        expired.token().await.unwrap_err();
    });
    let failures = recorder.starting_with("fetch_failures_total{");
    for (labels, expected) in [
        ("code=PERMISSION_DENIED,kind=service,reason=IAM_PERMISSION_DENIED", 1.0),
        ("code=PERMISSION_DENIED,kind=service,reason=other", 2.0),
        ("code=DEADLINE_EXCEEDED,kind=timeout,reason=none", 1.0),
        ("code=UNAVAILABLE,kind=credentials,reason=none", 1.0),
    ] {
        let key = format!("fetch_failures_total{{{labels}}}");
        assert_eq!(recorder.value(&key), expected, "{key}: {failures:?}");
    }
    assert_eq!(recorder.sum("fetch_failures_total"), 6.0, "{failures:?}");
}

/// conf: N1, N4
#[test]
fn each_reason_in_the_page_has_a_series_of_its_own() {
    let recorder = Recorder::default();
    recorder.run(one_paused_thread(), async {
        let refusals = REASONS.iter().map(|reason| {
            let details = ErrorDetails::with_error_info(reason, "iam.googleapis.com", []);
            Answer::details(Code::PermissionDenied, "no", details)
        });
        let script = Script::new(refusals);
        for _ in REASONS.iter() {
            let acting = script.client().impersonate(TARGET).access_token(["openid"]).unwrap();
            acting.token().await.unwrap_err();
        }
    });
    let prefix = "fetch_failures_total{code=PERMISSION_DENIED,kind=service,reason=";
    // A service that names the reason `none` or `other` names one that isn't in the list.
    let named = REASONS.iter().filter(|reason| !["none", "other"].contains(&reason.as_str()));
    let mut expected: Vec<_> = named.map(|reason| (format!("{prefix}{reason}}}"), 1.0)).collect();
    assert_eq!(expected.len(), 27);
    expected.push((format!("{prefix}other}}"), 2.0));
    expected.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert_eq!(recorder.starting_with(prefix), expected);
}

/// conf: N2, N3
#[test]
fn waiting_requests_are_counted_until_they_have_their_token_or_leave() {
    let recorder = Recorder::default();
    recorder.run(one_paused_thread(), async {
        let source = ScriptedSource::numbered().gated();
        let credentials = source.credentials();
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let credentials = credentials.clone();
                tokio::spawn(async move { credentials.token().await })
            })
            .collect();
        until("the fetch", || source.running() == 1).await;
        assert_eq!(recorder.value("cache_waiters"), 5.0);
        assert_eq!(recorder.value("fetches_in_progress"), 1.0);
        waiting[0].abort();
        waiting[1].abort();
        until("the end of two", || waiting[1].is_finished() && waiting[0].is_finished()).await;
        assert_eq!(recorder.value("cache_waiters"), 3.0);
        source.release(1);
        for task in waiting.into_iter().skip(2) {
            task.await.unwrap().unwrap();
        }
        assert_eq!(recorder.value("cache_waiters"), 0.0);
        assert_eq!(recorder.value("cache_waits_total"), 5.0);
    });
    assert_eq!(recorder.value("fetches_in_progress"), 0.0);
}

/// conf: N3
#[test]
fn a_fetch_whose_credentials_are_dropped_is_cancelled() {
    let recorder = Recorder::default();
    recorder.run(one_paused_thread(), async {
        let source = ScriptedSource::new([Outcome::Hang]);
        let credentials = source.credentials();
        tokio::time::timeout(Duration::from_secs(1), credentials.token()).await.unwrap_err();
        assert_eq!(recorder.value("fetches_in_progress"), 1.0);
        drop(credentials);
        until("the end of the fetch", || source.running() == 0).await;
    });
    assert_eq!(recorder.value("fetches_total{reason=empty,result=cancelled}"), 1.0);
    assert_eq!(recorder.value("fetches_in_progress"), 0.0);
}

/// conf: N3
#[test]
fn a_fetch_that_is_cancelled_before_its_turn_has_no_duration() {
    let recorder = Recorder::default();
    recorder.run(one_paused_thread(), async {
        let client = Script::always(Answer::Hang).client();
        let pool = ImpersonationPool::builder(client).max_in_flight(1).build();
        let acting = |target: &str| pool.impersonate(target).access_token(["openid"]).unwrap();
        let (one, other) =
            (acting("one@p.iam.gserviceaccount.com"), acting("other@p.iam.gserviceaccount.com"));
        for credentials in [&one, &other] {
            tokio::time::timeout(Duration::from_secs(1), credentials.token()).await.unwrap_err();
        }
        assert_eq!((pool.stats().in_flight(), pool.stats().waiting()), (1, 1));
        assert_eq!(recorder.value("fetches_in_progress"), 2.0);
    });
    assert_eq!(recorder.value("fetches_total{reason=empty,result=cancelled}"), 2.0);
    assert_eq!(recorder.value("fetch_duration_seconds{result=cancelled}"), 1.0);
    assert_eq!(recorder.value("fetches_in_progress"), 0.0);
}
