//! Files of the type `external_account_authorized_user`. Nothing is sent.

use super::*;

fn sign_in() -> Value {
    json!({
        "type": "external_account_authorized_user",
        "audience": "//iam.googleapis.com/locations/global/workforcePools/staff/providers/okta",
        "refresh_token": "hidden-token",
        "token_url": "https://sts.googleapis.com/v1/oauthtoken",
        "token_info_url": "https://sts.googleapis.com/v1/introspect",
        "revoke_url": "https://sts.googleapis.com/v1/revoke",
        "client_id": "id",
        "client_secret": "hidden-secret",
        "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
        "quota_project_id": "billing",
        "universe_domain": "googleapis.com",
    })
}

/// conf: F10
#[test]
fn a_file_of_a_sign_in_is_read_also_as_the_source_of_an_impersonation() {
    let credentials = read(&sign_in()).unwrap();
    let info = credentials.info();
    assert_eq!(info.endpoint(), Some("https://sts.googleapis.com/v1/oauthtoken"));
    assert_eq!(info.quota_project(), Some("billing"));
    assert_eq!(info.scopes(), ["https://www.googleapis.com/auth/cloud-platform"]);
    let text = credentials.explain().to_string();
    assert!(text.contains("external_account_authorized_user") && !text.contains("hidden"), "{text}");
    assert!(!format!("{credentials:?}").contains("hidden"));

    let acting = read(&impersonated(sign_in())).unwrap();
    assert_eq!(acting.info().principal(), Some(TARGET));

    let url = "https://sts.tpc.example/v1/oauthtoken";
    let changes = json!({"universe_domain": "tpc.example", "token_url": url, "audience": null});
    let elsewhere = with(sign_in(), changes).to_string();
    let credentials = builder().universe_domain("tpc.example").json(&elsewhere).unwrap();
    assert_eq!(credentials.info().endpoint(), Some(url));
}

/// conf: F10, F11
#[test]
fn each_field_of_a_sign_in_is_checked_before_anything_is_sent() {
    for (changes, field) in [
        (json!({"audience": 7}), "audience"),
        (json!({"audience": "//iam.googleapis.com/projects/1/locations/global/x"}), "audience"),
        (json!({"refresh_token": ["hidden"]}), "refresh_token"),
        (json!({"refresh_token": ""}), "refresh_token"),
        (json!({"token_url": 7}), "token_url"),
        (json!({"token_url": "hidden"}), "token_url"),
        (json!({"token_url": "https://evil.example/v1/oauthtoken"}), "token_url"),
        (json!({"token_url": "https://oauth2.googleapis.com/token"}), "token_url"),
        (json!({"token_url": "http://sts.googleapis.com/v1/oauthtoken"}), "token_url"),
        (json!({"token_info_url": "https://evil.example/"}), "token_info_url"),
        (json!({"token_info_url": {}}), "token_info_url"),
        (json!({"revoke_url": "https://evil.example/"}), "revoke_url"),
        (json!({"revoke_url": ""}), "revoke_url"),
        (json!({"client_id": 7}), "client_id"),
        (json!({"client_id": "i:d"}), "client_id"),
        (json!({"client_id": null}), "client_id"),
        (json!({"client_secret": {"hidden": 1}}), "client_secret"),
        (json!({"scopes": "hidden"}), "scopes"),
        (json!({"scopes": [7]}), "scopes[0]"),
        (json!({"quota_project_id": "hidden project"}), "quota_project_id"),
        (json!({"universe_domain": "evil.example"}), "universe_domain"),
        (json!({"token": 7}), "token"),
        (json!({"token": "hidden token"}), "token"),
        (json!({"expiry": 7}), "expiry"),
        (json!({"token": "hidden", "expiry": "hidden"}), "expiry"),
        (json!({"token": "hidden", "expiry": "2026-13-01T00:00:00Z"}), "expiry"),
    ] {
        assert_refused(&with(sign_in(), changes), field);
    }
}

/// conf: F10
#[test]
fn a_file_that_cannot_be_refreshed_needs_a_token_and_says_which_field_is_missing() {
    for (changes, field) in [
        (json!({"refresh_token": null}), "refresh_token"),
        (json!({"token_url": null}), "token_url"),
        (json!({"client_id": null, "client_secret": null}), "client_id"),
        (json!({"client_secret": null}), "client_secret"),
        (json!({"client_secret": ""}), "client_secret"),
    ] {
        let file = with(sign_in(), changes);
        let text = assert_refused(&file, field);
        assert!(text.contains("`token`"), "{text}");
        let fixed = read(&with(file, json!({"token": "hidden"}))).unwrap();
        let text = fixed.explain().to_string();
        assert!(text.contains("can't be refreshed") && !text.contains("hidden"), "{text}");
    }
}

/// conf: F10
#[tokio::test]
async fn the_token_of_a_file_that_cannot_be_refreshed_has_the_expiry_of_the_file() {
    for (expiry, seconds) in [
        (Some("2100-01-01T00:00:00Z"), Some(4_102_444_800)),
        // Google's library for Python writes it without a zone.
        (Some("2100-01-01T00:00:00"), Some(4_102_444_800)),
        (Some("2100-01-01T01:00:00+01:00"), Some(4_102_444_800)),
        (None, None),
    ] {
        let file = with(sign_in(), json!({"refresh_token": null, "token": "t", "expiry": expiry}));
        let token = read(&file).unwrap().token().await.unwrap();
        let since = |at: std::time::SystemTime| at.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!((token.secret(), token.expires_at().map(since)), ("t", seconds), "{expiry:?}");
    }
}
