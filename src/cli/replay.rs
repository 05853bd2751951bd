//! `mailsnare replay`.

use std::process::ExitCode;

use super::{Failure, settings};

/// Runs the command.
///
/// # Errors
/// [`Failure::Failed`]: what, which file, what to do.
pub fn run(_settings: &settings::Replay) -> Result<ExitCode, Failure> {
    Err(Failure::Failed("replay is not built yet".to_owned()))
}
