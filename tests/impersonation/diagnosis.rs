//! Which grant is missing: diagnoses of a scripted service and of the emulator.

use gcp_iam_credentials::diagnosis::{DiagnosedHop, Diagnosis, Finding, Operation};
use gcp_iam_credentials::emulator::{Emulator, Policy, Role};
use gcp_iam_credentials::proto::*;
use gcp_iam_credentials::source::SourceInfo;
use gcp_iam_credentials::{Error, IamCredentialsClient};
use tonic::Code;
use tonic_types::ErrorDetails;

use crate::DELEGATES;
use crate::support::accounts::{TARGET, member};
use crate::support::scripted_service::{Answer, Received, Script, builder};
use crate::support::token_source::ScriptedSource;

const GET_ACCESS_TOKEN: &str = "iam.serviceAccounts.getAccessToken";

async fn diagnose(client: &IamCredentialsClient) -> Result<Diagnosis, Error> {
    client.impersonate(TARGET).delegates(DELEGATES).diagnose(Operation::AccessToken).await
}

/// Refuses a call because this permission is missing.
fn denied(permission: &str) -> Answer {
    let metadata = [("permission".to_owned(), permission.to_owned())];
    let details = ErrorDetails::with_error_info("IAM_PERMISSION_DENIED", "iam.googleapis.com", metadata);
    Answer::details(Code::PermissionDenied, "Permission denied on resource (or it may not exist).", details)
}

/// conf: M30
#[tokio::test]
async fn a_diagnosis_of_a_working_chain_has_no_failure_and_makes_one_call() {
    let script = Script::default();
    let diagnosis = diagnose(&script.client()).await.unwrap();
    assert!(diagnosis.is_allowed() && diagnosis.failure().is_none());
    assert_eq!((diagnosis.hops().len(), script.calls()), (3, 1));
}

/// conf: M30
#[tokio::test]
async fn a_diagnosis_names_the_refused_delegate_the_role_and_the_command() {
    let script = Script::new([denied(GET_ACCESS_TOKEN), Answer::Ok, Answer::Ok]);
    let diagnosis = diagnose(&script.client()).await.unwrap();
    let failure = diagnosis.failure().unwrap();
    assert_eq!((failure.principal(), failure.account()), (Some("second@example.com"), TARGET));
    assert!(matches!(failure.finding(), Finding::MissingRole { certain: true, .. }));
    let fix = failure.fix().unwrap();
    let command = fix.command().unwrap();
    assert!(fix.changes() && !fix.is_member_likely() && fix.placeholder().is_none(), "{fix:?}");
    assert!(
        fix.advice().starts_with("grant roles/iam.serviceAccountTokenCreator, which includes"),
        "{fix:?}"
    );
    for word in
        [TARGET, "second@example.com", "roles/iam.serviceAccountTokenCreator", "add-iam-policy-binding"]
    {
        assert!(command.contains(word), "{command}");
    }
    assert!(diagnosis.to_string().contains(command), "{diagnosis}");
    let permissions: Vec<&str> = diagnosis.hops().iter().map(DiagnosedHop::permission).collect();
    let delegation = "iam.serviceAccounts.implicitDelegation";
    assert_eq!(permissions, [delegation, delegation, GET_ACCESS_TOKEN]);
}

/// conf: M30, A11
#[tokio::test]
async fn a_service_that_names_the_missing_delegation_proves_which_hop_fails() {
    let script = Script::new([denied("iam.serviceAccounts.implicitDelegation"), denied(GET_ACCESS_TOKEN)]);
    let diagnosis = diagnose(&script.client()).await.unwrap();
    let failure = diagnosis.failure().unwrap();
    assert_eq!((failure.principal(), failure.account()), (Some("first@example.com"), "second@example.com"));
    assert!(matches!(failure.finding(), Finding::MissingRole { certain: true, .. }), "{failure}");
    assert!(failure.to_string().contains(": missing: iam.serviceAccounts.implicitDelegation"), "{failure}");
    assert_eq!(diagnosis.candidates().count(), 1);
}

/// conf: M30, A11
#[tokio::test]
async fn a_diagnosis_that_is_not_certain_says_likely_and_makes_four_calls_for_each_account() {
    let script = Script::always(denied(GET_ACCESS_TOKEN));
    let diagnosis = diagnose(&script.client()).await.unwrap();
    let failure = diagnosis.failure().unwrap();
    assert_eq!((failure.principal(), failure.account()), (None, "first@example.com"));
    assert!(matches!(failure.finding(), Finding::MissingRole { certain: false, .. }), "{failure}");
    assert!(failure.to_string().contains("likely"), "{failure}");
    // The command can't name a caller that isn't known.
    assert_eq!(failure.fix().unwrap().placeholder(), Some("MEMBER"));

    let received = script.received();
    assert_eq!(received.len(), 12);
    for (method, calls) in
        [("GenerateAccessToken", 3), ("GenerateIdToken", 3), ("SignBlob", 3), ("SignJwt", 3)]
    {
        assert_eq!(received.iter().filter(|call| call.path.ends_with(method)).count(), calls, "{method}");
    }
    let tokens = received.iter().filter(|call| call.path.ends_with("GenerateAccessToken"));
    for (probe, delegates) in tokens.map(Received::decode::<GenerateAccessTokenRequest>).zip([2, 1, 0]) {
        assert_eq!(probe.delegates.len(), delegates);
        assert_eq!(probe.scope, [gcp_iam_credentials::scopes::USERINFO_EMAIL]);
    }
}

/// conf: I55
#[tokio::test]
async fn an_outage_in_the_middle_of_a_diagnosis_blames_no_grant() {
    let away = Answer::unavailable;
    // The target is refused, and the next call fails, with its retries. Then the service is back.
    for (before, calls) in [(vec![], 3), (vec![denied(GET_ACCESS_TOKEN)], 4), (vec![unknown()], 4)] {
        let script = Script::new(before.into_iter().chain([away(), away(), away()]));
        let diagnosis = diagnose(&script.client()).await.unwrap();
        let failure = diagnosis.failure().unwrap();
        let Finding::Other(error) = failure.finding() else { panic!("{diagnosis}") };
        assert!(error.is_transient(), "{error:?}");
        assert_eq!(failure.account(), "first@example.com", "nothing is known about the other hops");
        assert!(failure.fix().is_none() && !diagnosis.to_string().contains("gcloud"), "{diagnosis}");
        assert_eq!(script.calls(), calls, "{diagnosis}");
    }
}

fn unknown() -> Answer {
    Answer::status(Code::NotFound, "Not found; Gaia id not found for email")
}

/// Refuses a call with this reason, as Google's API front end does.
fn refused(reason: &str, consumer: &str) -> Answer {
    let metadata = [("consumer".to_owned(), consumer.to_owned())];
    let details = ErrorDetails::with_error_info(reason, "googleapis.com", metadata);
    Answer::details(Code::PermissionDenied, "", details)
}

/// Diagnoses a target whose service gives this answer. The text of the diagnosis has these words.
async fn finding(answer: Answer, words: &str) -> Finding {
    let acting = Script::always(answer).client().impersonate(TARGET);
    let diagnosis = acting.diagnose(Operation::AccessToken).await.unwrap();
    assert!(diagnosis.to_string().contains(words), "{words:?} is not in: {diagnosis}");
    diagnosis.failure().unwrap().finding().clone()
}

/// conf: M30
#[cfg(feature = "credential-files")]
#[tokio::test]
async fn each_operation_is_tried_on_the_target_by_its_own_call() {
    const SUBJECT: &str = "user@corp.example";
    for (operation, subject, method, permission) in [
        (Operation::AccessToken, None, "GenerateAccessToken", "iam.serviceAccounts.getAccessToken"),
        (Operation::IdToken, None, "GenerateIdToken", "iam.serviceAccounts.getOpenIdToken"),
        (Operation::SignBlob, None, "SignBlob", "iam.serviceAccounts.signBlob"),
        (Operation::SignJwt, None, "SignJwt", "iam.serviceAccounts.signJwt"),
        (Operation::AccessToken, Some(SUBJECT), "SignJwt", "iam.serviceAccounts.signJwt"),
    ] {
        let options = |client: &IamCredentialsClient| {
            let acting = client.impersonate(TARGET).delegates(DELEGATES);
            subject.map_or(acting.clone(), |subject| acting.subject(subject))
        };
        let script = Script::default();
        assert!(options(&script.client()).diagnose(operation).await.unwrap().is_allowed());
        let path = &script.only_request().path;
        assert_eq!(path.rsplit('/').next(), Some(method));

        // The service refuses without naming the permission, and the delegates are in order.
        let denied = Answer::status(Code::PermissionDenied, "The caller does not have permission");
        let script = Script::new([denied, Answer::Ok]);
        let diagnosis = options(&script.client()).diagnose(operation).await.unwrap();
        let failure = diagnosis.failure().unwrap();
        assert_eq!(failure.account(), TARGET);
        let Finding::MissingRole { permission: named, certain, .. } = failure.finding() else {
            panic!("{diagnosis}");
        };
        assert_eq!((named.as_str(), *certain), (permission, true));
        assert_eq!(script.calls(), 4, "each operation on the target");
    }
}

#[tokio::test]
async fn a_diagnosis_takes_the_options_of_the_operation_that_it_diagnoses() {
    let script = Script::default();
    let client = script.client();
    let acting = || client.impersonate(TARGET);
    let lifetime = std::time::Duration::from_secs(600);
    for (field, acting, operation) in [
        ("lifetime", acting().lifetime(lifetime), Operation::IdToken),
        ("lifetime", acting().lifetime(lifetime), Operation::SignBlob),
        ("lifetime", acting().lifetime(lifetime * 100), Operation::AccessToken),
        ("lifetime", acting().lifetime(lifetime * 7), Operation::SignJwt),
        ("include_email", acting().include_email(true), Operation::AccessToken),
        ("subject", acting().subject("user@corp.example"), Operation::SignJwt),
        ("quota_project", acting().quota_project("a b"), Operation::IdToken),
        ("delegates[0]", acting().delegates(["nobody"]), Operation::AccessToken),
    ] {
        assert_eq!(acting.diagnose(operation).await.unwrap_err().field(), Some(field), "{operation:?}");
    }
    assert_eq!(script.calls(), 0);
    acting().lifetime(lifetime).quota_project("billed").diagnose(Operation::AccessToken).await.unwrap();
    let probe: GenerateAccessTokenRequest = script.only_request().decode();
    assert_eq!(probe.lifetime.unwrap().seconds, 600);
}

/// conf: M30
#[tokio::test]
async fn a_diagnosis_distinguishes_the_reasons_of_a_permission_denied() {
    let command = "gcloud services enable iamcredentials.googleapis.com --project=42";
    let disabled = finding(refused("SERVICE_DISABLED", "projects/42"), command).await;
    assert!(matches!(&disabled, Finding::ApiDisabled { project: Some(project) } if project == "42"));
    let scope = finding(refused("ACCESS_TOKEN_SCOPE_INSUFFICIENT", ""), "cloud-platform").await;
    assert!(matches!(scope, Finding::ScopeInsufficient), "{scope:?}");
    let quota = finding(refused("USER_PROJECT_DENIED", "projects/7"), "serviceUsageConsumer").await;
    assert!(matches!(&quota, Finding::QuotaProjectDenied { project: Some(project) } if project == "7"));
}

/// conf: M30
#[tokio::test]
async fn a_diagnosis_distinguishes_the_other_codes() {
    let unknown = finding(unknown(), TARGET).await;
    assert!(matches!(unknown, Finding::UnknownAccount), "{unknown:?}");
    let source = finding(Answer::status(Code::Unauthenticated, "bad token"), "gcloud auth").await;
    assert!(matches!(source, Finding::SourceFailed(_)), "{source:?}");
    let other = finding(Answer::status(Code::FailedPrecondition, "odd"), "odd").await;
    assert!(matches!(other, Finding::Other(_)), "{other:?}");
}

/// conf: M30
#[tokio::test]
async fn a_failing_source_is_a_finding_and_an_invalid_target_an_error() {
    let failing = ScriptedSource::failing(Error::permanent("no key")).credentials();
    let client = Script::default().client_with(builder().credentials(failing));
    let diagnosis = diagnose(&client).await.unwrap();
    assert!(matches!(diagnosis.failure().unwrap().finding(), Finding::SourceFailed(_)));
    let error = client.impersonate("nobody").diagnose(Operation::AccessToken).await.unwrap_err();
    assert_eq!(error.field(), Some("target"));
}

const ALICE: &str = "user:alice@corp.example";

/// The members of the chain, each of which needs a grant on the next account.
fn chain() -> [String; 3] {
    [ALICE.to_owned(), member(DELEGATES[0]), member(DELEGATES[1])]
}

/// The accounts of the chain, each with the member of the same index as its caller.
const ACCOUNTS: [&str; 3] = [DELEGATES[0], DELEGATES[1], TARGET];

/// Returns an emulator whose policy grants the whole chain except for one hop, and Alice's client.
async fn chain_without(missing: Option<usize>) -> (Emulator, IamCredentialsClient) {
    let mut policy = Policy::new().token("alice-token", ALICE);
    for (hop, (member, account)) in chain().iter().zip(ACCOUNTS).enumerate() {
        policy = policy.account(account);
        if Some(hop) != missing {
            policy = policy.grant(member, Role::TOKEN_CREATOR, account);
        }
    }
    let emulator = Emulator::builder().policy(policy).start().await.unwrap();
    let info = SourceInfo::new().with_principal("alice@corp.example");
    let alice = ScriptedSource::tokens(["alice-token"]).with_info(info).credentials();
    let client = IamCredentialsClient::builder().credentials(alice).endpoint(emulator.endpoint());
    let client = client.build().unwrap();
    (emulator, client)
}

/// conf: M30
#[tokio::test]
async fn a_diagnosis_of_a_complete_chain_is_allowed() {
    let (_emulator, client) = chain_without(None).await;
    let diagnosis = diagnose(&client).await.unwrap();
    assert!(diagnosis.is_allowed(), "{diagnosis}");
}

/// conf: M30
#[tokio::test]
async fn a_diagnosis_finds_the_missing_grant_and_its_command_adds_it() {
    for (missing, (member, account)) in chain().iter().zip(ACCOUNTS).enumerate() {
        let (emulator, client) = chain_without(Some(missing)).await;
        let diagnosis = diagnose(&client).await.unwrap();
        let failure = diagnosis.failure().unwrap();
        assert_eq!(failure.account(), account, "{diagnosis}");
        let (_kind, principal) = member.split_once(':').unwrap();
        assert_eq!(failure.principal(), Some(principal), "{diagnosis}");
        let role = Role::TOKEN_CREATOR.to_string();
        assert!(matches!(failure.finding(), Finding::MissingRole { role: found, .. } if *found == role));

        // The printed command grants what is missing.
        let fix = failure.fix().unwrap();
        let command = fix.command().unwrap();
        assert!(command.contains(&format!("{account} --member={member} --role={role}")), "{command}");
        emulator.policy().grant(member, Role::TOKEN_CREATOR, account).unwrap();
        assert!(diagnose(&client).await.unwrap().is_allowed());
    }
}
