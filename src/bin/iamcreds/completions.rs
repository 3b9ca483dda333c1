//! `iamcreds completions` and `iamcreds man`: what shells and `man` read.

use clap::Command;
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output::print;

const EXAMPLES: &str = "\
Examples:
  iamcreds completions bash > ~/.local/share/bash-completion/completions/iamcreds
  iamcreds completions zsh > \"${fpath[1]}/_iamcreds\"
  iamcreds completions fish > ~/.config/fish/completions/iamcreds.fish";

/// Prints a script that completes the arguments in a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "iamcreds", &mut script);
    print(&script)
}
