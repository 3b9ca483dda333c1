//! AWS as the platform of external accounts: its metadata server, and signed requests as subject tokens.

use std::time::Duration;

use gcp_iam_credentials::emulator::{
    Emulator, ExternalAccount, ExternalAccountFile, Fault, IdentityProvider, PlatformFault, Policy,
    SubjectTokenSource,
};
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use serde_json::{Value, json as value};
use sha2::{Digest, Sha256};

use crate::support::emulator::{EMAIL, json, rest, text};

const POOL: &str = "projects/12/locations/global/workloadIdentityPools/cloud";
const PROVIDER: &str = "projects/12/locations/global/workloadIdentityPools/cloud/providers/aws";
const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

async fn start() -> Emulator {
    let role = "arn:aws:sts::123456789012:assumed-role/web";
    let policy = Policy::new()
        .identity_provider(PROVIDER, IdentityProvider::aws("123456789012"))
        .external_account("vm", ExternalAccount::new(PROVIDER).role("web").region("us-east-2").imds_v2_only())
        .external_account("old", ExternalAccount::new(PROVIDER))
        .grant(
            format!("principalSet://iam.googleapis.com/{POOL}/attribute.aws_role/{role}"),
            "roles/iam.workloadIdentityUser",
            EMAIL,
        );
    Emulator::builder().policy(policy).start().await.unwrap()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A request for the identity of its caller, before it is signed.
struct Request {
    url: String,
    method: &'static str,
    region: &'static str,
    date: String,
    target: String,
}

impl Request {
    fn new() -> Self {
        let now = prost_types::Timestamp::from(std::time::SystemTime::now()).to_string();
        let date: String = now.split('.').next().unwrap().chars().filter(|c| !"-:Z".contains(*c)).collect();
        Self {
            url: "https://sts.us-east-2.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15".to_owned(),
            method: "POST",
            region: "us-east-2",
            date: format!("{date}Z"),
            target: format!("//iam.googleapis.com/{PROVIDER}"),
        }
    }

    /// Signs the request, and returns it as the JSON of a subject token.
    fn sign(&self, credentials: &Value) -> Value {
        let (date, target) = (&self.date, &self.target);
        let token = credentials["Token"].as_str().unwrap();
        let (host, query) = self.url.strip_prefix("https://").unwrap().split_once('?').unwrap();
        let signed = "host;x-amz-date;x-amz-security-token;x-goog-cloud-target-resource";
        let canonical = format!(
            "{}\n/\n{query}\nhost:{host}\nx-amz-date:{date}\nx-amz-security-token:{token}\n\
             x-goog-cloud-target-resource:{target}\n\n{signed}\n{}",
            self.method,
            hex(&Sha256::digest(""))
        );
        let scope = format!("{}/{}/sts/aws4_request", &date[..8], self.region);
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let secret = format!("AWS4{}", credentials["SecretAccessKey"].as_str().unwrap());
        let key = [&date[..8], self.region, "sts", "aws4_request"]
            .iter()
            .fold(secret.into_bytes(), |key, part| hmac(&key, part));
        let id = credentials["AccessKeyId"].as_str().unwrap();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={signed}, Signature={}",
            hex(&hmac(&key, &text))
        );
        let headers = [
            ("Authorization", authorization.as_str()),
            ("host", host),
            ("x-amz-date", date),
            ("x-amz-security-token", token),
            ("x-goog-cloud-target-resource", target),
        ];
        let headers = headers.map(|(key, value)| value!({"key": key, "value": value}));
        value!({"url": self.url, "method": self.method, "headers": headers})
    }
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn file_of(emulator: &Emulator, account: &str) -> Value {
    serde_json::from_str(&emulator.external_account_json(account, &ExternalAccountFile::new()).unwrap())
        .unwrap()
}

/// Gets credentials as Google's libraries do.
async fn credentials(emulator: &Emulator, account: &str) -> Value {
    let source = &file_of(emulator, account)["credential_source"];
    let url = |name: &str| source[name].as_str().unwrap().to_owned();
    let (status, token) = text("PUT", &url("imdsv2_session_token_url"), &[(TOKEN_TTL, "300")], "").await;
    assert_eq!(status, 200, "{token}");
    let headers = [("x-aws-ec2-metadata-token", token.as_str())];
    let (_, role) = text("GET", &url("url"), &headers, "").await;
    let (status, credentials) = json("GET", &format!("{}/{role}", url("url")), &headers, "").await;
    assert_eq!(status, 200, "{credentials}");
    credentials
}

async fn exchange(emulator: &Emulator, subject_token: &str) -> (u16, Value) {
    let request = value!({"grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
        "audience": format!("//iam.googleapis.com/{PROVIDER}"), "scope": CLOUD_PLATFORM,
        "subjectToken": subject_token, "subjectTokenType": "urn:ietf:params:aws:token-type:aws4_request"});
    let headers = [("content-type", "application/json")];
    json("POST", &format!("{}/v1/token", emulator.endpoint()), &headers, request.to_string()).await
}

async fn impersonate(emulator: &Emulator, reply: &Value) -> u16 {
    let body = value!({ "scope": [CLOUD_PLATFORM] }).to_string();
    rest(emulator, EMAIL, "generateAccessToken", reply["access_token"].as_str().unwrap(), &body).await.0
}

/// conf: X4
#[tokio::test]
async fn a_request_signed_with_the_credentials_of_the_metadata_server_is_exchanged() {
    let emulator = start().await;
    let signed = Request::new().sign(&credentials(&emulator, "vm").await).to_string();
    let as_go_does = encoded(&signed).replace("%20", "+");
    for subject_token in [signed.clone(), encoded(&signed), encoded(&encoded(&signed)), as_go_does] {
        let (status, reply) = exchange(&emulator, &subject_token).await;
        assert_eq!((status, &reply["expires_in"]), (200, &3600.into()), "{reply}");
        let token = reply["access_token"].as_str().unwrap();
        let principal = emulator.verify_access_token(token).unwrap().principal().to_owned();
        let arn = "arn:aws:sts::123456789012:assumed-role/web/i-";
        assert!(principal.contains(&format!("{POOL}/subject/{arn}")), "{principal}");
        assert_eq!(impersonate(&emulator, &reply).await, 200);
    }
    let mut https = Request::new();
    https.target = format!("https:{}", https.target);
    https.url = https.url.replace("sts.us-east-2.", "sts.");
    let signed = https.sign(&credentials(&emulator, "old").await).to_string();
    let (status, reply) = exchange(&emulator, &signed).await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!(impersonate(&emulator, &reply).await, 403, "another role");
}

/// conf: X4
#[tokio::test]
async fn a_request_that_aws_would_refuse_is_refused() {
    let emulator = start().await;
    let credentials = credentials(&emulator, "vm").await;
    type Change = fn(&mut Request);
    let changes: [(&str, Change); 8] = [
        ("another provider", |request| request.target.push('x')),
        ("no provider", |request| request.target.clear()),
        ("another method", |request| request.method = "GET"),
        ("another action", |request| {
            request.url = request.url.replace("GetCallerIdentity", "GetSessionToken")
        }),
        ("two actions", |request| request.url.push_str("&Action=AssumeRole")),
        ("another host", |request| request.url = request.url.replace("amazonaws", "amazon")),
        ("another region", |request| request.region = "us-west-1"),
        ("an old date", |request| request.date.replace_range(..4, "2015")),
    ];
    for (what, change) in changes {
        let mut request = Request::new();
        change(&mut request);
        let (status, reply) = exchange(&emulator, &request.sign(&credentials).to_string()).await;
        assert_eq!((status, &reply["error"]), (400, &"invalid_grant".into()), "{what}: {reply}");
    }
    let signed = Request::new().sign(&credentials);
    let mut refused = vec![value!({}).to_string(), "%7b".to_owned(), String::new(), "[]".to_owned()];
    for header in 0..5 {
        let mut missing = signed.clone();
        missing["headers"].as_array_mut().unwrap().remove(header);
        refused.push(missing.to_string());
        let mut twice = signed.clone();
        twice["headers"].as_array_mut().unwrap().push(signed["headers"][header].clone());
        refused.push(twice.to_string());
        let mut changed = signed.clone();
        let text = changed["headers"][header]["value"].as_str().unwrap().to_owned();
        let last = if text.ends_with('0') { "1" } else { "0" };
        changed["headers"][header]["value"] = format!("{}{last}", &text[..text.len() - 1]).into();
        refused.push(changed.to_string());
    }
    let mut body = signed.clone();
    body["body"] = "x".into();
    refused.push(body.to_string());
    for subject_token in refused {
        let (status, reply) = exchange(&emulator, &subject_token).await;
        assert_eq!((status, &reply["error"]), (400, &"invalid_grant".into()), "{subject_token}: {reply}");
    }
    assert_eq!(exchange(&emulator, &signed.to_string()).await.0, 200, "the request itself is fine");
    let journal = format!("{:?}", emulator.journal().entries());
    assert!(!journal.contains(credentials["SecretAccessKey"].as_str().unwrap()));
    assert!(!journal.contains(credentials["Token"].as_str().unwrap()));
    emulator.clock().advance(Duration::from_secs(6 * 3600));
    let (_, reply) = exchange(&emulator, &signed.to_string()).await;
    assert!(reply["error_description"].as_str().unwrap().contains("RequestExpired"), "{reply}");
}

/// conf: X2, X4
#[tokio::test]
async fn each_fault_of_aws_is_refused_by_the_exchange_or_by_the_metadata_server() {
    let emulator = start().await;
    for (fault, problem) in [
        (PlatformFault::ExpiredCredentials, "ExpiredToken"),
        (PlatformFault::WrongSecret, "SignatureDoesNotMatch"),
        (PlatformFault::WrongTargetResource, "x-goog-cloud-target-resource"),
        (PlatformFault::IssuerUnreachable, "Error connecting"),
    ] {
        emulator.faults().inject(Fault::platform(fault).account("vm").times(1));
        let signed = Request::new().sign(&credentials(&emulator, "vm").await).to_string();
        let (status, reply) = exchange(&emulator, &signed).await;
        assert_eq!((status, &reply["error"]), (400, &"invalid_grant".into()), "{fault:?}: {reply}");
        assert!(reply["error_description"].as_str().unwrap().contains(problem), "{fault:?}: {reply}");
        let signed = Request::new().sign(&credentials(&emulator, "vm").await).to_string();
        assert_eq!(exchange(&emulator, &signed).await.0, 200, "{fault:?} has ended");
    }
    emulator.faults().inject(Fault::platform(PlatformFault::SessionTokenRefused).times(1));
    let url = file_of(&emulator, "vm")["credential_source"]["imdsv2_session_token_url"].clone();
    assert_eq!(text("PUT", url.as_str().unwrap(), &[(TOKEN_TTL, "300")], "").await.0, 403);
}

/// conf: X4
#[tokio::test]
async fn the_metadata_server_speaks_both_versions() {
    let emulator = start().await;
    let page = |account: &str, page: &str| {
        format!("{}/emulator/external_accounts/{account}/latest/{page}", emulator.endpoint())
    };
    let roles = "meta-data/iam/security-credentials";
    let zone = "meta-data/placement/availability-zone";
    assert_eq!(text("GET", &page("old", roles), &[], "").await, (200, "old".to_owned()));
    assert_eq!(text("GET", &page("old", zone), &[], "").await, (200, "us-east-1a".to_owned()));
    assert_eq!(text("GET", &page("vm", zone), &[], "").await.0, 401, "only the second version");
    for (headers, status) in [
        (&[][..], 400),
        (&[(TOKEN_TTL, "0")][..], 400),
        (&[(TOKEN_TTL, "21601")][..], 400),
        (&[(TOKEN_TTL, "60"), ("x-forwarded-for", "10.0.0.1")][..], 403),
    ] {
        assert_eq!(text("PUT", &page("vm", "api/token"), headers, "").await.0, status, "{headers:?}");
    }
    let (_, token) = text("PUT", &page("vm", "api/token"), &[(TOKEN_TTL, "60")], "").await;
    let headers = [("x-aws-ec2-metadata-token", token.as_str())];
    assert_eq!(text("GET", &page("vm", zone), &headers, "").await, (200, "us-east-2a".to_owned()));
    assert_eq!(text("GET", &page("old", zone), &headers, "").await.0, 401, "a token of another machine");
    assert_eq!(text("GET", &page("vm", &format!("{roles}/other")), &headers, "").await.0, 404);
    emulator.clock().advance(Duration::from_secs(61));
    assert_eq!(text("GET", &page("vm", zone), &headers, "").await.0, 401, "an expired token");
}

/// conf: X3, X4
#[tokio::test]
async fn environment_variables_and_files_are_those_of_the_accounts_platform() {
    let emulator = start().await;
    let url = format!("{}/emulator/external_accounts/vm/environment", emulator.endpoint());
    let (_, lines) = text("GET", &url, &[], "").await;
    let variable = |name: &str| {
        let line = lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{name} is missing: {lines}")).to_owned()
    };
    assert_eq!(variable("AWS_REGION"), "us-east-2");
    let credentials = value!({"AccessKeyId": variable("AWS_ACCESS_KEY_ID"), "Token": variable("AWS_SESSION_TOKEN"),
        "SecretAccessKey": variable("AWS_SECRET_ACCESS_KEY")});
    let signed = Request::new().sign(&credentials).to_string();
    assert_eq!(exchange(&emulator, &signed).await.0, 200);

    let first_version = ExternalAccountFile::new().source(SubjectTokenSource::AwsImdsV1);
    let file: Value =
        serde_json::from_str(&emulator.external_account_json("old", &first_version).unwrap()).unwrap();
    assert!(file["credential_source"]["imdsv2_session_token_url"].is_null(), "{file}");
    let wrong = ExternalAccountFile::new().source(SubjectTokenSource::GithubActions);
    assert!(emulator.external_account_json("vm", &wrong).is_err());
    let token = format!("{}/emulator/external_accounts/vm/token", emulator.endpoint());
    assert_eq!(text("GET", &token, &[], "").await.0, 404, "AWS issues no JWTs");
}
