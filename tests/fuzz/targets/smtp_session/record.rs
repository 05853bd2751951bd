//! What the server took, as its own record has it and as the sensor tells it.

use mailsnare::model::event::SmtpEvent;

use super::words::Params;

/// A transaction as the server has it.
pub struct Transaction {
    pub from: &'static str,
    pub params: Params,
    /// With the code of a refusal.
    pub recipients: Vec<(&'static str, Option<u16>)>,
    pub message: Vec<u8>,
    chunked: bool,
    /// A chunk was refused: only a reset helps.
    pub failed: bool,
    /// Its data was refused, and it goes on.
    pub data_refused: bool,
}

impl Transaction {
    pub fn new(from: &'static str, params: Params) -> Self {
        Self {
            from,
            params,
            recipients: Vec::new(),
            message: Vec::new(),
            chunked: false,
            failed: false,
            data_refused: false,
        }
    }

    /// Whether there is anyone to send data to.
    pub fn is_ready(&self) -> bool {
        !self.failed && self.has_recipients()
    }

    pub fn has_recipients(&self) -> bool {
        self.recipients.iter().any(|(_, refusal)| refusal.is_none())
    }

    pub fn in_chunks(&self) -> bool {
        self.chunked
    }

    pub fn chunks(&mut self, chunk: &[u8]) {
        self.chunked = true;
        self.message.extend_from_slice(chunk);
    }
}

/// A transaction that was taken.
#[derive(Debug, PartialEq)]
pub struct Accepted {
    helo: Option<(String, bool)>,
    auth: Option<(String, Option<bool>)>,
    from: String,
    declared: (Option<u64>, Option<&'static str>, bool),
    to: Vec<String>,
    refused: Vec<(String, u16)>,
    message: Vec<u8>,
    size: u64,
    truncated: bool,
    gaps: u32,
}

impl Accepted {
    pub fn new(
        taken: &Transaction,
        helo: Option<(&'static str, bool, bool)>,
        auth: Option<(&'static str, bool)>,
    ) -> Self {
        let to = taken.recipients.iter().filter(|(_, refusal)| refusal.is_none()).map(|(name, _)| (*name).to_owned());
        let refused = taken.recipients.iter().filter_map(|(name, refusal)| Some(((*name).to_owned(), (*refusal)?)));
        Self {
            helo: helo.map(|(name, extended, _)| (name.to_owned(), extended)),
            auth: auth.map(|(mechanism, accepted)| (mechanism.to_owned(), Some(accepted))),
            from: taken.from.to_owned(),
            declared: taken.params.declared,
            to: to.collect(),
            refused: refused.collect(),
            message: taken.message.clone(),
            size: taken.message.len() as u64,
            truncated: false,
            gaps: 0,
        }
    }

    /// What can be seen of it with this bound of a message, and without `replies`.
    pub fn seen(&self, bound: usize, replies: bool) -> Self {
        let kept = self.message.len().min(bound);
        Self {
            helo: self.helo.clone(),
            auth: self.auth.clone().map(|(mechanism, accepted)| (mechanism, accepted.filter(|_| replies))),
            from: self.from.clone(),
            to: self.to.clone(),
            refused: self.refused.clone(),
            message: self.message[..kept].to_vec(),
            truncated: kept < self.message.len(),
            ..*self
        }
    }

    /// What the sensor tells of it.
    pub fn told(event: &SmtpEvent) -> Self {
        let envelope = event.envelope.clone().unwrap_or_default();
        let message = event.message.clone().unwrap_or_default();
        Self {
            helo: event.helo.clone().map(|name| (name, event.extended)),
            auth: event.auth.clone().map(|auth| (auth.mechanism, auth.accepted)),
            from: if envelope.mail_from_unseen { "unseen".to_owned() } else { envelope.mail_from },
            declared: (envelope.size_declared, envelope.body, envelope.utf8),
            to: envelope.rcpt_to,
            refused: envelope.rcpt_rejected.into_iter().map(|one| (one.address, one.reply.code)).collect(),
            message: message.bytes,
            size: message.size,
            truncated: message.truncated,
            gaps: message.gaps,
        }
    }
}
