//! `iamcreds exec`: runs a program as the target.

mod child;
mod environment;
mod folder;
mod gcloud_config;
mod token_file;

use std::env;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clap::ArgGroup;
use gcp_iam_credentials::broker::MetadataServer;
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{Credentials, Impersonation};

use self::child::{Program, Signals};
use self::environment::{Changes, GUARD};
use self::folder::PrivateFolder;
use self::token_file::TokenFile;
use crate::chain::ChainArguments;
use crate::duration::duration;
use crate::failure::{Exit, Failure};
use crate::interrupt::{self, block_on};
use crate::source::SourceArguments;

const EXAMPLES: &str = "\
Examples:
  iamcreds exec --target deployer@my-project.iam.gserviceaccount.com -- python3 deploy.py
  iamcreds exec --target T --via HOP --scope https://www.googleapis.com/auth/devstorage.read_only -- node list.js
  iamcreds exec --target T -- gcloud storage ls
  iamcreds exec --target T --token-file -- gcloud storage ls
  iamcreds exec --target T --env -- terraform apply

Ends with the exit code of COMMAND, 128 and the signal's number if a signal ended it, 127 if it isn't found, and 126 if
it can't be run.";

/// The length of the random part of a path, in bytes.
const RANDOM_BYTES: usize = 16;

/// Runs a program as the target, for as long as it runs.
///
/// The program finds a metadata server as on Compute Engine, which Google's libraries in all languages and gcloud use.
/// It stops together with the program. On Linux, it serves only your own processes. Variables and settings that would
/// lead the program to other credentials are hidden from it. Signals are passed on.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = ArgGroup::new("mode").args(["token_file", "env"]))]
pub(crate) struct Arguments {
    #[command(flatten)]
    chain: ChainArguments,
    /// A scope of the program's access tokens; repeat it for each
    #[arg(long, value_name = "SCOPE", default_value = CLOUD_PLATFORM)]
    scope: Vec<String>,
    /// How long each access token is valid: 10m, 1h; a new one replaces it in time
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1h")]
    lifetime: Duration,
    /// The project of the program; default: that of its settings, else that of the target
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// Keep an access token in a file for gcloud, bq and gsutil, in place of the metadata server
    #[arg(long)]
    token_file: bool,
    /// Set one access token in variables, for Terraform and gcloud, in place of the metadata server; it isn't renewed
    #[arg(long)]
    env: bool,
    /// The address of the metadata server; default: 127.0.0.1 and any free port
    #[arg(long, value_name = "ADDRESS", conflicts_with = "mode")]
    address: Option<SocketAddr>,
    /// Serve only paths below a random one; gcloud, Python's and Go's libraries accept that, Node's doesn't
    #[arg(long, conflicts_with = "mode")]
    random_path: bool,
    #[command(flatten)]
    source: SourceArguments,
    /// The program with its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Arguments {
    /// Whether the program gets a metadata server.
    pub(crate) const fn starts_server(&self) -> bool {
        !self.env && !self.token_file
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    refuse_nesting()?;
    let target = arguments.source.impersonation(&arguments.chain)?.lifetime(arguments.lifetime);
    let tokens = target.access_token(&arguments.scope)?;
    let changes = Changes::new(tokens.info().principal().unwrap_or_default(), arguments.project.as_deref());
    let program = Program::new(&arguments.command);
    let code = if arguments.env {
        run_with_variables(&tokens, changes, &program)?
    } else if arguments.token_file {
        run_with_file(tokens, changes, &program)?
    } else {
        run_with_server(arguments, target, changes, &program)?
    };
    // Everything that has to be removed has been dropped.
    std::process::exit(code)
}

/// Runs the program with a metadata server.
fn run_with_server(
    arguments: &Arguments,
    target: Impersonation,
    mut changes: Changes,
    program: &Program<'_>,
) -> Result<i32, Failure> {
    block_on(async {
        let signals = Signals::new()?;
        let server = start_server(arguments, target).await?;
        let folder = PrivateFolder::create()?;
        let settings = gcloud_config::copy(&folder)?;
        changes.use_metadata_server(server.host(), server.address().ip(), &settings);
        warn_of_other_credentials();
        program.run(&changes, signals).await
    })
}

async fn start_server(arguments: &Arguments, target: Impersonation) -> Result<MetadataServer, Failure> {
    let mut server = MetadataServer::builder(target).scopes(&arguments.scope);
    if let Some(project) = &arguments.project {
        server = server.project(project);
    }
    if let Some(address) = arguments.address {
        server = server.address(address);
    }
    if arguments.random_path {
        server = server.path_prefix(random_path()?);
    }
    let server = server.start().await?;
    if !server.is_limited_to_own_user() && !arguments.random_path {
        eprintln!(
            "iamcreds: this system doesn't tell who connects: every user of this machine can get tokens"
        );
        eprintln!("fix: add --random-path if the library of the program accepts it");
    }
    Ok(server)
}

/// Runs the program with a file that always has a good access token.
fn run_with_file(tokens: Credentials, mut changes: Changes, program: &Program<'_>) -> Result<i32, Failure> {
    // The folder is removed at the end of this function, and by a signal before.
    let (_folder, mut file) = interrupt::run(async {
        let folder = PrivateFolder::create()?;
        let file = TokenFile::create(tokens, folder.path().join("access-token")).await?;
        Ok((folder, file))
    })?;
    changes.use_token_file(file.path());
    block_on(async {
        let signals = Signals::new()?;
        tokio::select! {
            code = program.run(&changes, signals) => code,
            never = file.keep_fresh() => match never {},
        }
    })
}

/// Runs the program with an access token in variables. It takes the place of this process, if the system can do that.
fn run_with_variables(
    tokens: &Credentials,
    mut changes: Changes,
    program: &Program<'_>,
) -> Result<i32, Failure> {
    let token = interrupt::run(async { Ok(tokens.token().await?) })?;
    changes.use_variables(token.secret());
    #[cfg(unix)]
    return Err(program.replace_this_process(&changes));
    #[cfg(not(unix))]
    block_on(async { program.run(&changes, Signals::new()?).await })
}

/// An inner run would start from the account that the outer one acts as, which is rarely meant.
fn refuse_nesting() -> Result<(), Failure> {
    match env::var_os(GUARD) {
        None => Ok(()),
        Some(account) => {
            let what = format!("`iamcreds exec` already acts as {} here", account.to_string_lossy());
            let fix = format!("run the command without it, or start from that account with `env -u {GUARD}`");
            Err(Failure::usage(what).fix_by(fix))
        }
    }
}

/// Tells about a file that some libraries read before they look for a metadata server, wherever gcloud's folder is.
fn warn_of_other_credentials() {
    let Some(home) = env::var_os("HOME") else { return };
    let file = Path::new(&home).join(".config/gcloud/application_default_credentials.json");
    if file.exists() {
        eprintln!(
            "iamcreds: programs in Go and older ones in Node act as the credentials in {}, not as the target",
            file.display()
        );
        eprintln!(
            "fix: hide it from such a program: `iamcreds exec … -- env HOME=FOLDER COMMAND`; for Terraform, add --env"
        );
    }
}

/// Returns a path that nobody can guess.
fn random_path() -> Result<String, Failure> {
    let mut bytes = [0; RANDOM_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Failure::new(Exit::Other, "no random numbers"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
