//! The advice of an error about a delegated call, however the call is made.

use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::source::SourceInfo;
use gcp_iam_credentials::{Error, IamCredentialsClient, ImpersonationPool};
use tonic::Code;

use crate::support::accounts::{FIRST, KEY, SECOND, TARGET};
use crate::support::scripted_service::{Answer, Script, builder};
use crate::support::token_source::ScriptedSource;

const ID_ROLE: &str = "roles/iam.serviceAccountOpenIdTokenCreator";
const ROLE: &str = "roles/iam.serviceAccountTokenCreator";

/// A client of the key's account, all of whose calls are refused without a reason.
fn refused_client() -> IamCredentialsClient {
    let info = SourceInfo::new().with_principal(KEY);
    let key = ScriptedSource::numbered().with_info(info).credentials();
    let denied = Answer::status(Code::PermissionDenied, "The caller does not have permission");
    Script::always(denied).client_with(builder().credentials(key))
}

/// Checks the advice of an error for a chain that ends with a grant of `role` on the target.
fn check(error: &Error, role: &str) {
    let advice = error.hint().unwrap();
    assert_eq!(
        advice,
        format!(
            "find out with `Impersonation::diagnose` which grant is missing: {ROLE} on {FIRST} for \
             serviceAccount:{KEY}, {ROLE} on {SECOND} for serviceAccount:{FIRST}, {role} on {TARGET} for \
             serviceAccount:{SECOND}"
        )
    );
    assert!(format!("{error:#}").ends_with(&format!("\nfix: {advice}")), "{error:#}");
}

/// conf: A12
#[tokio::test]
async fn advice_about_a_direct_call_names_every_grant_that_may_be_missing() {
    let client = refused_client();
    let delegates = [FIRST, SECOND];
    let call = client.generate_access_token(TARGET, [CLOUD_PLATFORM]).delegates(delegates);
    check(&call.await.unwrap_err(), ROLE);
    check(&client.generate_id_token(TARGET, "aud").delegates(delegates).await.unwrap_err(), ID_ROLE);
    check(&client.sign_blob(TARGET, "x").delegates(delegates).await.unwrap_err(), ROLE);
    let claims = serde_json::json!({});
    check(&client.sign_jwt(TARGET, &claims).delegates(delegates).await.unwrap_err(), ROLE);
}

/// conf: A12
#[tokio::test]
async fn advice_is_the_same_for_credentials_signers_and_pools() {
    let client = refused_client();
    let acting = client.impersonate(TARGET).delegates([FIRST, SECOND]);
    check(&acting.access_token([CLOUD_PLATFORM]).unwrap().token().await.unwrap_err(), ROLE);
    check(&acting.id_token("aud").unwrap().token().await.unwrap_err(), ID_ROLE);
    check(&acting.self_signed_jwt("aud").unwrap().token().await.unwrap_err(), ROLE);
    check(&acting.signer().unwrap().sign_blob("x").await.unwrap_err(), ROLE);

    let pooled = ImpersonationPool::builder(client).build();
    let pooled = pooled.impersonate(TARGET).delegates([FIRST, SECOND]);
    check(&pooled.access_token([CLOUD_PLATFORM]).unwrap().token().await.unwrap_err(), ROLE);
    check(&pooled.id_token("aud").unwrap().token().await.unwrap_err(), ID_ROLE);
    check(&pooled.signer().unwrap().sign_blob("x").await.unwrap_err(), ROLE);
}

/// conf: A12
#[cfg(feature = "credential-files")]
#[tokio::test]
async fn advice_about_a_credential_file_names_the_account_of_its_key() {
    use gcp_iam_credentials::Credentials;
    use gcp_iam_credentials::emulator::{Emulator, Policy};

    let policy = Policy::new().account(KEY).account(FIRST).account(SECOND).account(TARGET);
    let emulator = Emulator::builder().policy(policy).start().await.unwrap();
    let key = emulator.service_account_key_json(KEY);
    let file = emulator.impersonated_service_account_json(&key, TARGET, [FIRST, SECOND]).unwrap();
    let credentials = Credentials::from_json(&file).unwrap();
    let advice = credentials.token().await.unwrap_err().hint().unwrap();
    // The service says that a delegate may not be used, so the target's grant isn't in question.
    let first = format!("{ROLE} on {FIRST} for serviceAccount:{KEY}, ");
    assert!(advice.contains(&first) && !advice.contains(TARGET), "{advice}");
}
