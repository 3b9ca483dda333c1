//! Runs the program without anything of the machine's own credentials.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Child, Command, Output, Stdio};

use gcp_iam_credentials::emulator::{Emulator, Policy};

/// Alice may act as the builder, and the builder as the deployer.
pub(crate) const POLICY: &str = include_str!("../../docs/policy.json");
pub(crate) const ALICE_TOKEN: &str = "alice-token";
pub(crate) const BUILDER: &str = "builder@shop.iam.gserviceaccount.com";
pub(crate) const DEPLOYER: &str = "deployer@shop.iam.gserviceaccount.com";

/// What a run printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Returns what a run that works printed.
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self.stdout
    }

    /// Checks that a run failed with this exit code, printed nothing on standard output, and one line about what is
    /// wrong and at most one with advice on standard error. Returns both.
    pub(crate) fn two_lines(self, code: i32) -> (String, String) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:?}");
        let (what, fix) = self.stderr.split_once('\n').unwrap_or_else(|| panic!("{self:?}"));
        let what = what.strip_prefix("iamcreds: ").unwrap_or_else(|| panic!("{self:?}"));
        let fix = fix.strip_prefix("fix: ").unwrap_or(fix);
        assert!(fix.lines().count() <= 1, "{self:?}");
        (what.to_owned(), fix.trim_end().to_owned())
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Returns the program with an environment that has nothing of the machine's credentials.
pub(crate) fn iamcreds(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iamcreds"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command.env("HOME", "/nonexistent").env("PATH", std::env::var_os("PATH").unwrap_or_default());
    // Nobody listens there: without other credentials, a run must not ask the machine.
    command.env("GCE_METADATA_HOST", "127.0.0.1:9");
    command
}

/// Returns the program for which an emulator is the API. Alice runs it. `arguments` begin with the subcommand.
pub(crate) fn alice(emulator: &Emulator, arguments: &str) -> Command {
    let (subcommand, more) = arguments.split_once(' ').unwrap_or((arguments, ""));
    let mut command = iamcreds([subcommand, "--endpoint", emulator.endpoint()]);
    command.args(more.split_whitespace()).env("IAMCREDS_SOURCE_TOKEN", ALICE_TOKEN);
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Run {
    command.output().unwrap().into()
}

/// Runs a command that reads this from its standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &[u8]) -> Run {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that fails early doesn't read it.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap().into()
}

/// Sends a signal: `-INT`, for example.
pub(crate) fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Whether this process ignores a signal, and so do the programs that it starts: under `nohup`, for example, or in the
/// background of a script.
pub(crate) fn is_ignored(name: &str) -> bool {
    let numbers = [("-HUP", 1), ("-INT", 2), ("-QUIT", 3)];
    let number = numbers.iter().find(|(known, _)| *known == name).map(|(_, number)| number);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or("0").trim();
    number.is_some_and(|number| u64::from_str_radix(mask, 16).unwrap() >> (number - 1) & 1 == 1)
}

/// Starts an emulator with [`POLICY`].
pub(crate) async fn shop() -> Emulator {
    Emulator::builder().policy(Policy::from_json(POLICY).unwrap()).start().await.unwrap()
}
