//! People who signed in with a workforce pool.

use gcp_iam_credentials::emulator::{
    Emulator, ExternalAccount, Fault, IdentityProvider, Method, Policy, Role,
};
use gcp_iam_credentials::{Code, Credentials, IamCredentialsClient, scopes};
use serde_json::json;

use crate::support::accounts::TARGET;
use crate::support::federation::count;
use crate::support::token_server::{Answer, TokenServer};

const PROVIDER: &str = "locations/global/workforcePools/staff/providers/okta";
const ADA: &str = "principal://iam.googleapis.com/locations/global/workforcePools/staff/subject/ada";

async fn start(person: ExternalAccount) -> Emulator {
    let policy = Policy::new()
        .identity_provider(PROVIDER, IdentityProvider::oidc("https://okta.example"))
        .external_account("ada", person.claim("sub", "ada"))
        .grant(ADA, Role::TOKEN_CREATOR, TARGET);
    Emulator::builder().policy(policy).start().await.unwrap()
}

fn credentials(emulator: &Emulator) -> Credentials {
    Credentials::from_json(&emulator.external_account_authorized_user_json("ada").unwrap()).unwrap()
}

/// conf: F10
#[tokio::test]
async fn a_person_who_signed_in_impersonates_an_account() {
    let emulator = start(ExternalAccount::new(PROVIDER)).await;
    let person = credentials(&emulator);
    let token = person.token().await.unwrap();
    assert_eq!(emulator.verify_access_token(token.secret()).unwrap().principal(), ADA);

    let client = IamCredentialsClient::builder().credentials(person).endpoint(emulator.endpoint());
    let acting = client.build().unwrap().impersonate(TARGET).access_token([scopes::CLOUD_PLATFORM]).unwrap();
    let token = acting.token().await.unwrap();
    assert_eq!(
        emulator.verify_access_token(token.secret()).unwrap().principal(),
        format!("serviceAccount:{TARGET}")
    );
    assert_eq!(count(&emulator, Method::Token), 1, "the person's token is used again");
}

/// conf: F10
#[tokio::test]
async fn a_refresh_token_that_is_replaced_at_each_use_is_followed() {
    let emulator = start(ExternalAccount::new(PROVIDER).rotates_refresh_tokens()).await;
    let person = credentials(&emulator);
    for _ in 0..5 {
        person.refresh().await.unwrap();
    }
    assert_eq!(count(&emulator, Method::Token), 5);
    // A failed refresh loses nothing.
    let outage = Fault::status(Code::Unavailable).method(Method::Token);
    let outage = emulator.faults().inject(outage);
    person.refresh().await.unwrap_err();
    emulator.faults().clear(outage);
    person.refresh().await.unwrap();
}

/// conf: F10
#[tokio::test]
async fn a_sign_in_that_has_ended_says_which_command_renews_it() {
    let refused = Answer::body(400, r#"{"error":"invalid_grant","error_description":"hidden-refresh"}"#);
    let server = TokenServer::start([refused]).await;
    let file = json!({
        "type": "external_account_authorized_user",
        "refresh_token": "hidden-refresh-token",
        "token_url": server.url(),
        "client_id": "me",
        "client_secret": "hidden-secret",
    });
    let error = Credentials::from_json(&file.to_string()).unwrap().token().await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
    assert!(error.hint().unwrap().contains("--login-config"), "{error}");
    assert!(!format!("{error:#} {error:?}").contains("hidden"), "{error:?}");
    // The client authenticates in the header alone.
    assert_eq!(server.forms(), ["grant_type=refresh_token&refresh_token=hidden-refresh-token"]);
    assert_eq!(server.heads()[0]["authorization"], "Basic bWU6aGlkZGVuLXNlY3JldA==");
}
