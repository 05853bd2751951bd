//! What the process may do once it listens: as whom, with which capabilities, to which files, through which calls.
//!
//! A sensor opens what strangers send, so it is the first thing worth attacking on its machine. Once its sockets are
//! open it needs almost nothing any more. In two steps, each before any thread is started, since Linux counts most of
//! this by thread:
//!
//! 1. [`become_harmless`], before files are opened for writing, so that they belong to whom they are re-opened by: another
//!    user, no capabilities but those kept (capabilities(7)), nothing to be gained by running other programs
//!    (`no_new_privs`).
//! 2. [`close_in`], when everything is open: Landlock for files and TCP ports (landlock(7)), a list of system calls
//!    (seccomp(2)).
//!
//! A kernel that offers less is no error: what could not be had is in the [`Report`]. That the user could not be changed,
//! where one was named, is.

mod calls;
mod files;
mod rights;

use std::fmt;

pub use files::Grants;
pub use rights::Account;

/// What one step could apply, and what not, for the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub applied: Vec<String>,
    /// With the reason.
    pub missing: Vec<String>,
}

/// Why the process has more rights than it was told to keep.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    #[error("no user '{0}' on this machine; make it (adduser --system --group {0}) or name another with --user")]
    NoSuchUser(String),
    #[error("only root can become the user '{0}'; start it as root, or as that user and without --user")]
    NotRoot(String),
    #[error("cannot become the user '{user}': {what}: {cause}")]
    CannotBecome { user: String, what: &'static str, cause: String },
    #[error("capabilities cannot be given up: {0}; run it without confinement (--no-confinement) if that must be")]
    Capabilities(String),
}

/// Becomes `account`, when one is given, and gives up every capability but, when `keep_net_raw`, that to open packet
/// sockets. Must be called while there is one thread only.
///
/// # Errors
/// The user cannot be become; the capabilities cannot be given up.
pub fn become_harmless(account: Option<&Account>, keep_net_raw: bool) -> Result<Report, ConfineError> {
    rights::give_up(account, keep_net_raw)
}

/// How many threads there are besides this one: Landlock would not bind them.
pub fn other_threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, |tasks| tasks.count().saturating_sub(1))
}

/// Leaves only the files in `grants`, and the system calls that the sensor makes. Must be called while there is one
/// thread only. Never fails: what could not be applied is told.
pub fn close_in(grants: &Grants) -> Report {
    let mut report = Report::default();
    report.note("files", files::restrict(grants));
    report.note("system calls", calls::restrict());
    report
}

impl Report {
    fn note(&mut self, what: &str, done: Result<String, String>) {
        match done {
            Ok(how) => self.applied.push(format!("{what}: {how}")),
            Err(why) => self.missing.push(format!("{what}: {why}")),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.applied.join("; "))
    }
}
