use serde_json::{Value, json};

use super::*;
use crate::sts_protocol::JWT_TYPES;

/// A folder with a script, and a source that runs it.
struct Script {
    folder: tempfile::TempDir,
}

impl Script {
    fn new(content: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("script"), content).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn source(&self) -> ExecutableSource {
        ExecutableSource {
            program: "sh".into(),
            arguments: vec![self.path("script").display().to_string()],
            variables: vec![("NAME_FOR_TESTS", "value for tests".to_owned())],
            time_limit: Duration::from_secs(20),
            output_file: None,
            is_saml: false,
            running: Running::default(),
        }
    }

    fn with_output_file(&self) -> ExecutableSource {
        ExecutableSource { output_file: Some(self.path("output")), ..self.source() }
    }

    fn write_output(&self, reply: &Value) {
        std::fs::write(self.path("output"), reply.to_string()).unwrap();
    }

    /// How often the script has run, if it appends to the file `runs`.
    fn runs(&self) -> usize {
        std::fs::read_to_string(self.path("runs")).map_or(0, |runs| runs.lines().count())
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn reply(token: &str, expiration_time: u64) -> Value {
    json!({
        "version": 1, "success": true, "token_type": JWT_TYPES[0], "id_token": token,
        "expiration_time": expiration_time,
    })
}

const FAR: u64 = 4_000_000_000;

/// A script that counts its runs, and prints a reply with its number.
fn printing() -> Script {
    let reply = reply("token-NUMBER", FAR).to_string();
    Script::new(&format!(
        "cd \"$(dirname \"$0\")\"; echo run >> runs; number=$(grep -c run runs)\n\
         echo '{reply}' | sed \"s/NUMBER/$number/\"\n"
    ))
}

async fn failure(source: &ExecutableSource) -> Error {
    let error = source.fetch(soon()).await.unwrap_err();
    let text = format!("{error} {error:?} {source:?}");
    assert!(!text.contains("hidden"), "{text}");
    assert!(text.contains("credential_source.executable"), "{text}");
    error
}

/// conf: F3
#[tokio::test]
async fn the_command_runs_for_each_exchange_with_the_variables() {
    let script = printing();
    assert_eq!(script.source().fetch(soon()).await.unwrap().secret(), "token-1");
    assert_eq!(script.source().fetch(soon()).await.unwrap().secret(), "token-2");
    let reply = reply("'\"$NAME_FOR_TESTS $PATH_FOR_TESTS\"'", FAR).to_string().replace("\\\"", "\"");
    let script = Script::new(&format!("echo '{reply}'"));
    assert_eq!(script.source().fetch(soon()).await.unwrap().secret(), "value for tests");
}

/// conf: F3
#[tokio::test]
async fn a_valid_token_in_the_output_file_saves_a_run_unless_it_was_refused() {
    let script = printing();
    let source = script.with_output_file();
    script.write_output(&reply("kept", FAR));
    let kept = source.fetch(soon()).await.unwrap();
    assert_eq!((kept.secret(), script.runs()), ("kept", 0));
    let other = source.fetch_other(&kept, soon()).await.unwrap();
    assert_eq!((other.secret(), script.runs()), ("token-1", 1));
    let failed = json!({"version": 1, "success": false, "code": "401", "message": "x"});
    for (run, unusable) in [(2, reply("expired", 1)), (3, failed)] {
        script.write_output(&unusable);
        assert_eq!(source.fetch(soon()).await.unwrap().secret(), format!("token-{run}"));
    }
    std::fs::remove_file(script.path("output")).unwrap();
    assert_eq!(source.fetch(soon()).await.unwrap().secret(), "token-4");
}

/// conf: F3
#[tokio::test]
async fn an_output_file_that_makes_no_sense_is_an_error_once_it_stays_so() {
    let script = printing();
    let source = script.with_output_file();
    let mut endless = reply("hidden", FAR);
    endless["expiration_time"] = Value::Null;
    for content in ["", "{\"id_token\":\"hidden", &endless.to_string()] {
        std::fs::write(script.path("output"), content).unwrap();
        let error = failure(&source).await;
        assert!(!error.is_transient() && error.to_string().contains("output_file"), "{error}");
    }
    std::fs::write(script.path("output"), "{\"version\": 1,").unwrap();
    let write = async {
        sleep(PAUSE / 2).await;
        script.write_output(&reply("whole", FAR));
    };
    let (token, ()) = tokio::join!(source.fetch(soon()), write);
    assert_eq!((token.unwrap().secret(), script.runs()), ("whole", 0));
}

/// conf: F3
#[tokio::test]
async fn a_command_may_write_its_reply_into_the_output_file_alone() {
    let reply = reply("written", FAR);
    let script = Script::new(&format!("echo '{reply}' > \"$(dirname \"$0\")/output\""));
    assert_eq!(script.with_output_file().fetch(soon()).await.unwrap().secret(), "written");
    let nothing = Script::new("true");
    let error = failure(&nothing.with_output_file()).await;
    assert!(error.to_string().contains("printed nothing"), "{error}");
}

/// conf: F3
#[tokio::test]
async fn a_command_that_fails_is_an_error_without_its_output() {
    let good = reply("hidden", FAR);
    for (script, problem, transient) in [
        (format!("echo '{good}'; echo hidden >&2; exit 3"), "exit status: 3", true),
        (format!("echo '{good}'; kill -9 $$"), "signal", true),
        ("echo hidden".to_owned(), "no JSON", false),
        (format!("echo '{}'", reply("hidden", 1)), "expired", false),
        (format!("echo '{good}' '{good}'"), "no JSON", false),
        (format!("echo '{good}'; head -c 1000000 /dev/zero | tr '\\0' ' '"), "more than 131072", false),
    ] {
        let error = failure(&Script::new(&script).source()).await;
        assert!(error.to_string().contains(problem), "{script}: {error}");
        assert_eq!(error.is_transient(), transient, "{script}: {error}");
    }
    let missing = ExecutableSource { program: "/no/such/program".into(), ..Script::new("").source() };
    let error = failure(&missing).await;
    assert!(!error.is_transient() && error.to_string().contains("/no/such/program"), "{error}");
}

/// conf: F3
#[tokio::test]
async fn a_command_that_does_not_end_is_ended_at_its_time_limit() {
    let script = Script::new("echo $$ > \"$(dirname \"$0\")/process\"; exec sleep 60");
    let limited = ExecutableSource { time_limit: Duration::from_millis(300), ..script.source() };
    let start = Instant::now();
    let error = failure(&limited).await;
    assert!(error.is_transient() && error.to_string().contains("within 300ms"), "{error}");
    let process = std::fs::read_to_string(script.path("process")).unwrap();
    let mut path = PathBuf::from("/proc");
    path.push(process.trim());
    while cfg!(target_os = "linux") && path.exists() && start.elapsed() < Duration::from_secs(10) {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(!path.exists(), "it still runs");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// conf: F3
#[tokio::test]
async fn a_command_that_needs_more_time_than_a_fetch_has_serves_the_next_one() {
    let script = printing();
    let content = std::fs::read_to_string(script.path("script")).unwrap();
    std::fs::write(script.path("script"), format!("sleep 0.4\n{content}")).unwrap();
    let source = script.source();
    let error = source.fetch(Instant::now() + Duration::from_millis(50)).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("goes on"), "{error}");
    // Nor does it end with a future that is dropped.
    drop(tokio::time::timeout(Duration::from_millis(50), source.fetch(soon())).await);
    assert_eq!(source.fetch(soon()).await.unwrap().secret(), "token-1");
    assert_eq!(source.fetch(soon()).await.unwrap().secret(), "token-2");
}

/// conf: F3
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_command_ends_with_the_credentials_that_run_it() {
    let script = Script::new("echo $$ > \"$(dirname \"$0\")/process\"; exec sleep 60");
    let source = script.source();
    let start = Instant::now();
    let process = || std::fs::read_to_string(script.path("process")).unwrap_or_default();
    while process().is_empty() && start.elapsed() < Duration::from_secs(10) {
        source.fetch(Instant::now() + Duration::from_millis(50)).await.unwrap_err();
    }
    drop(source);
    let path = PathBuf::from("/proc").join(process().trim());
    while path.exists() && start.elapsed() < Duration::from_secs(20) {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(!path.exists(), "it still runs");
}
