//! The emulator's policy: who is allowed what, and how a refusal looks.

use std::time::Duration;

use gcp_iam_credentials::emulator::{
    DisabledAccount, Emulator, Method, MiddleHop, Policy, ProjectInName, Role, UnknownAccount,
};
use gcp_iam_credentials::proto::{
    GenerateAccessTokenRequest, GenerateIdTokenRequest, SignBlobRequest, SignJwtRequest,
};
use gcp_iam_credentials::{scopes, service_account_path};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::emulator::{EMAIL, access_token, rest, stub, with_bearer};

const ALICE: &str = "user:alice@example.com";
const TOKEN: &str = "alice-token";
const METHODS: [Method; 4] =
    [Method::GenerateAccessToken, Method::GenerateIdToken, Method::SignBlob, Method::SignJwt];

async fn start(policy: Policy) -> Emulator {
    Emulator::builder().policy(policy.token(TOKEN, ALICE)).start().await.unwrap()
}

/// Returns an account of the delegation chain `level-0`, `level-1`, …, whose last one is the target.
fn account(level: usize) -> String {
    format!("level-{level}@project.iam.gserviceaccount.com")
}

fn member(level: Option<usize>) -> String {
    level.map_or(ALICE.to_owned(), |level| format!("serviceAccount:{}", account(level)))
}

/// Calls a method for the last account of a chain, through all others as delegates.
async fn ask(emulator: &Emulator, method: Method, hops: usize) -> Result<(), Status> {
    let delegates: Vec<_> = (0..hops).map(|level| service_account_path("-", &account(level))).collect();
    let name = service_account_path("-", &account(hops));
    let mut stub = stub(emulator);
    match method {
        Method::GenerateAccessToken => {
            let request = GenerateAccessTokenRequest { delegates, ..access_token(&account(hops)) };
            stub.generate_access_token(with_bearer(request, TOKEN)).await.map(drop)
        }
        Method::GenerateIdToken => {
            let request =
                GenerateIdTokenRequest { name, delegates, audience: "a".to_owned(), include_email: false };
            stub.generate_id_token(with_bearer(request, TOKEN)).await.map(drop)
        }
        Method::SignBlob => {
            let request = SignBlobRequest { name, delegates, payload: b"blob".to_vec() };
            stub.sign_blob(with_bearer(request, TOKEN)).await.map(drop)
        }
        _ => {
            let request = SignJwtRequest { name, delegates, payload: "{}".to_owned() };
            stub.sign_jwt(with_bearer(request, TOKEN)).await.map(drop)
        }
    }
}

fn permission(method: Method) -> &'static str {
    match method {
        Method::GenerateAccessToken => "iam.serviceAccounts.getAccessToken",
        Method::GenerateIdToken => "iam.serviceAccounts.getOpenIdToken",
        Method::SignBlob => "iam.serviceAccounts.signBlob",
        _ => "iam.serviceAccounts.signJwt",
    }
}

fn refused_permission(status: &Status) -> String {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no details: {status:?}"));
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("IAM_PERMISSION_DENIED", "iam.googleapis.com"));
    let permission = info.metadata["permission"].clone();
    let message = format!("Permission '{permission}' denied on resource (or it may not exist).");
    assert_eq!(status.message(), message);
    permission
}

#[tokio::test]
async fn every_grant_of_a_chain_is_needed_and_the_right_hop_is_refused() {
    let emulator = start(Policy::new()).await;
    for hops in 0..=3_usize {
        let links: Vec<_> = (0..=hops).map(|level| (member(level.checked_sub(1)), account(level))).collect();
        let whole = links.iter().fold(Policy::new().token(TOKEN, ALICE), |policy, (member, account)| {
            policy.grant(member, Role::TOKEN_CREATOR, account)
        });
        emulator.policy().set(whole.clone()).unwrap();
        for method in METHODS {
            ask(&emulator, method, hops)
                .await
                .unwrap_or_else(|status| panic!("{method}, {hops}: {status:?}"));
        }
        for (missing, (member, account)) in links.iter().enumerate() {
            emulator.policy().set(whole.clone()).unwrap();
            assert!(emulator.policy().revoke(member, Role::TOKEN_CREATOR, account).unwrap());
            for method in METHODS {
                let status = ask(&emulator, method, hops).await.expect_err("a grant is missing");
                let expected = if missing < hops {
                    "iam.serviceAccounts.implicitDelegation"
                } else {
                    permission(method)
                };
                assert_eq!(refused_permission(&status), expected, "{method}: {missing} of {hops} is missing");
                let entry = emulator.journal().entries().pop().unwrap();
                assert_eq!(
                    entry.outcome().unwrap().hop(),
                    Some(missing),
                    "{method}: {missing} of {hops} is missing"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_permission_that_a_delegates_refusal_names_is_configurable() {
    let policy = Policy::new().account(&account(0)).account(&account(1)).middle_hop(MiddleHop::Action);
    let emulator = start(policy).await;
    let status = ask(&emulator, Method::SignBlob, 1).await.unwrap_err();
    assert_eq!(refused_permission(&status), "iam.serviceAccounts.signBlob");
}

#[tokio::test]
async fn a_role_grants_exactly_its_permissions() {
    for (role, allowed) in [
        (Role::TOKEN_CREATOR, &METHODS[..]),
        (Role::WORKLOAD_IDENTITY_USER, &METHODS[..2]),
        (Role::SERVICE_ACCOUNT_USER, &[]),
        (Role::OWNER, &[]),
        ("projects/p/roles/signer".parse().unwrap(), &METHODS[2..3]),
    ] {
        let policy = Policy::new().role("projects/p/roles/signer", ["iam.serviceAccounts.signBlob"]).grant(
            ALICE,
            &role,
            &account(0),
        );
        let emulator = start(policy).await;
        for method in METHODS {
            assert_eq!(
                ask(&emulator, method, 0).await.is_ok(),
                allowed.contains(&method),
                "{role}: {method}"
            );
        }
    }
    // A delegate needs implicit delegation, which the workload identity role lacks.
    let policy = Policy::new().grant(ALICE, Role::WORKLOAD_IDENTITY_USER, &account(0)).grant(
        member(Some(0)),
        Role::TOKEN_CREATOR,
        &account(1),
    );
    let emulator = start(policy).await;
    ask(&emulator, Method::GenerateAccessToken, 1).await.unwrap_err();
}

#[tokio::test]
async fn grants_to_groups_and_domains_and_on_projects_apply() {
    let policies = [
        Policy::new()
            .group("inner@example.com", [ALICE])
            .group("outer@example.com", ["group:inner@example.com"])
            .grant("group:outer@example.com", Role::TOKEN_CREATOR, EMAIL),
        Policy::new().grant("domain:example.com", Role::TOKEN_CREATOR, EMAIL),
        Policy::new().grant("allAuthenticatedUsers", Role::TOKEN_CREATOR, EMAIL),
        Policy::new().account(EMAIL).grant_on_project(ALICE, Role::TOKEN_CREATOR, "project"),
    ];
    for policy in policies {
        let emulator = start(policy.clone()).await;
        let call = stub(&emulator).generate_access_token(with_bearer(access_token(EMAIL), TOKEN)).await;
        assert!(call.is_ok(), "{policy:?}: {call:?}");
    }
    let other = Policy::new().grant("domain:example.org", Role::TOKEN_CREATOR, EMAIL);
    let emulator = start(other).await;
    stub(&emulator).generate_access_token(with_bearer(access_token(EMAIL), TOKEN)).await.unwrap_err();
}

#[tokio::test]
async fn a_grant_to_a_federated_principal_or_to_its_whole_pool_applies() {
    let pool = "//iam.googleapis.com/projects/12/locations/global/workloadIdentityPools/ci";
    for (member, allowed) in [
        (format!("principal:{pool}/subject/repo:octo/shop"), true),
        (format!("principal:{pool}/subject/repo:octo/other"), false),
        (format!("principalSet:{pool}/*"), true),
        (format!("principalSet:{pool}2/*"), false),
        (format!("principalSet:{pool}/group/admins"), false),
    ] {
        let policy = Policy::new().token("job", format!("principal:{pool}/subject/repo:octo/shop")).grant(
            member.as_str(),
            Role::WORKLOAD_IDENTITY_USER,
            EMAIL,
        );
        let emulator = start(policy).await;
        let reply = stub(&emulator).generate_access_token(with_bearer(access_token(EMAIL), "job")).await;
        let expected = if allowed { Code::Ok } else { Code::PermissionDenied };
        assert_eq!(reply.map_or_else(|status| status.code(), |_| Code::Ok), expected, "{member}");
    }
}

#[tokio::test]
async fn with_a_policy_unknown_tokens_are_refused() {
    let emulator = start(Policy::new().grant("allUsers", Role::TOKEN_CREATOR, EMAIL)).await;
    let status =
        stub(&emulator).generate_access_token(with_bearer(access_token(EMAIL), "who?")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.get_details_error_info().unwrap().reason, "ACCESS_TOKEN_TYPE_UNSUPPORTED");
}

#[tokio::test]
async fn a_delayed_grant_applies_after_its_delay() {
    let emulator = start(Policy::new().account(&account(0))).await;
    ask(&emulator, Method::SignJwt, 0).await.unwrap_err();
    emulator.clock().advance(Duration::from_secs(1000));
    emulator.policy().grant_after(Duration::from_secs(120), ALICE, Role::TOKEN_CREATOR, &account(0)).unwrap();
    ask(&emulator, Method::SignJwt, 0).await.unwrap_err();
    emulator.clock().advance(Duration::from_secs(121));
    ask(&emulator, Method::SignJwt, 0).await.unwrap();
    assert!(emulator.policy().revoke(ALICE, Role::TOKEN_CREATOR, &account(0)).unwrap());
    assert!(!emulator.policy().revoke(ALICE, Role::TOKEN_CREATOR, &account(0)).unwrap());
    ask(&emulator, Method::SignJwt, 0).await.unwrap_err();
    emulator.policy().grant(ALICE, Role::TOKEN_CREATOR, &account(0)).unwrap();
    ask(&emulator, Method::SignJwt, 0).await.unwrap();
    emulator.policy().grant(ALICE, "roles/typo", &account(0)).unwrap_err();
    ask(&emulator, Method::SignJwt, 0).await.unwrap();
    emulator.reset();
    ask(&emulator, Method::SignJwt, 0).await.unwrap_err();
}

#[tokio::test]
async fn lifetimes_over_one_hour_need_the_policys_extension() {
    let (short, long) = (account(0), account(1));
    let policy = Policy::new()
        .grant(ALICE, Role::TOKEN_CREATOR, &short)
        .grant(ALICE, Role::TOKEN_CREATOR, &long)
        .long_lifetimes(&long);
    let emulator = start(policy).await;
    for (email, seconds, allowed) in
        [(&short, 3600, true), (&short, 3601, false), (&long, 43_200, true), (&long, 43_201, false)]
    {
        let lifetime = Some(prost_types::Duration { seconds, nanos: 0 });
        let request = GenerateAccessTokenRequest { lifetime, ..access_token(email) };
        let call = stub(&emulator).generate_access_token(with_bearer(request, TOKEN)).await;
        assert_eq!(call.map_err(|status| status.code()).err(), (!allowed).then_some(Code::InvalidArgument));
    }
}

#[tokio::test]
async fn a_disabled_api_names_the_project_and_the_link_that_enables_it() {
    let caller = "serviceAccount:caller@off.iam.gserviceaccount.com";
    let policy = Policy::new()
        .grant(caller, Role::TOKEN_CREATOR, EMAIL)
        .token("off-token", caller)
        .api_disabled("off");
    let emulator = start(policy).await;
    let status = stub(&emulator)
        .generate_access_token(with_bearer(access_token(EMAIL), "off-token"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("SERVICE_DISABLED", "googleapis.com"));
    assert_eq!(info.metadata["service"], "iamcredentials.googleapis.com");
    let number = info.metadata["consumer"].strip_prefix("projects/").unwrap();
    assert!(number.parse::<u64>().is_ok() && status.message().contains(number), "{status:?}");
    assert!(details.help().unwrap().links[0].url.contains(number));
}

#[tokio::test]
async fn a_quota_project_that_the_caller_cannot_use_is_refused() {
    let policy = Policy::new()
        .grant(ALICE, Role::TOKEN_CREATOR, EMAIL)
        .grant_on_project(ALICE, Role::SERVICE_USAGE_CONSUMER, "mine")
        .grant_on_project("allUsers", "roles/viewer", "theirs");
    let emulator = start(policy).await;
    for (project, allowed) in [("mine", true), ("theirs", false), ("nobodys", false)] {
        let mut request = with_bearer(access_token(EMAIL), TOKEN);
        request.metadata_mut().insert("x-goog-user-project", project.parse().unwrap());
        let call = stub(&emulator).generate_access_token(request).await;
        assert_eq!(call.is_ok(), allowed, "{project}");
        if let Err(status) = call {
            assert_eq!(status.get_details_error_info().unwrap().reason, "USER_PROJECT_DENIED");
        }
    }
}

#[tokio::test]
async fn unknown_and_disabled_accounts_are_refused_as_configured() {
    let gone = "gone@project.iam.gserviceaccount.com";
    let base = Policy::new().disabled_account(EMAIL).grant(ALICE, Role::TOKEN_CREATOR, EMAIL);
    let emulator = start(base.clone()).await;
    for (policy, account, code) in [
        (base.clone(), gone, Code::NotFound),
        (base.clone().unknown_account_error(UnknownAccount::PermissionDenied), gone, Code::PermissionDenied),
        (base.clone(), EMAIL, Code::PermissionDenied),
        (base.clone().disabled_account_error(DisabledAccount::NotFound), EMAIL, Code::NotFound),
    ] {
        emulator.policy().set(policy.token(TOKEN, ALICE)).unwrap();
        let status = stub(&emulator)
            .generate_access_token(with_bearer(access_token(account), TOKEN))
            .await
            .unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        if code == Code::NotFound {
            assert_eq!(status.message(), format!("Not found; Gaia id not found for email {account}"));
        }
    }
}

#[tokio::test]
async fn names_can_be_unique_ids_and_delegates_can_be_email_addresses() {
    let policy = Policy::new()
        .account_with_id(&account(0), "100")
        .account_with_id(&account(1), "101")
        .grant(ALICE, Role::TOKEN_CREATOR, &account(0))
        .grant(member(Some(0)), Role::TOKEN_CREATOR, &account(1))
        .project_in_name(ProjectInName::Accepted);
    let emulator = start(policy).await;
    for delegate in ["100".to_owned(), account(0), service_account_path("-", "100")] {
        for name in [service_account_path("-", "101"), service_account_path("project", &account(1))] {
            let request =
                GenerateAccessTokenRequest { name, delegates: vec![delegate.clone()], ..access_token(EMAIL) };
            let reply = stub(&emulator).generate_access_token(with_bearer(request, TOKEN)).await.unwrap();
            let token = emulator.verify_access_token(&reply.into_inner().access_token).unwrap();
            assert_eq!(token.principal(), member(Some(1)));
        }
    }
}

#[tokio::test]
async fn rest_refuses_with_the_same_details() {
    let emulator = start(Policy::new().account(EMAIL)).await;
    let body = format!(r#"{{"scope": ["{}"]}}"#, scopes::CLOUD_PLATFORM);
    let (status, reply) = rest(&emulator, EMAIL, "generateAccessToken", TOKEN, &body).await;
    assert_eq!(status, 403);
    assert_eq!(
        reply,
        serde_json::json!({"error": {
            "code": 403,
            "message": "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
            "status": "PERMISSION_DENIED",
            "details": [{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "IAM_PERMISSION_DENIED",
                "domain": "iam.googleapis.com",
                "metadata": {"permission": "iam.serviceAccounts.getAccessToken"},
            }],
        }})
    );
}

#[tokio::test]
async fn an_invalid_policy_is_refused_with_the_path_of_the_mistake() {
    let error = Emulator::builder()
        .policy(Policy::new().grant(ALICE, "roles/typo", EMAIL))
        .start()
        .await
        .expect_err("the role is unknown");
    let place = format!("serviceAccounts[{EMAIL:?}].grants[0].role");
    assert!(error.to_string().contains(&place), "{error}");
}
