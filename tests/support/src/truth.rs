//! The sender's own record of a capture: what was really sent, by whom, to whom. The oracle of tests.

use std::fmt::Write as _;

use serde::Serialize;

use crate::mail::FileFacts;

/// All that is known of a capture. Times are those of the packets, as EVE writes them.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    pub sample: String,
    pub seed: u64,
    pub hosts: Vec<HostTruth>,
    /// Every connection, or attempt at one, to a mail port.
    pub sessions: Vec<SessionTruth>,
    /// Every mail transaction that was not hidden by TLS.
    pub transactions: Vec<TransactionTruth>,
    /// Every MX question.
    pub mx_questions: Vec<QuestionTruth>,
    /// Every other DNS question.
    pub other_questions: Vec<QuestionTruth>,
}

/// A host, with its sums as a client of mail.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HostTruth {
    pub name: String,
    pub addresses: Vec<String>,
    pub home: bool,
    pub role: String,
    pub stack: String,
    /// Connections to mail ports, also failed ones.
    pub sessions: u64,
    /// Messages sent in the clear to their end.
    pub messages: u64,
    /// Recipients accepted of transactions in the clear.
    pub recipients: u64,
    /// Bytes of IP packets of its connections to mail ports, both ways.
    pub mail_ip_bytes: u64,
    pub mx_questions: u64,
}

/// A connection to a mail port.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SessionTruth {
    /// Of the SYN.
    pub time: String,
    pub src: String,
    pub sport: u16,
    pub dst: String,
    pub dport: u16,
    /// `answered`, `refused` or `unanswered`.
    pub connect: &'static str,
    /// `none`, `starttls` or `implicit`.
    pub tls: &'static str,
    /// SASL mechanism, when it was used in the clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helo: Option<String>,
    /// Transactions, hidden ones included.
    pub transactions: usize,
    pub ip_bytes: u64,
}

/// A mail transaction.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TransactionTruth {
    /// Of the segment with the MAIL command.
    pub time: String,
    pub src: String,
    pub sport: u16,
    pub dst: String,
    pub dport: u16,
    /// Its number in the session, from 0.
    pub tx: usize,
    /// `outbound`, `inbound` or `internal`.
    pub direction: &'static str,
    /// What it is: `worm`, `theft`, `letter`, `newsletter`, `bounce`, `test` ...
    pub kind: &'static str,
    pub helo: String,
    pub extended: bool,
    pub dialect: Vec<&'static str>,
    pub mail_from: String,
    pub rcpt_to: Vec<String>,
    pub rcpt_rejected: Vec<String>,
    /// `accepted`, `rejected` or `aborted`.
    pub outcome: &'static str,
    /// None when no message was sent, or not to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageTruth>,
}

/// A message as received: dots unstuffed, final line end included.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MessageTruth {
    pub subject: String,
    pub size: u64,
    pub sha256: String,
    pub attachments: Vec<FileFacts>,
}

/// A DNS question and its answer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct QuestionTruth {
    /// Of the packet with the question.
    pub time: String,
    pub src: String,
    pub sport: u16,
    pub dst: String,
    /// `udp` or `tcp`.
    pub over: &'static str,
    pub id: u16,
    pub name: String,
    pub qtype: u16,
    pub rcode: u16,
    /// The answer was cut, to be asked again over TCP.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// As `10 mx.example.net` or an address.
    pub answers: Vec<String>,
}

impl Truth {
    /// Messages sent to their end in the clear.
    pub fn messages(&self) -> impl Iterator<Item = &TransactionTruth> {
        self.transactions.iter().filter(|transaction| transaction.message.is_some())
    }

    /// JSON with one entry a line, so that a difference shows what it is about.
    pub fn to_json(&self, packets: u64, span: (&str, &str)) -> String {
        let mut out = String::from("{\n");
        let _ = writeln!(out, "\"sample\": {:?}, \"seed\": {}, \"packets\": {packets},", self.sample, self.seed);
        let _ = writeln!(out, "\"first_packet\": {:?}, \"last_packet\": {:?},", span.0, span.1);
        list(&mut out, "hosts", &self.hosts, ",");
        list(&mut out, "sessions", &self.sessions, ",");
        list(&mut out, "transactions", &self.transactions, ",");
        list(&mut out, "mx_questions", &self.mx_questions, ",");
        list(&mut out, "other_questions", &self.other_questions, "");
        out.push_str("}\n");
        out
    }

    /// Puts all entries into time order.
    pub fn sort(&mut self) {
        // EVE's form of a time sorts as text does.
        self.sessions.sort_by(|a, b| a.time.cmp(&b.time));
        self.transactions.sort_by(|a, b| a.time.cmp(&b.time));
        self.mx_questions.sort_by(|a, b| a.time.cmp(&b.time));
        self.other_questions.sort_by(|a, b| a.time.cmp(&b.time));
    }
}

fn list<T: Serialize>(out: &mut String, name: &str, entries: &[T], end: &str) {
    let _ = writeln!(out, "{name:?}: [");
    for (index, entry) in entries.iter().enumerate() {
        let line = serde_json::to_string(entry).expect("plain structs are always JSON");
        let comma = if index + 1 < entries.len() { "," } else { "" };
        let _ = writeln!(out, "  {line}{comma}");
    }
    let _ = writeln!(out, "]{end}");
}
