//! What the bytes mean: one state machine a protocol, sans-IO, both directions.

pub mod smtp;
