//! `iamcreds`: Google's IAM Service Account Credentials API at the terminal.

mod access_token;
mod cached_token;
mod chain;
mod completions;
mod diagnose;
mod docker_credential;
mod duration;
mod emulator;
mod exec;
mod explain;
mod failure;
mod folders;
mod git_credential;
mod hosts;
mod id_token;
mod input;
mod interrupt;
mod keyring;
mod kubectl_credential;
mod kubelet_credential;
mod link_name;
mod log;
mod man;
mod output;
mod self_signed_jwt;
mod serve;
mod sign_blob;
mod sign_jwt;
mod sign_url;
mod source;
mod terminal;
mod token_arguments;
mod token_cache;
mod usage;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tracing::Level;

use crate::failure::Failure;
use crate::log::{LogFormat, UsualLog};

const AFTER_HELP: &str = "\
Examples:
  iamcreds access-token --target deployer@my-project.iam.gserviceaccount.com
  iamcreds id-token --target T --audience https://my-service.run.app --include-email
  iamcreds emulator --policy policy.json

Exit codes: 0 done; 2 invalid arguments or input; 3 no usable credentials to start from; 4 IAM refused; 5 a service
is unavailable or too slow; 1 anything else; 130 interrupted.";

/// Acts as another Google service account, at the terminal.
///
/// Gets tokens and signatures of a service account through Google's IAM Service Account Credentials API, and says which
/// grant is missing if that fails. Starts from application default credentials unless an argument says otherwise.
#[derive(Debug, Parser)]
#[command(name = "iamcreds", version, after_help = AFTER_HELP)]
struct Arguments {
    #[command(flatten)]
    log: log::LogArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    AccessToken(access_token::Arguments),
    IdToken(id_token::Arguments),
    SignBlob(sign_blob::Arguments),
    SignJwt(sign_jwt::Arguments),
    SignUrl(sign_url::Arguments),
    SelfSignedJwt(self_signed_jwt::Arguments),
    Exec(exec::Arguments),
    Serve(serve::Arguments),
    Diagnose(diagnose::Arguments),
    KubectlCredential(kubectl_credential::Arguments),
    DockerCredential(docker_credential::Arguments),
    KubeletCredential(kubelet_credential::Arguments),
    GitCredential(git_credential::Arguments),
    Keyring(keyring::Arguments),
    Explain(explain::Arguments),
    Verify(verify::Arguments),
    Emulator(emulator::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

impl Command {
    /// Returns what is logged if nobody asks for more. A command that ends says by itself why it fails.
    const fn usual_log(&self) -> UsualLog {
        let (events, level, format) = match self {
            Self::Emulator(_) => (log::OWN_EVENTS, Level::WARN, LogFormat::Text),
            // Operators hear who was refused.
            Self::Serve(arguments) => (log::OWN_EVENTS, Level::INFO, arguments.log_format()),
            // The person hears why the program gets no token.
            Self::Exec(arguments) if arguments.starts_server() => {
                (log::FETCHES, Level::WARN, LogFormat::Text)
            }
            _ => (log::OWN_EVENTS, Level::ERROR, LogFormat::Text),
        };
        UsualLog { events, level, format }
    }
}

fn main() -> ExitCode {
    let arguments = link_name::arguments(std::env::args_os());
    let result = match Arguments::try_parse_from(&arguments) {
        Ok(arguments) => {
            arguments.log.start(arguments.command.usual_log());
            run(&arguments.command)
        }
        Err(error) => Err(usage::failure(&error, &Arguments::command(), arguments.into_iter())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.exit().into()
        }
    }
}

fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::AccessToken(arguments) => access_token::run(arguments),
        Command::IdToken(arguments) => id_token::run(arguments),
        Command::SignBlob(arguments) => sign_blob::run(arguments),
        Command::SignJwt(arguments) => sign_jwt::run(arguments),
        Command::SignUrl(arguments) => sign_url::run(arguments),
        Command::SelfSignedJwt(arguments) => self_signed_jwt::run(arguments),
        Command::Exec(arguments) => exec::run(arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Diagnose(arguments) => diagnose::run(arguments),
        Command::KubectlCredential(arguments) => kubectl_credential::run(arguments),
        Command::DockerCredential(arguments) => docker_credential::run(arguments),
        Command::KubeletCredential(arguments) => kubelet_credential::run(arguments),
        Command::GitCredential(arguments) => git_credential::run(arguments),
        Command::Keyring(arguments) => keyring::run(arguments),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Emulator(arguments) => emulator::run(arguments),
        Command::Completions(arguments) => completions::run(arguments, Arguments::command()),
        Command::Man(arguments) => man::run(arguments, Arguments::command()),
    }
}
