//! What each fuzz target does with its input, and what must hold of the outcome whatever the input is.
//!
//! A target is a function over bytes that panics when something does not hold. The fuzzer's binaries (`bins/`) call
//! them with inputs it makes up; `tests/corpus.rs` includes this very file and calls them with the inputs that are
//! kept, so that what was found once is looked at with every `cargo test`.
//!
//! | target | the input is | what must hold besides that nothing panics |
//! | --- | --- | --- |
//! | [`frames`] | packets of any link type | no payload is longer than the packets it came from |
//! | [`tcp_stream`] | segments of both sides | each byte is delivered once, in its place, and was sent |
//! | [`smtp`] | what both sides say, and gaps | no credential is said; the places of splits do not matter |
//! | [`smtp_session`] | a plan of a session that keeps to the grammar | told is what the server took, however delivered |
//! | [`dns`] | a message, or a TCP stream of them | bounds; the places of splits do not matter |
//! | [`tls`] | the handshake of a connection | bounds; the places of splits do not matter |
//! | [`mail`] | a message | bounds, within a time |
//! | [`archive`] | an attachment | bounds, within a time |
//! | [`rules`] | a rule file | faults have a place; what compiles can be held against mail |
//! | [`capture_file`] | a capture file | packets are numbered and no longer than they say |
//! | [`eve`] | a capture file | each line is one JSON object; the same input gives the same lines |

pub mod archive;
pub mod capture_file;
pub mod dns;
pub mod eve;
pub mod frames;
pub mod mail;
pub mod rules;
pub mod smtp;
pub mod smtp_session;
pub mod tcp_stream;
pub mod tls;

mod guard;
mod input;
