//! Commands that wait for their replies.

use super::super::command::Hello;
use super::Introduction;

/// A command that waits for its reply.
#[derive(Debug)]
pub(super) enum Pending {
    /// A hello; the transaction it resets if accepted, and who the client said it was before.
    Hello {
        kind: Hello,
        resets: Option<u32>,
        before: Option<Introduction>,
    },
    /// The transaction it opens, and the one it resets if accepted.
    Mail {
        opens: u32,
        resets: Option<u32>,
    },
    Rcpt {
        transaction: u32,
        index: usize,
    },
    Data {
        transaction: Option<u32>,
    },
    Chunk {
        transaction: u32,
        last: bool,
    },
    /// The end of data; for LMTP, of one recipient.
    EndOfData {
        transaction: u32,
        recipient: Option<usize>,
    },
    Rset,
    StartTls,
    Auth,
    Block,
    /// XCLIENT or XFORWARD.
    Forwarded,
    Quit,
    Other,
    /// What is no command of SMTP. It may have been a credential, and the reply may repeat it.
    Unknown,
}

impl Pending {
    /// The transaction `from` is part of `to` now, its recipients behind so many others.
    pub(super) fn move_over(&mut self, from: u32, to: u32, recipients: usize) {
        match self {
            Self::Hello { resets: Some(id), .. }
            | Self::Mail { resets: Some(id), .. }
            | Self::Data { transaction: Some(id) }
            | Self::Chunk { transaction: id, .. }
                if *id == from =>
            {
                *id = to;
            }
            Self::Rcpt { transaction: id, index } | Self::EndOfData { transaction: id, recipient: Some(index) }
                if *id == from =>
            {
                (*id, *index) = (to, *index + recipients);
            }
            Self::EndOfData { transaction: id, recipient: None } if *id == from => *id = to,
            _ => {}
        }
    }
}
