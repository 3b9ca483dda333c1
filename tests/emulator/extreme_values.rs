//! Numbers at the ends of their types, through every door.

use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Fault, Policy, Role};
use gcp_iam_credentials::proto::{GenerateAccessTokenRequest, SignJwtRequest};
use gcp_iam_credentials::{scopes, service_account_path};
use serde_json::{Value, json as value};
use tonic::Code;

use crate::support::emulator::{
    EMAIL, access_token, get_token, json, jwt_of_key_file, now, rest, start, stub, with_bearer,
};

const SECONDS: [i64; 12] = [
    i64::MIN,
    i64::MIN + 1,
    -315_576_000_001,
    -1,
    0,
    1,
    3600,
    43_200,
    315_576_000_000,
    253_402_300_800,
    i64::MAX - 1,
    i64::MAX,
];
const NANOS: [i32; 7] = [i32::MIN, -1_000_000_000, -1, 0, 1, 1_000_000_000, i32::MAX];

/// Numbers as JSON writes them, most of which no integer type holds.
const NUMBERS: [&str; 16] = [
    "0",
    "-1",
    "-0.0",
    "0.5",
    "1e3",
    "1e400",
    "-1e400",
    "1e308",
    "-1.7976931348623157e308",
    "4e-324",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "99999999999999999999999999999999",
    "\"3600\"",
];

/// conf: A20
#[tokio::test]
async fn a_lifetime_of_any_value_is_granted_or_refused() {
    let policy = Policy::new()
        .token("any", "user:a@example.com")
        .grant("allUsers", Role::TOKEN_CREATOR, EMAIL)
        .long_lifetimes(EMAIL);
    let emulator = Emulator::builder().policy(policy).start().await.unwrap();
    let mut stub = stub(&emulator);
    for seconds in SECONDS {
        for nanos in NANOS {
            let lifetime = Some(prost_types::Duration { seconds, nanos });
            let request = GenerateAccessTokenRequest { lifetime, ..access_token(EMAIL) };
            let outcome = stub.generate_access_token(with_bearer(request, "any")).await;
            let code = outcome.map(drop).map_err(|status| status.code());
            let valid = matches!((seconds, nanos), (0, 1) | (1..43_200, 0 | 1) | (43_200, 0));
            assert_eq!(
                code,
                if valid { Ok(()) } else { Err(Code::InvalidArgument) },
                "{seconds} s, {nanos} ns"
            );
        }
        let body = value!({"scope": [scopes::CLOUD_PLATFORM], "lifetime": format!("{seconds}s")}).to_string();
        let (status, reply) = rest(&emulator, EMAIL, "generateAccessToken", "any", &body).await;
        assert_eq!(status == 200, (1..=43_200).contains(&seconds), "{seconds}: {reply}");
    }
    for number in NUMBERS {
        let body = format!(r#"{{"scope": ["{}"], "lifetime": {number}}}"#, scopes::CLOUD_PLATFORM);
        let (status, reply) = rest(&emulator, EMAIL, "generateAccessToken", "any", &body).await;
        assert_eq!(status, 400, "{number}: {reply}");
    }
}

/// conf: A20
#[tokio::test]
async fn times_of_any_value_in_assertions_and_bearer_tokens_are_accepted_or_refused() {
    let emulator = start().await;
    let url = format!("{}/token", emulator.endpoint());
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let (early, late) = (now().to_string(), (now() + 600).to_string());
    let times = || NUMBERS.into_iter().chain([early.as_str(), late.as_str()]);
    for iat in times() {
        for exp in [iat, &early, &late, "-9223372036854775808", "9223372036854775807"] {
            let claims = format!(
                r#"{{"iss":"{EMAIL}","sub":"{EMAIL}","aud":"{url}","scope":"{}","iat":{iat},"exp":{exp}}}"#,
                scopes::CLOUD_PLATFORM
            );
            let jwt = jwt_of_key_file(&emulator, &claims);
            let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
            let form = format!("grant_type={grant}&assertion={jwt}");
            let (status, reply) = json("POST", &url, &headers, form).await;
            let valid = iat == early && exp == late;
            assert_eq!(status, if valid { 200 } else { 400 }, "{iat} to {exp}: {reply}");
            // Without a policy, a bearer token that isn't a JWT counts as anyone's.
            let readable = !claims.contains("e400");
            let (status, reply) = rest(&emulator, EMAIL, "signBlob", &jwt, "{}").await;
            assert_eq!(status, if valid || !readable { 200 } else { 401 }, "{iat} to {exp}: {reply}");
        }
    }
}

/// conf: A20
#[tokio::test]
async fn an_expiry_of_any_value_in_claims_to_sign_is_signed_or_refused() {
    let emulator = start().await;
    for exp in NUMBERS {
        let payload = format!(r#"{{"exp": {exp}}}"#);
        let request = SignJwtRequest { name: service_account_path("-", EMAIL), delegates: vec![], payload };
        let status = stub(&emulator).sign_jwt(with_bearer(request, "any")).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{exp}");
    }
}

/// conf: A20
#[tokio::test]
async fn the_clock_and_the_grants_take_every_duration() {
    let emulator =
        Emulator::builder().policy(Policy::new().token("any", "user:a@b.c").account(EMAIL)).start();
    let emulator = emulator.await.unwrap();
    for by in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(u64::MAX), Duration::MAX] {
        emulator.clock().run_behind(by);
        emulator.clock().run_ahead(by);
        emulator.clock().advance(by);
        emulator.policy().grant_after(by, "user:a@b.c", Role::TOKEN_CREATOR, EMAIL).unwrap();
        get_token(&mut stub(&emulator)).await.expect("the first grant applies at once");
    }
    for text in ["315576000000s", "-315576000000s", "0.000000001s", "-0s"] {
        let url = format!("{}/emulator/clock", emulator.endpoint());
        let (status, reply) = json("POST", &url, &[], value!({ "skew": text }).to_string()).await;
        assert_eq!(status, 200, "{text}: {reply}");
        get_token(&mut stub(&emulator)).await.unwrap();
    }
}

/// conf: A20
#[tokio::test]
async fn a_fault_takes_every_delay() {
    let emulator = start().await;
    for delay in [Duration::MAX, Duration::from_secs(i64::MAX as u64)] {
        let fault = emulator.faults().inject(Fault::status(Code::Unavailable).retry_info(delay).after(delay));
        let call = async { get_token(&mut stub(&emulator)).await };
        tokio::time::timeout(Duration::from_millis(100), call).await.expect_err("the delay never ends");
        emulator.faults().clear(fault);
        emulator.faults().inject(Fault::status(Code::Unavailable).retry_info(delay).times(1));
        assert_eq!(get_token(&mut stub(&emulator)).await.unwrap_err().code(), Code::Unavailable);
    }
    let url = format!("{}/emulator/faults", emulator.endpoint());
    for (field, text) in [("delay", "315576000001s"), ("delay", "-1s"), ("retryDelay", "1e9s")] {
        let fault = value!({"effect": "status", field: text}).to_string();
        let (status, reply): (u16, Value) = json("POST", &url, &[], fault).await;
        assert_eq!(status, 400, "{text}: {reply}");
    }
    get_token(&mut stub(&emulator)).await.unwrap();
}
