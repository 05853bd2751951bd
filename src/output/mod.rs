//! What people and programs get to see: EVE lines, metrics, the summary, extracted files, captures of incidents, the
//! progress bar.
//!
//! Rendering is kept apart from writing. [`eve`], [`summary`] and [`metrics`] turn values into bytes and do no I/O;
//! [`writer`], [`http`], [`extract`], [`evidence`], [`textfile`] and [`progress`] carry bytes out and know nothing of mail.
//! [`notify`] is both, for what goes to Alertmanager and syslog.

pub mod eve;
pub mod evidence;
pub mod extract;
pub mod http;
pub mod metrics;
pub mod notify;
pub mod progress;
pub mod summary;
pub mod textfile;
pub mod writer;
