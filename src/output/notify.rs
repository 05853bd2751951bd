//! Telling others as it happens: what goes to Alertmanager ([`alertmanager`]) and to syslog ([`syslog`]).

pub mod alertmanager;
pub mod syslog;

/// Counters of one way of telling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotifyStats {
    /// Alerts or incidents that the other side took.
    pub sent: u64,
    /// Attempts that failed, whether tried again or not.
    pub failed: u64,
    /// Alerts or incidents given up without being told.
    pub dropped: u64,
}
