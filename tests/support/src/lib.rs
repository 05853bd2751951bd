//! Makes captures for mailsnare's tests and benches: seeded, inert, re-runnable.
pub mod capture;
pub mod clock;
pub mod dns;
pub mod host;
pub mod internet;
pub mod mail;
pub mod office;
pub mod prng;
pub mod samples;
pub mod smtp;
pub mod stage;
pub mod tcp;
pub mod tls;
pub mod truth;
pub mod wire;
pub mod worm;
