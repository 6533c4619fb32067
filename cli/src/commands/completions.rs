//! `icefold completions`: a completion script for a shell.

use clap::CommandFactory;
use clap_complete::Shell;
use icefold_core::Result;

use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::output::Output;

/// Runs the command.
pub(crate) fn run(shell: Shell, output: Output) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "icefold", &mut script);
    output.write(&script)?;
    Ok(Exit::Done)
}
