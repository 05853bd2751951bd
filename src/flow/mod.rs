//! Flows: who talks to whom, and what they said, in order.
//!
//! [`table`] finds the flow of a packet with one look-up and forgets idle ones; [`stream`] puts the two directions
//! of a TCP connection back in order; [`flood`] counts who knocks where too often. Neither knows a protocol: whoever owns the table attaches what a flow needs.

pub mod flood;
pub mod stream;
pub mod table;
pub mod trust;

pub use flood::{Floods, Knock};
pub use stream::{Room, Sink, Stream, TcpPart};
pub use table::{Clock, Entry, FlowTable, Flows, Key, Place, lone_identity};
pub use trust::Trust;

/// TCP flag bits (RFC 9293, section 3.1).
pub mod flags {
    pub const FIN: u8 = 1;
    pub const SYN: u8 = 2;
    pub const RST: u8 = 4;
    pub const ACK: u8 = 16;
}
