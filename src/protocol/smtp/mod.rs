//! SMTP as heard by a listener (RFC 5321, with BDAT of RFC 3030, AUTH of RFC 4954, STARTTLS of RFC 3207, LMTP of
//! RFC 2033).
//!
//! [`Session`] is fed what each side said, in order, with gaps told, and says what it understood: transactions with
//! their messages, greetings, anomalies. It holds no socket and no clock. With one side in the capture it tells what
//! that side alone shows; of a session that goes over to TLS, what the handshake shows ([`super::tls`]). What may be a
//! credential never leaves it: not the client's words in AUTH or in what is no command, nor a reply that may repeat them.

mod command;
mod data;
mod held;
mod proxy;
mod reply;
mod session;
mod transaction;

pub use command::opens_smtp;
pub use session::{Context, Said, Session, Standing};

/// Whether a server that begins so may be greeting an SMTP client. `start` may be cut short.
pub fn may_greet(start: &[u8]) -> bool {
    const GREETING: &[u8] = b"220";
    let both = GREETING.len().min(start.len());
    both > 0 && GREETING[..both] == start[..both]
}
