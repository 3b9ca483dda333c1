//! The rest of the STS: people who sign in with a workforce pool, introspection, revocation, downscoping.

use std::time::Duration;

use gcp_iam_credentials::emulator::{
    Emulator, ExternalAccount, ExternalAccountFile, IdentityProvider, Policy, Role,
};
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use serde_json::{Value, json as value};

use crate::support::emulator::{EMAIL, http, json, rest, text};

const POOL: &str = "locations/global/workforcePools/staff";
const PROVIDER: &str = "locations/global/workforcePools/staff/providers/okta";
const WORKLOAD: &str = "projects/1/locations/global/workloadIdentityPools/ci/providers/p";
const CLIENT: &str = "authorization";
const BASIC: &str = "Basic Y2xpZW50OnNlY3JldA==";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn start(person: ExternalAccount) -> Emulator {
    let ada = format!("principal://iam.googleapis.com/{POOL}/subject/ada@example.com");
    let okta = IdentityProvider::oidc("https://okta.example").condition("assertion.email_verified");
    let policy = Policy::new()
        .identity_provider(PROVIDER, okta)
        .identity_provider(WORKLOAD, IdentityProvider::oidc("https://ci.example"))
        .external_account("ada", person.claim("sub", "ada@example.com").claim("email_verified", true))
        .external_account("job", ExternalAccount::new(WORKLOAD))
        .token("alice-token", "user:alice@example.com")
        .grant("user:alice@example.com", Role::TOKEN_CREATOR, EMAIL)
        .grant(ada, Role::TOKEN_CREATOR, EMAIL);
    Emulator::builder().policy(policy).start().await.unwrap()
}

async fn post(emulator: &Emulator, page: &str, form: &str) -> (u16, Value) {
    let url = format!("{}/v1/{page}", emulator.endpoint());
    json("POST", &url, &[FORM, (CLIENT, BASIC)], form.to_owned()).await
}

async fn introspect(emulator: &Emulator, token: &str) -> Value {
    post(emulator, "introspect", &format!("token={token}")).await.1
}

async fn impersonate(emulator: &Emulator, token: &Value) -> u16 {
    let body = value!({ "scope": [CLOUD_PLATFORM] }).to_string();
    rest(emulator, EMAIL, "generateAccessToken", token.as_str().unwrap(), &body).await.0
}

/// Signs in as a browser does, and returns the code.
async fn sign_in(emulator: &Emulator, query: &str) -> Result<String, u16> {
    let url = format!("{}/emulator/external_accounts/ada/authorize?{query}", emulator.endpoint());
    let (status, headers, _) = http("GET", &url, &[], "").await;
    if status != 302 {
        return Err(status.as_u16());
    }
    let location = headers["location"].to_str().unwrap();
    let (start, rest) = location.split_once("code=").unwrap();
    assert_eq!(start, "http://localhost:8085/?");
    let (code, state) = rest.split_once("&state=").unwrap();
    assert_eq!(state, "xyz");
    Ok(code.to_owned())
}

/// The challenge and the verifier are those of RFC 7636, appendix B.
const SIGN_IN: &str = "response_type=code&client_id=client&redirect_uri=http://localhost:8085/&state=xyz\
    &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256\
    &provider_name=locations/global/workforcePools/staff/providers/okta";
const REDEEM: &str = "grant_type=authorization_code&redirect_uri=http://localhost:8085/\
    &code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// conf: X5
#[tokio::test]
async fn a_person_signs_in_and_gets_tokens_by_code_and_by_refresh_token() {
    let emulator = start(ExternalAccount::new(PROVIDER)).await;
    let code = sign_in(&emulator, SIGN_IN).await.unwrap();
    let (status, tokens) = post(&emulator, "oauthtoken", &format!("{REDEEM}&code={code}")).await;
    assert_eq!((status, &tokens["expires_in"]), (200, &3600.into()), "{tokens}");
    assert_eq!(impersonate(&emulator, &tokens["access_token"]).await, 200);
    let refresh =
        format!("grant_type=refresh_token&refresh_token={}", tokens["refresh_token"].as_str().unwrap());
    let (status, refreshed) = post(&emulator, "oauthtoken", &refresh).await;
    assert_eq!(status, 200, "{refreshed}");
    assert!(refreshed["refresh_token"].is_null(), "it isn't rotated: {refreshed}");
    assert_eq!(impersonate(&emulator, &refreshed["access_token"]).await, 200);

    for (form, status, error) in [
        (format!("{REDEEM}&code={code}"), 400, "invalid_grant"),
        (refresh.replace("refresh_token=1", "refresh_token=2"), 400, "invalid_grant"),
        ("grant_type=password".to_owned(), 400, "unsupported_grant_type"),
        (String::new(), 400, "invalid_request"),
    ] {
        let (got, reply) = post(&emulator, "oauthtoken", &form).await;
        assert_eq!((got, &reply["error"]), (status, &error.into()), "{form}");
    }
    let url = format!("{}/v1/oauthtoken", emulator.endpoint());
    let other_client = [FORM, (CLIENT, "Basic b3RoZXI6c2VjcmV0")];
    for headers in [&[FORM][..], &[FORM, (CLIENT, "Bearer x")][..], &other_client[..]] {
        let (status, reply) = json("POST", &url, headers, refresh.clone()).await;
        let expected = if headers == other_client { (400, "invalid_grant") } else { (401, "invalid_client") };
        assert_eq!((status, reply["error"].as_str().unwrap()), expected, "{headers:?}");
    }
}

/// conf: X5
#[tokio::test]
async fn a_code_is_bound_to_its_client_its_url_and_its_verifier() {
    let emulator = start(ExternalAccount::new(PROVIDER)).await;
    for changed in [
        REDEEM.replace("dBjf", "xBjf"),
        REDEEM.replace("8085", "8086"),
        REDEEM.replace("&code_verifier", "&x"),
        format!("{REDEEM}&code_verifier="),
    ] {
        let code = sign_in(&emulator, SIGN_IN).await.unwrap();
        let (status, reply) = post(&emulator, "oauthtoken", &format!("{changed}&code={code}")).await;
        assert_eq!(status, 400, "{changed}: {reply}");
    }
    let code = sign_in(&emulator, &SIGN_IN.replace("client_id=client", "client_id=other")).await.unwrap();
    assert_eq!(post(&emulator, "oauthtoken", &format!("{REDEEM}&code={code}")).await.0, 400);
    for (what, with) in [
        ("response_type=code", "response_type=token"),
        ("client_id=client", "client_id="),
        ("redirect_uri=http://localhost:8085/", "redirect_uri=/x"),
        ("method=S256", "method=plain"),
        ("providers/okta", "providers/other"),
    ] {
        assert_eq!(sign_in(&emulator, &SIGN_IN.replace(what, with)).await, Err(400), "{with}");
    }
    let of_job = format!("{}/emulator/external_accounts/job/authorize?{SIGN_IN}", emulator.endpoint());
    assert_eq!(text("GET", &of_job, &[], "").await.0, 400, "its pool is for workloads");
}

/// conf: X5
#[tokio::test]
async fn refresh_tokens_rotate_if_the_policy_says_so_and_files_lead_to_them() {
    let emulator = start(ExternalAccount::new(PROVIDER).rotates_refresh_tokens()).await;
    let file = || -> Value {
        serde_json::from_str(&emulator.external_account_authorized_user_json("ada").unwrap()).unwrap()
    };
    let first = file();
    assert_eq!(file(), first);
    let refresh = |token: &Value| {
        format!(
            "grant_type=refresh_token&client_id={}&client_secret={}&refresh_token={}",
            first["client_id"].as_str().unwrap(),
            first["client_secret"].as_str().unwrap(),
            token.as_str().unwrap()
        )
    };
    let url = first["token_url"].as_str().unwrap();
    let (status, tokens) = json("POST", url, &[FORM], refresh(&first["refresh_token"])).await;
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(json("POST", url, &[FORM], refresh(&first["refresh_token"])).await.0, 400, "it was replaced");
    assert_eq!(json("POST", url, &[FORM], refresh(&tokens["refresh_token"])).await.0, 200);

    let usable = file();
    let revoke = format!("token={}", usable["refresh_token"].as_str().unwrap());
    assert_eq!(json("POST", usable["revoke_url"].as_str().unwrap(), &[FORM], revoke).await.0, 200);
    let (status, reply) = json("POST", url, &[FORM], refresh(&usable["refresh_token"])).await;
    assert_eq!(status, 400, "a revoked token isn't rotated: {reply}");
    assert_ne!(file()["refresh_token"], usable["refresh_token"]);

    let config = format!("{}/emulator/fixtures/login_config/ada", emulator.endpoint());
    let (_, config) = json("GET", &config, &[], "").await;
    assert_eq!(config["audience"], first["audience"]);
    assert!(emulator.external_account_authorized_user_json("job").is_err());
    let workforce = ExternalAccountFile::new().user_project("shop");
    assert!(
        emulator.external_account_json("ada", &workforce).unwrap().contains("workforce_pool_user_project")
    );
    assert!(emulator.external_account_json("job", &workforce).is_err());

    let last = file();
    emulator.policy().set(Policy::new()).unwrap();
    let (status, reply) = json("POST", url, &[FORM], refresh(&last["refresh_token"])).await;
    assert_eq!((status, &reply["error"]), (400, &"invalid_grant".into()), "the account is gone: {reply}");
}

/// conf: X6
#[tokio::test]
async fn introspection_describes_tokens_of_the_sts_until_they_are_revoked() {
    let emulator = start(ExternalAccount::new(PROVIDER)).await;
    let code = sign_in(&emulator, SIGN_IN).await.unwrap();
    let (_, tokens) = post(&emulator, "oauthtoken", &format!("{REDEEM}&code={code}")).await;
    let token = tokens["access_token"].as_str().unwrap();
    let about = introspect(&emulator, token).await;
    let exp = about["exp"].as_i64().unwrap();
    let name = format!("principal://iam.googleapis.com/{POOL}/subject/ada@example.com");
    assert_eq!(
        about,
        value!({"active": true, "client_id": "client", "exp": exp, "iat": exp - 3600,
        "iss": "https://sts.googleapis.com/", "scope": CLOUD_PLATFORM, "sub": "ada@example.com", "username": name})
    );
    for other in ["alice-token", "unknown"] {
        assert_eq!(introspect(&emulator, other).await, value!({"active": false}), "{other}");
    }
    let url = format!("{}/v1/revoke", emulator.endpoint());
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    for token in [refresh_token, "unknown"] {
        let form = format!("token={token}&token_type_hint=refresh_token");
        assert_eq!(json("POST", &url, &[FORM], form).await, (200, value!({})), "{token}");
    }
    assert_eq!(
        introspect(&emulator, token).await,
        value!({"active": false}),
        "revoked with its refresh token"
    );
    assert_eq!(impersonate(&emulator, &tokens["access_token"]).await, 401);
    let refresh = format!("grant_type=refresh_token&refresh_token={refresh_token}");
    assert_eq!(post(&emulator, "oauthtoken", &refresh).await.1["error"], "invalid_grant");
    assert_eq!(text("POST", &url, &[FORM], "").await.0, 400);
}

/// conf: X7
#[tokio::test]
async fn a_downscoped_token_expires_with_its_source_and_gets_no_permission_here() {
    for with_policy in [true, false] {
        let emulator = match with_policy {
            true => start(ExternalAccount::new(PROVIDER)).await,
            false => crate::support::emulator::start().await,
        };
        let body = value!({"scope": [CLOUD_PLATFORM], "lifetime": "600s"}).to_string();
        let (_, reply) = rest(&emulator, EMAIL, "generateAccessToken", "alice-token", &body).await;
        let source = reply["accessToken"].as_str().unwrap().to_owned();
        let rules = value!({"accessBoundary": {"accessBoundaryRules": [{
            "availableResource": "//storage.googleapis.com/projects/_/buckets/b",
            "availablePermissions": ["inRole:roles/storage.objectViewer"]}]}});
        let options =
            percent_encoding::utf8_percent_encode(&rules.to_string(), percent_encoding::NON_ALPHANUMERIC)
                .to_string();
        let form = |token: &str, options: &str| {
            format!(
                "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={token}\
                &requested_token_type=urn:ietf:params:oauth:token-type:access_token&options={options}\
                &subject_token_type=urn:ietf:params:oauth:token-type:access_token"
            )
        };
        let (status, reply) = post(&emulator, "token", &form(&source, &options)).await;
        assert_eq!(status, 200, "{reply}");
        assert!(reply["expires_in"].is_null(), "{reply}");
        let token = reply["access_token"].as_str().unwrap();
        let (of_source, narrow) =
            (emulator.verify_access_token(&source).unwrap(), emulator.verify_access_token(token).unwrap());
        assert_eq!(
            (narrow.expires_at(), narrow.principal()),
            (of_source.expires_at(), of_source.principal())
        );
        let boundary: Value = serde_json::from_str(narrow.access_boundary().unwrap()).unwrap();
        assert_eq!(boundary, rules["accessBoundary"]);
        assert_eq!(impersonate(&emulator, &reply["access_token"]).await, 403, "with a policy: {with_policy}");

        for (token, options, error) in [
            (source.as_str(), "", "invalid_request"),
            (&source, "%7B%7D", "invalid_request"),
            ("unknown", &options, "invalid_grant"),
            (token, &options, "invalid_grant"),
        ] {
            let (status, reply) = post(&emulator, "token", &form(token, options)).await;
            assert_eq!((status, &reply["error"]), (400, &error.into()), "{token} {options}: {reply}");
        }
        emulator.clock().advance(Duration::from_secs(601));
        assert_eq!(post(&emulator, "token", &form(&source, &options)).await.1["error"], "invalid_grant");
    }
}
