//! What holds for every assertion.

use std::cell::LazyCell;
use std::net::IpAddr;
use std::time::SystemTime;

use http::Uri;
use serde_json::Value;

use super::in_memory::{InMemory, Reply};
use crate::emulator::clock::unix;
use crate::emulator::iam::jwt;

const ACCOUNT: &str = "sa@project.iam.gserviceaccount.com";

thread_local! {
    static EMULATOR: LazyCell<InMemory> = LazyCell::new(|| InMemory::new(None));
}

/// Claims that the account signed are exchanged if they keep the rules, read here in another way.
/// Claims that it didn't sign never are. A refusal is an OAuth error and shows nothing of them.
///
/// The input is the claims as JSON. `@60` stands for the instant in 60 seconds.
pub fn assertions(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let now = unix(SystemTime::now());
    let claims = with_instants(text, now);
    EMULATOR.with(|emulator| {
        exchange(emulator, text).assert_is_refused(text);
        let keys = emulator.state.identities.accounts.get(ACCOUNT);
        let Ok(key) = keys.keys().current(SystemTime::now()) else { panic!("no key") };
        let Ok(assertion) = jwt::sign(&key, &claims) else { panic!("no signature") };
        let reply = exchange(emulator, &assertion);
        let parsed: Value = serde_json::from_str(&claims).unwrap_or_default();
        match reply.status.is_success() {
            true => assert!(keeps_the_rules(&parsed, now), "{claims}"),
            false => reply.assert_is_refused(&assertion),
        }
        if let Some((signed, signature)) = assertion.rsplit_once('.') {
            let changed: String = signature.chars().rev().collect();
            exchange(emulator, &format!("{signed}.{changed}")).assert_is_refused(&assertion);
            exchange(emulator, &format!("{signed}.")).assert_is_refused(&assertion);
        }
    });
}

impl Reply {
    fn assert_is_refused(&self, assertion: &str) {
        assert!(self.status.is_client_error(), "{}: {}", self.status, self.text);
        let json = self.json();
        assert!(json["error"].is_string() && json["error_description"].is_string(), "{json}");
        assert!(assertion.len() < 40 || !self.text.contains(assertion), "{json}");
    }
}

fn exchange(emulator: &InMemory, assertion: &str) -> Reply {
    emulator.state.journal.clear();
    emulator.state.identities.forget_tokens();
    let assertion = percent_encoding::utf8_percent_encode(assertion, percent_encoding::NON_ALPHANUMERIC);
    let form =
        format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
    let reply = emulator.send("POST", "/token", "application/x-www-form-urlencoded", form.as_bytes());
    reply.unwrap_or_else(|| panic!("the request is legal"))
}

fn keeps_the_rules(claims: &Value, now: i64) -> bool {
    // Fractions of a second, and a clock that is off by five minutes, are accepted.
    let time = |claim: &str| claims[claim].as_f64().unwrap_or(f64::NAN);
    let (iat, exp, now) = (time("iat"), time("exp"), now as f64);
    let audience = claims["aud"].as_str().unwrap_or_default();
    claims["iss"] == ACCOUNT
        && (is_own_endpoint(audience) || audience.starts_with("https://"))
        && iat < now + 302.0
        && exp > now - 2.0
        && exp > iat - 1.0
        && exp - iat < 3_902.0
        && (claims["scope"].is_string() || claims["target_audience"].is_string())
}

/// The emulator is reached by every loopback address, and perhaps through a forwarded port.
fn is_own_endpoint(audience: &str) -> bool {
    let Ok(url) = audience.parse::<Uri>() else { return false };
    let host = url.host().unwrap_or_default().trim_matches(['[', ']', '.']).to_ascii_lowercase();
    let is_loopback = match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    };
    url.path() == "/token" && url.query().is_none() && is_loopback
}

/// Replaces each `@` and number by the seconds since 1970 of that many seconds from now.
pub(super) fn with_instants(text: &str, now: i64) -> String {
    let mut pieces = text.split('@');
    let mut claims = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(piece.len());
        match piece[..digits].parse::<i64>() {
            Ok(offset) => claims.push_str(&now.saturating_add(offset).to_string()),
            Err(_) => {
                claims.push('@');
                claims.push_str(&piece[..digits]);
            }
        }
        claims.push_str(&piece[digits..]);
    }
    claims
}
