//! Makes captures for mailsnare's tests and benches: seeded, inert, re-runnable.
pub mod capture;
pub mod clock;
pub mod dns;
pub mod host;
pub mod mail;
pub mod prng;
pub mod tcp;
pub mod tls;
pub mod wire;
