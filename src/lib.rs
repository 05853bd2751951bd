//! mailsnare finds hosts which mail themselves.

pub mod capture;
pub mod cli;
pub mod config;
pub mod correlator;
pub mod decode;
pub mod detect;
pub mod flow;
pub mod inspector;
pub mod mail;
pub mod model;
pub mod output;
pub mod pipeline;
pub mod protocol;
pub mod rules;
pub mod sensor;
