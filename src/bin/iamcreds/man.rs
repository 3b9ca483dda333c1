//! `iamcreds man`: the manual page.

use clap::Command;
use clap_mangen::Man;

use crate::failure::Failure;
use crate::output::print;

const EXAMPLES: &str = "\
Examples:
  iamcreds man | man -l -
  iamcreds man exec | man -l -
  iamcreds man > ~/.local/share/man/man1/iamcreds.1";

/// Prints the manual page of the command, or of a subcommand.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The subcommand; default: the page of iamcreds itself
    subcommand: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, command: Command) -> Result<(), Failure> {
    let mut command = command.disable_help_subcommand(true);
    // Gives the subcommands their full names.
    command.build();
    let command = match &arguments.subcommand {
        None => command,
        Some(name) => command.find_subcommand(name).cloned().ok_or_else(|| {
            Failure::usage(format!("no subcommand `{name}`")).fix_by("see `iamcreds --help`")
        })?,
    };
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    print(&page)
}
