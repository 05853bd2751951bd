//! Makes captures for mailsnare's tests and benches: seeded, inert, re-runnable.
//!
//! From the wire up, each layer usable by itself:
//!
//! - [`wire`] writes frames; [`capture`] writes files, and merges streams of packets into time order.
//! - [`tcp`] plays a script of "client says, server says" as a tap would see it, with the accidents of a real network
//!   on request; [`host`] says how each machine's stack behaves.
//! - [`dns`], [`tls`], [`mail`] and [`smtp`] make what is said; [`talk`] says it a packet at a time.
//! - [`stage`] brings hosts together and keeps, beside the packets, the [`truth`]: what was really sent. Tests compare
//!   what the sensor says with that, not with what the sensor said before.
//! - [`internet`], [`office`] and [`worm`] are the cast; [`samples`] are the plays under `pcaps/`.
//! - [`scenario`] makes captures of files that describe who mails how, with what must be said of it.
//! - [`bulk`] streams gigabytes for benches; [`attack`] makes what is meant to break a sensor.
//!
//! Nothing depends on clocks, threads or a crate's idea of randomness: one seed, one capture, byte for byte. No file
//! holds anything that could do harm: a worm is the shape of its mail, and its program is `MZ` and zeros.
//!
//! This crate does not depend on mailsnare, so that an error cannot agree with itself.

pub mod attack;
pub mod bulk;
pub mod capture;
pub mod clock;
pub mod dns;
pub mod host;
pub mod internet;
pub mod mail;
pub mod office;
pub mod prng;
pub mod samples;
pub mod scenario;
pub mod smtp;
pub mod stage;
pub mod talk;
pub mod tcp;
pub mod tls;
pub mod truth;
pub mod wire;
pub mod worm;
