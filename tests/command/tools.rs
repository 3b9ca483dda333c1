//! The helpers of docker, the kubelet, git and pip, by their protocols.

use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};

use crate::helpers::Home;
use crate::program::{BUILDER, DEPLOYER, Run, run, run_with_input};

const PROVIDER: &str =
    "//iam.googleapis.com/projects/12/locations/global/workloadIdentityPools/ci/providers/github";

/// Returns a helper that Alice runs by the name of a link, with her settings. Its source is in the environment alone.
fn linked(home: &Home, name: &str, arguments: &str) -> Command {
    let link = home.path(name);
    let _ = symlink(env!("CARGO_BIN_EXE_iamcreds"), &link);
    std::fs::create_dir_all(home.path(".config/iamcreds")).unwrap();
    let hosts = json!({"registry.test": {"target": DEPLOYER, "via": [BUILDER]}, "*.own.test": {}});
    home.write(".config/iamcreds/hosts.json", &hosts.to_string());
    let mut command = Command::new(link);
    command.args(arguments.split_whitespace()).env_clear().env("HOME", home.path(""));
    command.env("IAM_CREDENTIALS_EMULATOR_HOST", home.emulator.address().to_string());
    command.env("IAMCREDS_SOURCE_TOKEN", "alice-token").env("IAMCREDS_HELPER_TARGET", BUILDER);
    command
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// conf: I36
#[tokio::test]
async fn docker_gets_the_credentials_of_each_registry_by_the_helpers_name() {
    let home = Home::new().await;
    let get = |server: &str| {
        run_with_input(&mut linked(&home, "docker-credential-iamcreds", "get"), server.as_bytes())
    };
    for (server, account) in [
        ("europe-docker.pkg.dev\n", BUILDER),
        ("https://gcr.io", BUILDER),
        ("registry.test", DEPLOYER),
        ("a.own.test", BUILDER),
    ] {
        let reply = json_of(&get(server).ok());
        assert_eq!(reply["ServerURL"], server.trim());
        assert_eq!(reply["Username"], "oauth2accesstoken");
        assert_eq!(home.account(reply["Secret"].as_str().unwrap()), account, "{server}");
    }
    assert_eq!(home.mints(), 2, "each account has one token");
    // Clients know this text, and go on without credentials.
    for server in ["index.docker.io", "https://index.docker.io/v1/", "gcr.io.evil.test", "http://gcr.io", ""]
    {
        let refused = get(server);
        let expected = "credentials not found in native keychain\n";
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), expected), "{server}: {refused:?}");
    }
    let action = |action| run_with_input(&mut linked(&home, "docker-credential-iamcreds", action), b"gcr.io");
    assert_eq!(json_of(&action("list").ok()), json!({"registry.test": "oauth2accesstoken"}));
    assert!(action("version").ok().starts_with("iamcreds "));
    assert_eq!((action("store").ok(), action("erase").ok()), (String::new(), String::new()));
}

/// conf: I36
#[tokio::test]
async fn docker_shows_what_fails() {
    let home = Home::new().await;
    let arguments = format!("docker-credential get --target {DEPLOYER}");
    let refused = run_with_input(&mut home.alice(&arguments), b"gcr.io");
    assert_eq!((refused.code, refused.stderr.as_str()), (Some(4), ""), "{refused:?}");
    assert!(
        refused.stdout.contains("PERMISSION_DENIED") && refused.stdout.contains("\nfix: "),
        "{refused:?}"
    );
    home.write("hosts.json", "");
    let mut broken = linked(&home, "docker-credential-iamcreds", "get");
    home.write(".config/iamcreds/hosts.json", "{");
    let broken = run_with_input(&mut broken, b"gcr.io");
    assert_eq!(broken.code, Some(2), "{broken:?}");
    assert!(broken.stdout.contains("hosts.json"), "{broken:?}");
}

/// conf: I37
#[tokio::test]
async fn pip_gets_the_password_of_an_index_by_the_name_keyring() {
    let home = Home::new().await;
    let index = "https://europe-python.pkg.dev/shop/packages/simple/";
    let password = run(&mut linked(&home, "keyring", &format!("get {index} oauth2accesstoken"))).ok();
    assert_eq!(home.account(password.trim_end()), BUILDER);
    let host = run(&mut linked(&home, "keyring", "get europe-python.pkg.dev oauth2accesstoken")).ok();
    let both = run(&mut linked(&home, "keyring", &format!("--mode creds get {index}"))).ok();
    assert_eq!((&host, both), (&password, format!("oauth2accesstoken\n{password}")));
    for other in ["get https://pypi.org/simple/ me", "get http://europe-python.pkg.dev/ me", "get pkg.dev me"]
    {
        let nothing = run(&mut linked(&home, "keyring", other));
        let Run { code, stdout, stderr } = &nothing;
        assert_eq!((*code, stdout.as_str(), stderr.as_str()), (Some(1), "", ""), "{other}");
    }
    let (what, _) = run(&mut linked(&home, "keyring", "set https://a.pkg.dev me")).two_lines(1);
    assert!(what.contains("no password is stored"), "{what}");
    assert_eq!(home.mints(), 1);
}

/// conf: I38
#[tokio::test]
async fn git_gets_a_token_and_returns_a_refused_one() {
    let home = Home::new().await;
    let helper = |action: &str, input: &str| {
        run_with_input(&mut linked(&home, "git-credential-iamcreds", action), input.as_bytes()).ok()
    };
    let host = "protocol=https\nhost=source.developers.google.com\n";
    let reply = helper("get", &format!("{host}\n"));
    let lines: Vec<&str> = reply.lines().collect();
    let password = lines[1].strip_prefix("password=").unwrap();
    assert_eq!((lines[0], home.account(password).as_str()), ("username=oauth2accesstoken", BUILDER));
    assert!(lines[2].starts_with("password_expiry_utc="), "{reply}");
    let typed = helper("get", &format!("capability[]=authtype\n{host}"));
    assert!(typed.contains(&format!("\nauthtype=Bearer\ncredential={password}\nephemeral=1\n")), "{typed}");

    assert_eq!(helper("store", &format!("{host}password={password}\n")), "");
    assert_eq!(helper("erase", &format!("{host}password=another\n")), "");
    assert_eq!(helper("get", host), reply, "another password was refused, not this one");
    assert_eq!(helper("erase", &format!("{host}password={password}\n")), "");
    assert_ne!(helper("get", host), reply);
    assert_eq!(home.mints(), 2);

    for other in ["protocol=https\nhost=github.com", "protocol=http\nhost=source.developers.google.com", ""] {
        assert_eq!(helper("get", other), "", "{other}");
    }
    assert_eq!(helper("capability", host), "", "git demands that unknown actions are ignored");
}

/// conf: I38
#[tokio::test]
async fn git_does_not_ask_for_a_password_if_iam_refuses() {
    let home = Home::new().await;
    let arguments = format!("git-credential --target {DEPLOYER} get");
    let refused =
        run_with_input(&mut home.alice(&arguments), b"protocol=https\nhost=a.sourcemanager.dev\n\n");
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(4), "quit=1\n"), "{refused:?}");
    assert!(refused.stderr.contains("PERMISSION_DENIED"), "{refused:?}");
}

fn kubelet_request(image: &str, token: &str, annotated: Option<&str>) -> Vec<u8> {
    let mut request = json!({
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "kind": "CredentialProviderRequest",
        "image": image,
        "serviceAccountToken": token,
    });
    if let Some(account) = annotated {
        request["serviceAccountAnnotations"] = json!({"iam.gke.io/gcp-service-account": account});
    }
    request.to_string().into_bytes()
}

/// conf: I39
#[tokio::test]
async fn the_kubelet_pulls_as_the_account_that_the_pod_names() {
    let home = Home::new().await;
    let sts = format!("{}/v1/token", home.emulator.endpoint());
    let pod = home.emulator.external_account_token("job").await.unwrap();
    let kubelet = |more: &str, request: Vec<u8>| {
        let arguments = format!("kubelet-credential --provider {PROVIDER} --sts-url {sts} {more}");
        run_with_input(&mut home.alice(&arguments), &request)
    };
    let image = "europe-docker.pkg.dev/shop/images/app:1";
    let password = |printed: &str| {
        let reply = json_of(printed);
        assert_eq!(reply["apiVersion"], "credentialprovider.kubelet.k8s.io/v1");
        assert_eq!(
            (&reply["kind"], &reply["cacheKeyType"]),
            (&"CredentialProviderResponse".into(), &"Registry".into())
        );
        assert!(reply["cacheDuration"].as_str().unwrap().ends_with('s'), "{reply}");
        let auth = &reply["auth"]["europe-docker.pkg.dev"];
        assert_eq!(auth["username"], "oauth2accesstoken");
        home.account(auth["password"].as_str().unwrap())
    };
    let annotated = kubelet_request(image, &pod, Some(DEPLOYER));
    for _ in 0..2 {
        assert_eq!(password(&kubelet("", annotated.clone()).ok()), DEPLOYER);
    }
    assert_eq!(home.mints(), 1, "the second run uses the cache");
    let target = format!("--target {DEPLOYER}");
    assert_eq!(password(&kubelet(&target, kubelet_request(image, &pod, None)).ok()), DEPLOYER);
    let itself = password(&kubelet("", kubelet_request(image, &pod, None)).ok());
    assert!(itself.starts_with("principal://"), "{itself}");

    let (what, _) = kubelet("", kubelet_request(image, &pod, Some(BUILDER))).two_lines(4);
    assert!(what.contains(BUILDER), "{what}");
    let forged = format!("{pod}x");
    let (what, _) = kubelet("", kubelet_request(image, &forged, Some(DEPLOYER))).two_lines(3);
    assert!(!what.contains(&forged), "{what}");
}

/// conf: I39
#[tokio::test]
async fn the_kubelet_gets_the_nodes_token_or_nothing_for_a_foreign_registry() {
    let home = Home::new().await;
    let kubelet = |more: &str, request: &[u8]| {
        run_with_input(&mut home.alice(&format!("kubelet-credential {more}")), request)
    };
    let target = format!("--target {BUILDER}");
    let reply = json_of(&kubelet(&target, &kubelet_request("gcr.io/shop/app@sha256:00", "", None)).ok());
    assert_eq!(home.account(reply["auth"]["gcr.io"]["password"].as_str().unwrap()), BUILDER);
    let foreign = json_of(&kubelet(&target, &kubelet_request("docker.io/library/app", "", None)).ok());
    assert_eq!(foreign["auth"], json!({}));
    for (more, token, needed) in [("", "eyJpod", "--provider"), ("--provider //x", "", "tokenAttributes")] {
        let (what, fix) = kubelet(more, &kubelet_request("gcr.io/a", token, None)).two_lines(2);
        assert!(fix.contains(needed) && !what.contains("eyJpod"), "{what}: {fix}");
    }
    kubelet(&target, b"{").two_lines(2);
    kubelet(&target, &kubelet_request("gcr.io/a", "", Some("nobody"))).two_lines(2);
}
