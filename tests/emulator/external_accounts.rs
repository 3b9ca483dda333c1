//! External accounts: platforms that the emulator plays, their faults, and credential files for them.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gcp_iam_credentials::emulator::{
    Emulator, ExternalAccount, ExternalAccountFile, Fault, IdentityProvider, Method, PlatformFault, Policy,
    SubjectTokenSource,
};
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Value, json as value};

use crate::support::emulator::{EMAIL, json, rest, text};

const PROVIDER: &str = "projects/12/locations/global/workloadIdentityPools/ci/providers/p";
const ISSUER: &str = "https://issuer.example";
const SUBJECT: &str = "system:serviceaccount:shop:web";

/// Starts an emulator with the external accounts `pod` and `other`.
async fn start() -> Emulator {
    let pool = PROVIDER.split_once("/providers").unwrap().0;
    let policy = Policy::new()
        .identity_provider(PROVIDER, IdentityProvider::oidc(ISSUER))
        .external_account("pod", ExternalAccount::new(PROVIDER).claim("sub", SUBJECT))
        .external_account("other", ExternalAccount::new(PROVIDER).claim("repository_owner", "octo"))
        .grant(
            format!("principal://iam.googleapis.com/{pool}/subject/{SUBJECT}"),
            "roles/iam.workloadIdentityUser",
            EMAIL,
        );
    Emulator::builder().policy(policy).start().await.unwrap()
}

fn page(emulator: &Emulator, account: &str, page: &str) -> String {
    format!("{}/emulator/external_accounts/{account}/{page}", emulator.endpoint())
}

/// Gets the token as the credential file says, without its library.
async fn subject_token(file: &Value) -> String {
    let source = &file["credential_source"];
    let headers: Vec<_> = source["headers"].as_object().into_iter().flatten().collect();
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    let (status, body) = text("GET", source["url"].as_str().unwrap(), &headers, "").await;
    assert_eq!(status, 200, "{body}");
    match source["format"]["subject_token_field_name"].as_str() {
        Some(field) => serde_json::from_str::<Value>(&body).unwrap()[field].as_str().unwrap().to_owned(),
        None => body,
    }
}

async fn exchange(file: &Value, subject_token: &str) -> (u16, Value) {
    let request = value!({"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token", "audience": file["audience"],
        "scope": CLOUD_PLATFORM, "subject_token": subject_token, "subject_token_type": file["subject_token_type"]});
    let headers = [("content-type", "application/json")];
    json("POST", file["token_url"].as_str().unwrap(), &headers, request.to_string()).await
}

fn file_of(emulator: &Emulator, account: &str, file: &ExternalAccountFile) -> Value {
    serde_json::from_str(&emulator.external_account_json(account, file).unwrap()).unwrap()
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// conf: X1
#[tokio::test]
async fn a_token_of_each_platform_is_exchanged_for_one_that_impersonates() {
    let emulator = start().await;
    for (source, lifetime) in [
        (SubjectTokenSource::Url, 3600),
        (SubjectTokenSource::GithubActions, 300),
        (SubjectTokenSource::Azure, 86_400),
    ] {
        let file = ExternalAccountFile::new().source(source.clone()).impersonate(EMAIL);
        let file = file_of(&emulator, "pod", &file.lifetime(Duration::from_secs(600)));
        assert_eq!(file["service_account_impersonation"]["token_lifetime_seconds"], 600);
        let subject_token = subject_token(&file).await;
        let claims = claims(&subject_token);
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), lifetime, "{source:?}");
        assert_eq!(claims["kubernetes.io"]["namespace"], "shop");
        let (status, reply) = exchange(&file, &subject_token).await;
        assert_eq!(status, 200, "{source:?}: {reply}");
        let token = reply["access_token"].as_str().unwrap();
        let url = file["service_account_impersonation_url"].as_str().unwrap();
        let bearer = format!("Bearer {token}");
        let body = value!({"scope": [CLOUD_PLATFORM], "lifetime": "600s"}).to_string();
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let (status, reply) = json("POST", url, &headers, body).await;
        assert_eq!(status, 200, "{source:?}: {reply}");
    }
    let file = file_of(&emulator, "other", &ExternalAccountFile::new());
    let (_, reply) = exchange(&file, &subject_token(&file).await).await;
    let body = value!({ "scope": [CLOUD_PLATFORM] }).to_string();
    let token = reply["access_token"].as_str().unwrap();
    assert_eq!(rest(&emulator, EMAIL, "generateAccessToken", token, &body).await.0, 403, "another subject");
}

/// conf: X2
#[tokio::test]
async fn each_fault_of_a_platform_is_refused_by_the_exchange_and_ends() {
    let emulator = start().await;
    let file =
        file_of(&emulator, "pod", &ExternalAccountFile::new().source(SubjectTokenSource::GithubActions));
    let other = file_of(&emulator, "other", &ExternalAccountFile::new());
    for (fault, problem) in [
        (PlatformFault::StaleToken, "stale to sign-in"),
        (PlatformFault::WrongAudience, "does not match the expected audience"),
        (PlatformFault::RotatedKey, "signature"),
        (PlatformFault::IssuerUnreachable, "Error connecting to the given credential's issuer."),
    ] {
        emulator.faults().inject(Fault::platform(fault).account("pod").times(1));
        if fault != PlatformFault::IssuerUnreachable {
            assert_eq!(exchange(&other, &subject_token(&other).await).await.0, 200, "{fault:?}");
        }
        let (status, reply) = exchange(&file, &subject_token(&file).await).await;
        assert_eq!((status, &reply["error"]), (400, &"invalid_grant".into()), "{fault:?}: {reply}");
        let description = reply["error_description"].as_str().unwrap();
        assert!(description.contains(problem), "{fault:?}: {description}");
        let (status, reply) = exchange(&file, &subject_token(&file).await).await;
        assert_eq!(status, 200, "{fault:?} has ended: {reply}");
    }
    let by_fault = |entry: &gcp_iam_credentials::emulator::JournalEntry| {
        entry.outcome().is_some_and(|outcome| outcome.by_fault())
    };
    assert_eq!(emulator.journal().entries().iter().filter(|entry| by_fault(entry)).count(), 4);
}

/// conf: X2
#[tokio::test]
async fn control_pages_inject_faults_of_platforms_and_other_faults_reach_platforms_too() {
    let emulator = start().await;
    let faults = format!("{}/emulator/faults", emulator.endpoint());
    let (_, reply) =
        json("POST", &faults, &[], r#"{"effect": "staleToken", "account": "pod", "method": "SignBlob"}"#)
            .await;
    assert_eq!(json("GET", &faults, &[], "").await.1["faults"][0]["fault"]["effect"], "staleToken");
    let file = file_of(&emulator, "pod", &ExternalAccountFile::new());
    assert_eq!(exchange(&file, &subject_token(&file).await).await.0, 200, "the fault is for another method");
    json("DELETE", &format!("{faults}/{}", reply["id"]), &[], "").await;

    let outage = Fault::status(gcp_iam_credentials::Code::Unavailable);
    emulator.faults().inject(outage.method(Method::ExternalAccount).account("pod"));
    assert_eq!(text("GET", &page(&emulator, "pod", "token"), &[], "").await.0, 503);
    assert_eq!(text("GET", &page(&emulator, "other", "token"), &[], "").await.0, 200);
}

/// conf: X1
#[tokio::test]
async fn a_platform_refuses_what_the_real_one_refuses() {
    let emulator = start().await;
    let token_of = |line: &str| line.split_once('=').unwrap().1.to_owned();
    let (_, environment) = text("GET", &page(&emulator, "other", "environment"), &[], "").await;
    let mut lines = environment.lines().map(token_of);
    let (url, token) = (lines.next().unwrap(), lines.next().unwrap());
    assert!(environment.starts_with("ACTIONS_ID_TOKEN_REQUEST_URL="), "{environment}");
    let bearer = format!("Bearer {token}");
    let (status, reply) = json("GET", &url, &[("authorization", &bearer)], "").await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!(claims(reply["value"].as_str().unwrap())["aud"], "https://github.com/octo");
    for headers in [&[][..], &[("authorization", "Bearer x")][..]] {
        assert_eq!(text("GET", &url, headers, "").await.0, 401);
    }
    let azure = page(&emulator, "pod", "metadata/identity/oauth2/token");
    for (query, headers) in [("?resource=x", &[][..]), ("", &[("metadata", "true")][..])] {
        let (status, reply) = json("GET", &format!("{azure}{query}"), headers, "").await;
        assert_eq!((status, &reply["error"]), (400, &"invalid_request".into()), "{query}");
    }
    for missing in ["token", "environment", "jwks", ".well-known/openid-configuration"] {
        let (status, body) = text("GET", &page(&emulator, "nobody", missing), &[], "").await;
        assert!(status == 404 && body.contains("externalAccounts"), "{missing}: {status} {body}");
    }
}

/// conf: X1
#[tokio::test]
async fn the_configuration_of_an_issuer_leads_to_the_keys_of_its_tokens() {
    let emulator = start().await;
    let discovery = page(&emulator, "pod", ".well-known/openid-configuration");
    let (_, configuration) = json("GET", &discovery, &[], "").await;
    assert_eq!(configuration["issuer"], ISSUER);
    let (_, keys) = json("GET", configuration["jwks_uri"].as_str().unwrap(), &[], "").await;
    let (_, token) = text("GET", &page(&emulator, "pod", "token?audience=me"), &[], "").await;
    assert_eq!(claims(&token)["aud"], "me");
    let keys: JwkSet = serde_json::from_value(keys).unwrap();
    let mut validation = Validation::new(jsonwebtoken::Algorithm::RS256);
    validation.set_audience(&["me"]);
    validation.set_issuer(&[ISSUER]);
    let key = DecodingKey::from_jwk(&keys.keys[0]).unwrap();
    jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap();
}

/// conf: X3
#[tokio::test]
async fn a_credential_file_is_checked_before_it_is_made() {
    let emulator = start().await;
    let fixture =
        |query: &str| format!("{}/emulator/fixtures/external_account/pod{query}", emulator.endpoint());
    let (status, file) =
        json("GET", &fixture("?source=file&path=/run/token&target=a@b.c&lifetime=600s"), &[], "").await;
    assert_eq!((status, &file["credential_source"]["file"]), (200, &"/run/token".into()), "{file}");
    let (_, file) = json("GET", &fixture("?source=executable"), &[], "").await;
    let command = file["credential_source"]["executable"]["command"].as_str().unwrap();
    let (_, printed) = json("GET", command.rsplit(' ').next().unwrap(), &[], "").await;
    assert_eq!(exchange(&file, printed["id_token"].as_str().unwrap()).await.0, 200);
    for query in
        ["?source=x", "?source=file", "?path=x", "?lifetime=600s", "?target=a@b.c&lifetime=x", "?unknown=x"]
    {
        assert_eq!(text("GET", &fixture(query), &[], "").await.0, 400, "{query}");
    }
    let projected = SubjectTokenSource::File("/run/token".to_owned());
    let file = file_of(&emulator, "pod", &ExternalAccountFile::new().source(projected));
    assert_eq!(file["credential_source"]["file"], "/run/token");
    let token = emulator.external_account_token("pod").await.unwrap();
    assert_eq!(exchange(&file, &token).await.0, 200);
    emulator.faults().inject(Fault::platform(PlatformFault::StaleToken).times(1));
    let stale = emulator.external_account_token("pod").await.unwrap();
    assert_eq!(exchange(&file, &stale).await.0, 400);
    assert!(emulator.external_account_token("nobody").await.is_err());
    let nobody = emulator.external_account_json("nobody", &ExternalAccountFile::new()).unwrap_err();
    assert!(nobody.to_string().contains("externalAccounts"), "{nobody}");
}
