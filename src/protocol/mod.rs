//! What the bytes mean: one state machine a protocol, without I/O, fed with bytes in order and told of gaps.

pub mod dns;
pub mod smtp;
pub mod tls;
