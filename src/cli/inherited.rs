//! What a process inherits from the one that started it, where that would keep it from ending or cut its files.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::SIGXFSZ;

use super::Failure;

/// To be called before any thread is started, which inherits in its turn.
///
/// Signals that are heeded here are let through: a parent that waits for its own in a thread has them blocked, and so has
/// all that it starts. And a limit on the size of files (`ulimit -f`) becomes an error of the write, as a full disk is: by
/// default its signal ends the process in the middle of a line.
///
/// # Errors
/// The system refuses.
pub fn amend() -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("cannot handle signals: {error}"));
    let heeded = SigSet::from_iter([Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGXFSZ]);
    heeded.thread_unblock().map_err(|error| failed(&error))?;
    // Nobody asks for the flag: that there is a handler is enough.
    let handled = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    handled.map(|_| ()).map_err(|error| failed(&error))
}
