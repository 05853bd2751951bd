//! `mailsnare rules`.

use std::process::ExitCode;

use super::Failure;
use super::args::RulesCommand;

/// Runs the command.
///
/// # Errors
/// [`Failure::Failed`]: what, which file, what to do.
pub fn run(_command: &RulesCommand) -> Result<ExitCode, Failure> {
    Err(Failure::Failed("rules is not built yet".to_owned()))
}
