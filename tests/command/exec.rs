//! `iamcreds exec`: a program that acts as the target.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Method};
use tokio::net::{TcpListener, TcpStream};

use crate::program::{BUILDER, DEPLOYER, alice, is_ignored, run, shop, signal};
use crate::support::emulator::http;
use crate::support::runtime::until;

const FLAVOR: (&str, &str) = ("metadata-flavor", "Google");

/// Returns a run of a shell script as the builder. Its temporary files go to `folder`.
fn exec(emulator: &Emulator, folder: &Path, options: &str, script: &str) -> Command {
    let mut command = alice(emulator, &format!("exec --target {BUILDER} {options}"));
    command.args(["--", "sh", "-c", script]).env("TMPDIR", folder);
    command
}

/// A run that goes on until its standard input is closed.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap_or_else(|| panic!("the program has ended")).unwrap()
    }

    /// Lets the program end, and returns its exit code.
    fn end(mut self) -> Option<i32> {
        drop(self.child.stdin.take());
        self.child.wait().unwrap().code()
    }
}

fn is_empty(folder: &tempfile::TempDir) -> bool {
    fs::read_dir(folder.path()).unwrap().count() == 0
}

/// Requests an access token from the metadata server.
async fn token(host: &str) -> (u16, String) {
    let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
    let (status, _, body) = http("GET", &url, &[FLAVOR], "").await;
    (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

fn access_token(body: &str) -> String {
    let reply: serde_json::Value = serde_json::from_str(body).unwrap();
    reply["access_token"].as_str().unwrap().to_owned()
}

/// conf: I20
#[tokio::test]
async fn the_program_finds_a_metadata_server_for_as_long_as_it_runs() {
    let (emulator, folder) = (shop().await, tempfile::tempdir().unwrap());
    let script = "echo $GCE_METADATA_HOST; echo $GCE_METADATA_IP $GCE_METADATA_ROOT; echo $CLOUDSDK_CONFIG; read x; exit 0";
    let mut running = Running::start(&mut exec(&emulator, folder.path(), "", script));
    let host = running.line();
    assert_eq!(running.line(), format!("{host} {host}"));
    let settings = running.line();
    assert!(
        settings.starts_with(folder.path().to_str().unwrap()) && Path::new(&settings).is_dir(),
        "{settings}"
    );
    let private = fs::metadata(Path::new(&settings).parent().unwrap()).unwrap();
    assert_eq!(private.permissions().mode() & 0o777, 0o700);
    assert!(emulator.journal().entries().is_empty(), "a token is fetched when the program wants one");
    let (status, body) = token(&host).await;
    assert_eq!(status, 200, "{body}");
    let principal = emulator.verify_access_token(&access_token(&body)).unwrap().principal().to_owned();
    assert_eq!(principal, format!("serviceAccount:{BUILDER}"));
    assert_eq!(running.end(), Some(0));
    assert!(TcpStream::connect(&host).await.is_err(), "the server stops with the program");
    assert!(is_empty(&folder));
}

/// conf: I20
#[tokio::test]
async fn only_paths_below_a_random_one_are_served_if_that_is_wanted() {
    let (emulator, folder) = (shop().await, tempfile::tempdir().unwrap());
    let start = || {
        let script = "echo $GCE_METADATA_HOST; read x; exit 0";
        Running::start(&mut exec(&emulator, folder.path(), "--random-path", script))
    };
    let (mut one, mut other) = (start(), start());
    let (host, another) = (one.line(), other.line());
    let (address, path) = host.split_once('/').unwrap();
    assert_eq!(path.len(), 32);
    assert!(!another.ends_with(path));
    assert_eq!((token(&host).await.0, token(address).await.0), (200, 404));
    assert_eq!((one.end(), other.end()), (Some(0), Some(0)));
}

/// conf: I21
#[tokio::test]
async fn the_exit_code_is_the_programs() {
    let (emulator, folder) = (shop().await, tempfile::tempdir().unwrap());
    for options in ["", "--token-file", "--env"] {
        for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)] {
            let ended = run(&mut exec(&emulator, folder.path(), options, script));
            // With `--env`, the program takes the place of the command, and the signal ends it.
            let expected = if options == "--env" && code > 128 { None } else { Some(code) };
            assert_eq!((ended.code, ended.stderr.as_str()), (expected, ""), "{options} {script}");
        }
    }
    assert!(is_empty(&folder));
}

/// conf: I21
#[tokio::test]
async fn a_program_that_cannot_be_started_is_named_in_one_line() {
    let (emulator, folder) = (shop().await, tempfile::tempdir().unwrap());
    let plain = folder.path().join("plain");
    fs::write(&plain, "no program").unwrap();
    let temporary = tempfile::tempdir().unwrap();
    for options in ["", " --token-file", " --env"] {
        for (program, code) in [("no-such-program", 127), (plain.to_str().unwrap(), 126)] {
            let mut command = alice(&emulator, &format!("exec --target {BUILDER}{options} -- {program}"));
            let (what, fix) = run(command.env("TMPDIR", temporary.path())).two_lines(code);
            assert!(what.starts_with(&format!("can't start {program}: ")), "{what}");
            assert_eq!(fix, "");
        }
    }
    assert!(is_empty(&temporary));
}

/// conf: I22
#[tokio::test]
async fn signals_reach_the_program_once_and_it_decides_when_to_end() {
    let (emulator, folder) = (shop().await, tempfile::tempdir().unwrap());
    let stop = tempfile::NamedTempFile::new().unwrap();
    let script = format!(
        "for s in INT TERM HUP QUIT USR1 USR2; do trap \"echo $s\" $s; done
        echo ready; while [ -e {} ]; do sleep 0.02; done; echo end; exit 3",
        stop.path().display()
    );
    for options in ["", "--token-file"] {
        fs::write(stop.path(), "").unwrap();
        let mut running = Running::start(&mut exec(&emulator, folder.path(), options, &script));
        assert_eq!(running.line(), "ready");
        for name in ["-TERM", "-INT", "-HUP", "-QUIT", "-USR1", "-USR2", "-TERM"] {
            if is_ignored(name) {
                continue;
            }
            signal(&running.child, name);
            assert_eq!(format!("-{}", running.line()), name);
        }
        fs::remove_file(stop.path()).unwrap();
        assert_eq!(running.line(), "end", "no signal came twice");
        assert_eq!(running.end(), Some(3));
        assert!(is_empty(&folder), "{options}");
    }
}

/// conf: I22
#[tokio::test]
async fn a_signal_ends_the_program_and_leaves_nothing() {
    let (emulator, folder) = (shop().await, tempfile::tempdir().unwrap());
    for options in ["", "--token-file"] {
        for (name, code) in [("-TERM", 143), ("-INT", 130), ("-HUP", 129)] {
            if is_ignored(name) {
                continue;
            }
            let mut running =
                Running::start(&mut exec(&emulator, folder.path(), options, "echo ready; exec sleep 60"));
            assert_eq!(running.line(), "ready");
            assert!(!is_empty(&folder));
            signal(&running.child, name);
            assert_eq!(running.end(), Some(code), "{options} {name}");
            assert!(is_empty(&folder), "{options} {name}");
        }
    }
}

/// conf: I22
#[tokio::test]
async fn what_a_killed_run_leaves_is_removed_by_the_next_one() {
    let (emulator, folder) = (shop().await, tempfile::tempdir().unwrap());
    let start =
        || Running::start(&mut exec(&emulator, folder.path(), "--token-file", "echo ready; read x; exit 0"));
    let (mut killed, mut other) = (start(), start());
    assert_eq!((killed.line(), other.line()), ("ready".to_owned(), "ready".to_owned()));
    killed.child.kill().unwrap();
    assert_eq!(killed.end(), None);
    let count = || fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(count(), 2);
    assert_eq!(run(&mut exec(&emulator, folder.path(), "", "exit 0")).code, Some(0));
    assert_eq!(count(), 1, "the other one still runs");
    assert_eq!(other.end(), Some(0));
    assert!(is_empty(&folder));
}

/// conf: I22
#[tokio::test]
async fn a_program_that_another_one_outlives_ends_the_run() {
    let (emulator, folder) = (shop().await, tempfile::tempdir().unwrap());
    let script = "echo $GCE_METADATA_HOST; sleep 60 >/dev/null 2>&1 </dev/null & echo $!";
    let mut running = Running::start(&mut exec(&emulator, folder.path(), "", script));
    let (host, left) = (running.line(), running.line());
    assert_eq!(running.end(), Some(0));
    assert!(TcpStream::connect(&host).await.is_err());
    assert!(Command::new("kill").arg(left).status().unwrap().success(), "it still runs");
}

/// conf: I23
#[tokio::test]
async fn a_token_file_is_private_and_replaced_before_its_token_ends() {
    let (emulator, folder) = (shop().await, tempfile::tempdir().unwrap());
    let script = "echo $CLOUDSDK_AUTH_ACCESS_TOKEN_FILE; read x; exit 0";
    let mut running =
        Running::start(&mut exec(&emulator, folder.path(), "--token-file --lifetime 2s", script));
    let path = running.line();
    let read = || fs::read_to_string(&path).unwrap();
    let first = read();
    assert!(emulator.verify_access_token(&first).is_some());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    until("another token", || read() != first).await;
    until("a third call", || emulator.journal().of_method(Method::GenerateAccessToken).len() > 2).await;
    assert!(emulator.verify_access_token(&read()).is_some());
    assert_eq!(running.end(), Some(0));
    assert!(is_empty(&folder));
}

/// conf: I23
#[tokio::test]
async fn with_variables_the_program_takes_the_place_of_the_command() {
    let (emulator, folder) = (shop().await, tempfile::tempdir().unwrap());
    let script = "echo $$; echo $CLOUDSDK_AUTH_ACCESS_TOKEN; echo $GOOGLE_OAUTH_ACCESS_TOKEN; read x; exit 0";
    let mut running = Running::start(&mut exec(&emulator, folder.path(), "--env", script));
    assert_eq!(running.line(), running.child.id().to_string());
    let token = running.line();
    assert_eq!(running.line(), token);
    assert!(emulator.verify_access_token(&token).is_some());
    assert_eq!(running.end(), Some(0));
    assert!(is_empty(&folder));
}

/// conf: I24
#[tokio::test]
async fn what_leads_to_other_credentials_is_hidden_from_the_program() {
    let (emulator, home) = (shop().await, tempfile::tempdir().unwrap());
    let gcloud = home.path().join(".config/gcloud");
    fs::create_dir_all(gcloud.join("configurations")).unwrap();
    fs::write(gcloud.join("configurations/config_default"), "[core]\nproject = p\n").unwrap();
    fs::write(gcloud.join("credentials.db"), "").unwrap();
    let script = "env; ls -R $CLOUDSDK_CONFIG";
    let run_in_home = || {
        let mut command = exec(&emulator, home.path(), "--project chosen", script);
        command.env("HOME", home.path()).env("GOOGLE_APPLICATION_CREDENTIALS", "/secret/key.json");
        run(command
            .env("NO_GCE_CHECK", "true")
            .env("HTTP_PROXY", "http://proxy:1")
            .env("NO_PROXY", "a.example"))
    };
    let seen = run_in_home().ok();
    for there in
        ["NO_PROXY=a.example,127.0.0.1", "METADATA_SERVER_DETECTION=assume-present", "config_default"]
    {
        assert!(seen.contains(there), "{there}: {seen}");
    }
    for project in ["GOOGLE_CLOUD_PROJECT=chosen", "CLOUDSDK_CORE_PROJECT=chosen"] {
        assert!(seen.contains(project), "{project}: {seen}");
    }
    for hidden in ["/secret", "NO_GCE_CHECK", "alice-token", "IAMCREDS_SOURCE_TOKEN", "credentials.db"] {
        assert!(!seen.contains(hidden), "{hidden}: {seen}");
    }
    fs::write(gcloud.join("application_default_credentials.json"), "{}").unwrap();
    let warned = run_in_home();
    assert_eq!(warned.code, Some(0));
    assert!(
        warned.stderr.contains("application_default_credentials.json") && warned.stderr.contains("\nfix: ")
    );
    assert!(!warned.stdout.contains("application_default_credentials"), "{}", warned.stdout);
}

/// conf: I25
#[tokio::test]
async fn an_inner_run_is_refused_with_advice() {
    let (emulator, folder) = (shop().await, tempfile::tempdir().unwrap());
    let program = env!("CARGO_BIN_EXE_iamcreds");
    let script = format!("{program} exec --target {DEPLOYER} -- true");
    for options in ["", "--env", "--token-file"] {
        let (what, fix) = run(&mut exec(&emulator, folder.path(), options, &script)).two_lines(2);
        assert_eq!(what, format!("`iamcreds exec` already acts as {BUILDER} here"));
        assert!(fix.contains("env -u IAMCREDS_EXEC"), "{fix}");
    }
}

/// conf: I25
#[tokio::test]
async fn mistakes_are_told_before_the_program_starts() {
    let emulator = shop().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap();
    for (options, expected) in [
        (format!("--address {port}"), "--address: invalid `address`: can't listen on"),
        ("--address 0.0.0.0:0".to_owned(), "--address: invalid `address`: must be a loopback address"),
        ("--scope nonsense".to_owned(), "--scope: invalid `scopes[0]`"),
        ("--lifetime 13h".to_owned(), "--lifetime: invalid `lifetime`"),
        ("--project no/project".to_owned(), "--project: invalid `project`"),
        ("--env --token-file".to_owned(), "the argument '--env' cannot be used with '--token-file'"),
        ("--env --random-path".to_owned(), "the argument '--random-path' cannot be used with"),
    ] {
        let mut command = alice(&emulator, &format!("exec --target {BUILDER} {options} -- echo started"));
        let (what, _) = run(&mut command).two_lines(2);
        assert!(what.starts_with(expected), "{options}: {what}");
    }
    let (what, fix) = run(&mut alice(&emulator, &format!("exec --target {BUILDER}"))).two_lines(2);
    assert!(what.contains("<COMMAND>") && fix.contains("-- python3 deploy.py"), "{what} {fix}");
    assert!(emulator.journal().entries().is_empty());
}

/// conf: I25
#[tokio::test]
async fn a_chain_that_is_refused_is_told_to_the_person_and_to_the_program() {
    let (emulator, folder) = (shop().await, tempfile::tempdir().unwrap());
    for options in ["--token-file", "--env"] {
        let mut command = alice(&emulator, &format!("exec --target {DEPLOYER} {options} -- echo started"));
        let (what, fix) = run(command.env("TMPDIR", folder.path())).two_lines(4);
        assert!(what.contains("PERMISSION_DENIED") && !fix.is_empty(), "{what} {fix}");
    }
    let mut command = alice(&emulator, &format!("exec --target {DEPLOYER} -- sh -c"));
    let mut running =
        Running::start(command.arg("echo $GCE_METADATA_HOST; read x; exit 0").env("TMPDIR", folder.path()));
    let (status, body) = token(&running.line()).await;
    assert!(status == 403 && body.contains("PERMISSION_DENIED") && body.contains("\nfix: "), "{body}");
    let mut stderr = running.child.stderr.take().unwrap();
    assert_eq!(running.end(), Some(0));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut said).unwrap();
    assert!(said.contains("the token could not be fetched") && said.contains(DEPLOYER), "{said}");
    assert!(!said.contains("alice-token"), "{said}");
    assert!(is_empty(&folder));
}

/// conf: I26
#[tokio::test]
async fn a_flood_of_half_open_connections_does_not_stop_the_server() {
    let (emulator, folder) = (shop().await, tempfile::tempdir().unwrap());
    let script = "echo $GCE_METADATA_HOST; read x; exit 0";
    let mut running = Running::start(&mut exec(&emulator, folder.path(), "", script));
    let host = running.line();
    let mut half_open = Vec::new();
    while half_open.len() < 700 {
        let connected = tokio::time::timeout(Duration::from_secs(5), TcpStream::connect(&host)).await;
        let stream = connected.unwrap().unwrap().into_std().unwrap();
        // It may be closed already, to make room for others.
        let _ = (&stream).write(b"GET /computeMetadata/v1/ HTTP/1.1\r\n");
        half_open.push(stream);
    }
    let (status, body) = token(&host).await;
    assert_eq!(status, 200, "{body}");
    drop(half_open);
    assert_eq!(running.end(), Some(0));
}
