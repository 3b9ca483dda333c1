//! What impersonated credentials ask for, and what becomes of their options.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::emulator::client_of;
use crate::support::scripted_service::{Answer, SOURCE_TOKEN, Script, Seen, TARGET, builder};
use crate::support::token_source::ScriptedSource;
use gcp_iam_credentials::proto::*;
use gcp_iam_credentials::{Error, Finding, IamCredentialsClient, Impersonation, SourceInfo};
use serde_json::Value;
use tonic::Code;
use tonic_types::ErrorDetails;

const DELEGATES: [&str; 2] = ["first@example.com", "second@example.com"];
const HOUR: Duration = Duration::from_secs(3600);

fn full_names() -> Vec<String> {
    DELEGATES.map(|account| format!("projects/-/serviceAccounts/{account}")).to_vec()
}

fn payload(script: &Script) -> Value {
    let request: SignJwtRequest = script.seen().last().unwrap().decode();
    assert_eq!(request.delegates, full_names());
    serde_json::from_str(&request.payload).unwrap()
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// conf: P1
#[tokio::test]
async fn fresh_credentials_hold_no_token_and_send_nothing() {
    let script = Script::default();
    let acting = script.client().impersonate(TARGET).access_token(["s"]).unwrap();
    assert!(!acting.is_valid() && acting.cached().is_none() && acting.expires_at().is_none());
    assert_eq!(script.calls(), 0);
    acting.token().await.unwrap();
    assert!(acting.is_valid());
}

/// conf: P27, P30, R7
#[tokio::test]
async fn a_token_is_kept_and_a_set_lifetime_still_refreshes() {
    let script = Script::default();
    let acting =
        script.client().impersonate(TARGET).lifetime(Duration::from_secs(2)).access_token(["s"]).unwrap();
    for _ in 0..20 {
        acting.token().await.unwrap();
    }
    assert_eq!(script.calls(), 1);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    acting.token().await.unwrap();
    assert_eq!(script.calls(), 2);
}

/// conf: P6
#[tokio::test]
async fn a_self_signed_jwt_is_about_the_target_and_for_the_audience() {
    let script = Script::default();
    let how = script.client().impersonate(TARGET).delegates(DELEGATES).lifetime(HOUR / 2);
    let acting = how.self_signed_jwt("https://pubsub.googleapis.com/").unwrap();
    let token = acting.token().await.unwrap();
    let claims = payload(&script);
    assert_eq!(claims["iss"], TARGET);
    assert_eq!(claims["sub"], TARGET);
    assert_eq!(claims["aud"], "https://pubsub.googleapis.com/");
    let (issued, expiry) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    assert_eq!(expiry - issued, 1800);
    assert!(unix_now() - issued < 60);
    assert_eq!(token.expires_at(), Some(UNIX_EPOCH + Duration::from_secs(expiry)));
    assert!(token.secret().starts_with("header."));
}

/// conf: R9, P43
#[tokio::test]
async fn an_option_that_the_verb_cannot_use_is_an_error() {
    let script = Script::default();
    let client = script.client();
    let how = || client.impersonate(TARGET);
    let unique_id = || client.impersonate("1234567890");
    let user = "user@example.com";
    let outcomes: Vec<(&str, Result<(), Error>)> = vec![
        ("include_email", how().include_email(false).access_token(["s"]).map(drop)),
        ("include_email", how().include_email(true).self_signed_jwt("aud").map(drop)),
        ("include_email", how().include_email(true).signer().map(drop)),
        ("lifetime", how().lifetime(HOUR).id_token("aud").map(drop)),
        ("lifetime", how().lifetime(HOUR).signer().map(drop)),
        ("lifetime", how().lifetime(HOUR).subject(user).access_token(["s"]).map(drop)),
        ("lifetime", how().lifetime(HOUR * 2).self_signed_jwt("aud").map(drop)),
        ("subject", how().subject(user).id_token("aud").map(drop)),
        ("subject", how().subject(user).self_signed_jwt("aud").map(drop)),
        ("subject", how().subject(user).signer().map(drop)),
        ("subject", how().subject("nobody").access_token(["s"]).map(drop)),
        ("quota_project", how().quota_project("p").signer().map(drop)),
        ("quota_project", how().quota_project("a b").access_token(["s"]).map(drop)),
        ("target", unique_id().self_signed_jwt("aud").map(drop)),
        ("target", unique_id().signer().map(drop)),
        ("target", unique_id().subject(user).access_token(["s"]).map(drop)),
        ("audience", how().self_signed_jwt("").map(drop)),
    ];
    for (field, outcome) in outcomes {
        assert_eq!(outcome.expect_err(field).field(), Some(field));
    }
    unique_id().access_token(["s"]).unwrap();
    assert_eq!(script.calls(), 0);
}

/// conf: P35
#[tokio::test]
async fn a_subject_needs_the_public_universe() {
    let script = Script::default();
    let client = script.client_with(builder().universe_domain("universe.example"));
    let error = client.impersonate(TARGET).subject("user@example.com").access_token(["s"]).unwrap_err();
    assert_eq!(error.field(), Some("subject"));
    assert!(error.to_string().contains("universe.example"), "{error}");
}

/// conf: P41, P42, P37, R10
#[tokio::test]
async fn a_signer_signs_as_the_target_with_its_delegates_and_tells_the_key() {
    let script = Script::default();
    let signer = script.client().impersonate(TARGET).delegates(DELEGATES).signer().unwrap();
    assert_eq!(signer.email(), TARGET);
    let blob = signer.sign_blob("bytes").await.unwrap();
    assert_eq!(blob.key_id(), "key-1");
    let sent: SignBlobRequest = script.only().decode();
    assert_eq!((sent.delegates, sent.payload), (full_names(), b"bytes".to_vec()));
    assert_eq!(sent.name, format!("projects/-/serviceAccounts/{TARGET}"));

    let claims = serde_json::json!({ "sub": "someone" });
    let jwt = signer.sign_jwt(&claims).expires_in(HOUR).await.unwrap();
    assert_eq!(jwt.key_id(), "key-1");
    let sent = payload(&script);
    assert_eq!(sent["exp"].as_u64().unwrap() - sent["iat"].as_u64().unwrap(), 3600);
    assert_eq!(sent["sub"], "someone");
    signer.sign_jwt(&claims).await.unwrap();
    assert_eq!(payload(&script), claims);
    for error in [
        signer.sign_jwt(&claims).expires_in(Duration::ZERO).await.unwrap_err(),
        signer.sign_jwt(&claims).expires_in(HOUR * 13).await.unwrap_err(),
    ] {
        assert_eq!(error.field(), Some("expires_in"));
    }
}

/// conf: G73
#[tokio::test]
async fn a_signer_gets_over_a_broken_stream_and_a_503_and_reports_a_500() {
    let script = Script::new([Answer::Break, Answer::unavailable()]);
    let server = script.serve().await;
    let signer = server.client().impersonate(TARGET).signer().unwrap();
    signer.sign_blob("bytes").await.unwrap();
    assert_eq!((script.calls(), signer.email()), (3, TARGET));

    let script = Script::always(Answer::status(Code::Internal, "broken"));
    let error = script.client().impersonate(TARGET).signer().unwrap().sign_blob("bytes").await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), (Code::Internal, true));
}

/// conf: P11, R8, P46, P10, P12
#[tokio::test]
async fn a_copy_keeps_every_option_and_shares_no_token() {
    let script = Script::default();
    let how: Impersonation =
        script.client().impersonate(TARGET).delegates(DELEGATES).lifetime(HOUR * 2).quota_project("billed");
    let first = how.clone().access_token(["one"]).unwrap();
    first.token().await.unwrap();
    let second = how.clone().access_token(["two"]).unwrap();
    assert!(!second.is_valid());
    second.token().await.unwrap();
    for (seen, scope) in script.seen().iter().zip(["one", "two"]) {
        let request: GenerateAccessTokenRequest = seen.decode();
        assert_eq!(request.delegates, full_names());
        assert_eq!(request.scope, [scope]);
        assert_eq!(request.lifetime.unwrap().seconds, 7200);
        // It is for calls with the credentials, not for those that get them.
        assert_eq!(seen.header("x-goog-user-project"), None);
    }
    assert_eq!(second.info().known_quota_project(), Some("billed"));

    let with_email = script.client().impersonate(TARGET).include_email(true);
    for audience in ["one", "two"] {
        with_email.clone().id_token(audience).unwrap().token().await.unwrap();
        let request: GenerateIdTokenRequest = script.seen().last().unwrap().decode();
        assert_eq!((request.audience.as_str(), request.include_email), (audience, true));
    }
    let debug = format!("{:?}", how.subject("user@example.com"));
    assert!(debug.contains("user@example.com") && debug.contains("first@example.com"), "{debug}");
}

/// conf: P57, G71, M27
#[tokio::test]
async fn impersonation_nests_to_any_depth() {
    let script = Script::default();
    let mut client: IamCredentialsClient = script.client();
    for depth in 0..4 {
        let acting = client.impersonate(format!("hop-{depth}@example.com")).access_token(["s"]).unwrap();
        client = script.client_with(builder().credentials(acting));
    }
    client.sign_blob(TARGET, "bytes").await.unwrap();
    let bearers: Vec<String> =
        script.seen().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
    let expected: Vec<String> = std::iter::once(format!("Bearer {}", SOURCE_TOKEN))
        .chain((0..4).map(|depth| format!("Bearer token-of-hop-{depth}@example.com")))
        .collect();
    assert_eq!(bearers, expected);
}

/// conf: G64
#[tokio::test]
async fn settings_of_the_impersonation_do_not_reach_its_source() {
    let script = Script::default();
    let source = script.client().impersonate("source@example.com").access_token(["narrow"]).unwrap();
    let client = script.client_with(builder().credentials(source).quota_project("billing"));
    let acting =
        client.impersonate(TARGET).delegates(DELEGATES).lifetime(HOUR / 2).access_token(["wide"]).unwrap();
    acting.token().await.unwrap();
    let seen = script.seen();
    let of_source: GenerateAccessTokenRequest = seen[0].decode();
    assert_eq!((of_source.scope, of_source.delegates), (vec!["narrow".to_owned()], vec![]));
    assert_eq!(of_source.lifetime.unwrap().seconds, 3600);
    assert_eq!(seen[0].header("x-goog-user-project"), None);
    assert_eq!(seen[1].header("x-goog-user-project"), Some("billing"));
}

/// conf: M30
#[tokio::test]
async fn a_diagnosis_names_the_hop_the_grant_and_the_command() {
    let denied = |permission: &str| {
        let metadata = [("permission".to_owned(), permission.to_owned())];
        let details = ErrorDetails::with_error_info("IAM_PERMISSION_DENIED", "iam.googleapis.com", metadata);
        Answer::details(
            Code::PermissionDenied,
            "Permission denied on resource (or it may not exist).",
            details,
        )
    };
    let get = "iam.serviceAccounts.getAccessToken";

    // The whole chain works.
    let script = Script::default();
    let diagnosis = script.client().diagnose(TARGET, DELEGATES).await.unwrap();
    assert!(diagnosis.is_allowed() && diagnosis.failure().is_none());
    assert_eq!((diagnosis.hops().len(), script.calls()), (3, 1));

    // The target refuses the last delegate.
    let script = Script::new([denied(get), Answer::Ok, Answer::Ok]);
    let diagnosis = script.client().diagnose(TARGET, DELEGATES).await.unwrap();
    let failure = diagnosis.failure().unwrap();
    assert_eq!((failure.principal(), failure.account()), (Some("second@example.com"), TARGET));
    assert!(matches!(failure.finding(), Finding::MissingRole { certain: true, .. }));
    let command = failure.command().unwrap();
    for word in
        [TARGET, "second@example.com", "roles/iam.serviceAccountTokenCreator", "add-iam-policy-binding"]
    {
        assert!(command.contains(word), "{command}");
    }
    assert!(diagnosis.to_string().contains(&command), "{diagnosis}");

    // The first delegate refuses the caller: the rest is not tried.
    let script = Script::new([denied("iam.serviceAccounts.implicitDelegation"), denied(get)]);
    let diagnosis = script.client().diagnose(TARGET, DELEGATES).await.unwrap();
    let failure = diagnosis.failure().unwrap();
    assert_eq!((failure.principal(), failure.account()), (None, "first@example.com"));
    assert!(matches!(failure.finding(), Finding::MissingRole { certain: false, .. }));
    assert!(failure.to_string().contains("likely"), "{failure}");
    assert_eq!(script.calls(), 2);
    let probes: Vec<GenerateAccessTokenRequest> = script.seen().iter().map(Seen::decode).collect();
    assert_eq!((probes[0].delegates.len(), probes[1].delegates.len()), (2, 0));
    assert!(probes.iter().all(|probe| probe.scope == [gcp_iam_credentials::scopes::USERINFO_EMAIL]));
}

/// conf: M30
#[tokio::test]
async fn a_diagnosis_tells_the_other_causes_apart() {
    let info = |reason: &str, consumer: &str| {
        let metadata = [("consumer".to_owned(), consumer.to_owned())];
        ErrorDetails::with_error_info(reason, "googleapis.com", metadata)
    };
    type Check = fn(&Finding) -> bool;
    let cases: [(Answer, Check, &str); 6] = [
        (
            Answer::details(Code::PermissionDenied, "", info("SERVICE_DISABLED", "projects/42")),
            |finding| matches!(finding, Finding::ApiDisabled { project: Some(project) } if project == "42"),
            "gcloud services enable iamcredentials.googleapis.com --project=42",
        ),
        (
            Answer::details(Code::PermissionDenied, "", info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "")),
            |finding| matches!(finding, Finding::ScopeInsufficient),
            "cloud-platform",
        ),
        (
            Answer::details(Code::PermissionDenied, "", info("USER_PROJECT_DENIED", "projects/7")),
            |finding| matches!(finding, Finding::QuotaProjectDenied { project: Some(project) } if project == "7"),
            "serviceUsageConsumer",
        ),
        (
            Answer::status(Code::NotFound, "Not found; Gaia id not found for email"),
            |finding| matches!(finding, Finding::UnknownAccount),
            TARGET,
        ),
        (
            Answer::status(Code::Unauthenticated, "bad token"),
            |finding| matches!(finding, Finding::BadSource(_)),
            "gcloud auth",
        ),
        (
            Answer::status(Code::FailedPrecondition, "odd"),
            |finding| matches!(finding, Finding::Other(_)),
            "odd",
        ),
    ];
    for (answer, expected, words) in cases {
        let script = Script::always(answer);
        let none: [&str; 0] = [];
        let diagnosis = script.client().diagnose(TARGET, none).await.unwrap();
        let failure = diagnosis.failure().unwrap();
        assert!(expected(failure.finding()), "{failure:?}");
        assert!(diagnosis.to_string().contains(words), "{diagnosis}");
    }
    let broken = ScriptedSource::failing(Error::permanent("no key")).credentials();
    let client = Script::default().client_with(builder().credentials(broken));
    let diagnosis = client.diagnose(TARGET, DELEGATES).await.unwrap();
    assert!(matches!(diagnosis.failure().unwrap().finding(), Finding::BadSource(_)));
    let error = client.diagnose("nobody", DELEGATES).await.unwrap_err();
    assert_eq!(error.field(), Some("target"));
}

/// conf: P34
#[tokio::test]
async fn a_subject_is_acted_for_without_a_key() {
    use gcp_iam_credentials::emulator::Emulator;
    let emulator = Emulator::builder().start().await.unwrap();
    let client = client_of(&emulator);
    let how = client.impersonate(TARGET).subject("user@corp.example");
    let acting =
        how.access_token([gcp_iam_credentials::scopes::PUBSUB, "https://example.com/other"]).unwrap();
    let token = acting.token().await.unwrap();
    let known = emulator.verify_access_token(token.secret()).unwrap();
    assert_eq!(known.principal, "user:user@corp.example");
    assert_eq!(known.scopes, [gcp_iam_credentials::scopes::PUBSUB, "https://example.com/other"]);
    let left = token.expires_at().unwrap().duration_since(SystemTime::now()).unwrap();
    assert!(left > HOUR - Duration::from_secs(120) && left <= HOUR, "{left:?}");
    assert_eq!(acting.info().known_principal(), Some("user@corp.example"));
}

/// conf: P42
#[tokio::test]
async fn what_was_signed_is_checked_against_the_published_keys() {
    use gcp_iam_credentials::PublicKeys;
    use gcp_iam_credentials::emulator::Emulator;
    use http_body_util::{BodyExt, Empty};
    use hyper_util::client::legacy::Client;

    let emulator = Emulator::builder().start().await.unwrap();
    let client = client_of(&emulator);
    let keys = async |account: &str| {
        let http = Client::builder(hyper_util::rt::TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
        let page = PublicKeys::url(account).replace("https://www.googleapis.com", emulator.endpoint());
        let reply = http.get(page.parse().unwrap()).await.unwrap().into_body().collect().await.unwrap();
        PublicKeys::from_jwks(std::str::from_utf8(&reply.to_bytes()).unwrap()).unwrap()
    };
    let signer = client.impersonate(TARGET).signer().unwrap();
    let blob = signer.sign_blob("bytes").await.unwrap();
    let claims = serde_json::json!({ "sub": "someone" });
    let jwt = signer.sign_jwt(&claims).await.unwrap();

    let own = keys(TARGET).await;
    own.verify_blob(&blob, b"bytes").unwrap();
    assert_eq!(own.verify_jwt(&jwt).unwrap(), claims);
    assert_eq!(own.verify_blob(&blob, b"other bytes").unwrap_err().field(), Some("signature"));

    client.sign_blob("other@example.com", "").await.unwrap();
    let foreign = keys("other@example.com").await;
    assert_eq!(foreign.verify_blob(&blob, b"bytes").unwrap_err().field(), Some("key_id"));
    assert_eq!(foreign.verify_jwt(&jwt).unwrap_err().field(), Some("key_id"));

    emulator.rotate_key(TARGET).await.unwrap();
    let newer = signer.sign_blob("bytes").await.unwrap();
    assert_eq!(own.verify_blob(&newer, b"bytes").unwrap_err().field(), Some("key_id"));
    let own = keys(TARGET).await;
    own.verify_blob(&newer, b"bytes").unwrap();
    own.verify_blob(&blob, b"bytes").unwrap();
}

/// conf: M30
#[tokio::test]
async fn a_diagnosis_finds_the_one_grant_that_is_missing() {
    use gcp_iam_credentials::emulator::{Emulator, Policy};

    const ROLE: &str = "roles/iam.serviceAccountTokenCreator";
    let chain = ["user:alice@corp.example", DELEGATES[0], DELEGATES[1], TARGET];
    let info = || SourceInfo::new().principal("alice@corp.example");
    let alice = || ScriptedSource::tokens(["alice-token"]).with_info(info()).credentials();
    for missing in [None, Some(0), Some(1), Some(2)] {
        let mut policy = Policy::new().token("alice-token", chain[0]);
        for (hop, pair) in chain.windows(2).enumerate() {
            policy = policy.account(pair[1]);
            if Some(hop) != missing {
                let member =
                    if hop == 0 { pair[0].to_owned() } else { format!("serviceAccount:{}", pair[0]) };
                policy = policy.grant(&member, ROLE, pair[1]);
            }
        }
        let emulator = Emulator::builder().policy(policy).start().await.unwrap();
        let client = IamCredentialsClient::builder().credentials(alice()).endpoint(emulator.endpoint());
        let client = client.build().unwrap();
        let diagnosis = client.diagnose(TARGET, DELEGATES).await.unwrap();
        let Some(hop) = missing else {
            assert!(diagnosis.is_allowed(), "{diagnosis}");
            continue;
        };
        let failure = diagnosis.failure().unwrap();
        assert_eq!(failure.account(), chain[hop + 1], "{diagnosis}");
        assert_eq!(failure.principal(), Some(chain[hop].trim_start_matches("user:")), "{diagnosis}");
        assert!(matches!(failure.finding(), Finding::MissingRole { role, .. } if role == ROLE));

        // The command that it prints, carried out, mends it.
        let member = if hop == 0 { chain[0].to_owned() } else { format!("serviceAccount:{}", chain[hop]) };
        assert!(
            failure
                .command()
                .unwrap()
                .contains(&format!("{} --member={member} --role={ROLE}", chain[hop + 1]))
        );
        emulator.grant(&member, ROLE, chain[hop + 1]).unwrap();
        assert!(client.diagnose(TARGET, DELEGATES).await.unwrap().is_allowed());
    }
}
