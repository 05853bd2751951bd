//! The words every stage shares: times, flows, events, findings, alerts, limits and settings.
//!
//! This is the lowest layer: plain data with no behaviour beyond reading itself, importing nothing else of ours.

pub mod alert;
pub mod eve_type;
pub mod event;
pub mod limits;
pub mod mail;
pub mod memory;
pub mod net;
pub mod report;
pub mod rulebook;
pub mod settings;
pub mod stats;
pub mod time;
