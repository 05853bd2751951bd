//! What the sensor says against what the senders and the servers recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

/// The record of both ends.
pub struct Truth {
    /// One for each transaction of a client, as `send.py` writes them.
    pub sent: Vec<Value>,
    /// One for each session of a client in TLS.
    pub sessions: Vec<Value>,
    /// One for each file in a Maildir, as `stored.py` writes them.
    pub stored: Vec<Value>,
}

/// What was compared, and each case in which the two disagree.
#[derive(Default)]
pub struct Verdict {
    /// Messages of clients in clear.
    pub messages: usize,
    /// Messages passed on from server to server in clear.
    pub relayed: usize,
    /// Stored copies in clear.
    pub stored: usize,
    /// Sessions in TLS.
    pub tls: usize,
    /// Clients' messages and servers' messages in BDAT.
    pub bdat: [usize; 2],
    pub files: usize,
    pub refused: usize,
    pub differences: Vec<String>,
}

impl Truth {
    pub fn read(dir: &Path, stored: &str) -> Self {
        let file = |name| lines(&std::fs::read_to_string(dir.join(name)).unwrap());
        Self { sent: file("sent.jsonl"), sessions: file("sessions.jsonl"), stored: lines(stored) }
    }

    /// Compares all of it with the sensor's lines.
    pub fn compare(&self, eve: &[Value], client: &str) -> Verdict {
        let seen = Seen::new(eve, client);
        let mut verdict = Verdict::default();
        self.clients(&seen, &mut verdict);
        self.relays(&seen, &mut verdict);
        self.bounds(&seen, &mut verdict);
        self.maildirs(&seen, &mut verdict);
        self.in_tls(&seen, &mut verdict);
        verdict
    }

    fn in_clear(&self) -> impl Iterator<Item = &Value> {
        self.sent.iter().filter(|sent| sent["tls"] == false)
    }

    /// Each transaction of a client in clear is told once, with its envelope, its end and its message.
    fn clients(&self, seen: &Seen<'_>, verdict: &mut Verdict) {
        let mut told: BTreeMap<String, Vec<&Transaction<'_>>> = BTreeMap::new();
        for transaction in seen.transactions.iter().filter(|transaction| transaction.by_client) {
            told.entry(transaction.mail_from.clone()).or_default().push(transaction);
        }
        for sent in self.in_clear() {
            let case = case(sent);
            let found = told.remove(text(&sent["mail_from"])).unwrap_or_default();
            let [transaction] = found[..] else {
                verdict.differences.push(format!("{case}: told {} times, not once", found.len()));
                continue;
            };
            let mut differ = |what: &str, truth: Value, told: Value| {
                if truth != told {
                    verdict.differences.push(format!("{case}: {what}: sent {truth}, told {told}"));
                }
            };
            differ("server", sent["server"].clone(), transaction.event["dest_ip"].clone());
            differ("accepted recipients", sorted(&sent["accepted"]), transaction.accepted());
            differ("rejected recipients", sorted(&sent["rejected"]), transaction.rejected());
            differ("outcome", sent["outcome"].clone(), transaction.event["smtp"]["outcome"].clone());
            verdict.refused += sent["rejected"].as_array().unwrap().len();
            if sent["unsent"] == true {
                continue;
            }
            verdict.messages += 1;
            verdict.bdat[0] += usize::from(transaction.in_chunks());
            verdict.files += transaction.files.len();
            differ("BDAT", (sent["bdat"] == true).into(), transaction.in_chunks().into());
            differ("size", sent["size"].clone(), transaction.email()["size"].clone());
            differ("body", sent["body_md5"].clone(), transaction.email()["body_md5"].clone());
            transaction.content(sent, differ);
        }
        verdict.differences.extend(told.keys().map(|from| format!("told and never sent by a client: {from}")));
    }

    /// What servers pass on in clear has its envelope and its files still, and who was refused is named.
    fn relays(&self, seen: &Seen<'_>, verdict: &mut Verdict) {
        let by_sender: BTreeMap<_, _> = self.sent.iter().map(|sent| (text(&sent["mail_from"]), sent)).collect();
        let mut refused = BTreeSet::new();
        for transaction in seen.transactions.iter().filter(|transaction| !transaction.by_client) {
            let (from, way) = (&transaction.mail_from, transaction.way());
            for rejected in transaction.rejected().as_array().unwrap() {
                refused.insert((text(&transaction.event["dest_ip"]).to_owned(), text(&rejected[0]).to_owned()));
            }
            let Some(sent) = by_sender.get(from.as_str()) else {
                if !from.is_empty() {
                    verdict.differences.push(format!("{way}: told and never sent: {from}"));
                }
                continue;
            };
            if transaction.event["smtp"]["outcome"] != "accepted" {
                continue;
            }
            verdict.relayed += 1;
            verdict.bdat[1] += usize::from(transaction.in_chunks());
            verdict.files += transaction.files.len();
            let case = format!("{} passed on {way}", case(sent));
            transaction.content(sent, |what, truth, told| {
                if truth != told {
                    verdict.differences.push(format!("{case}: {what}: sent {truth}, told {told}"));
                }
            });
        }
        let expected = self.sent.iter().filter(|sent| sent["outcome"] == "accepted").flat_map(|sent| {
            let refused = sent["accepted"].as_array().unwrap().iter().map(text).filter(|rcpt| rcpt.starts_with("no"));
            refused.map(|rcpt| (server_of(rcpt), rcpt.to_owned()))
        });
        let expected: BTreeSet<_> = expected.collect();
        verdict.refused += expected.len();
        for (server, rcpt) in expected.symmetric_difference(&refused) {
            let told = if refused.contains(&(server.clone(), rcpt.clone())) { "told only" } else { "not told" };
            verdict.differences.push(format!("{rcpt} refused by {server} on the way on: {told}"));
        }
    }

    /// Nothing was cut or lost in what was told.
    fn bounds(&self, seen: &Seen<'_>, verdict: &mut Verdict) {
        for transaction in &seen.transactions {
            let marks = [&transaction.email()["truncated"], &transaction.event["smtp"]["unseen"]];
            if *marks[0] == true || !marks[1].is_null() || transaction.event["smtp"]["rcpt_dropped"].is_u64() {
                verdict.differences.push(format!("{} {}: not whole", transaction.mail_from, transaction.way()));
            }
        }
    }

    /// Each stored copy that came in clear was told, as often as it is there, under the address it is stored for.
    fn maildirs(&self, seen: &Seen<'_>, verdict: &mut Verdict) {
        let mut balance: BTreeMap<String, i64> = BTreeMap::new();
        for stored in self.stored.iter().filter(|stored| stored["wire"] == true && stored["tls"] == false) {
            verdict.stored += 1;
            let parts = ["server", "rcpt", "mail_from", "message_id", "subject", "body_md5"];
            *balance.entry(json!(parts.map(|part| &stored[part])).to_string()).or_default() -= 1;
        }
        for transaction in &seen.transactions {
            let (event, email) = (transaction.event, transaction.email());
            if event["smtp"]["outcome"] != "accepted" {
                continue;
            }
            for rcpt in transaction.accepted().as_array().unwrap() {
                if server_of(text(rcpt)) == text(&event["dest_ip"]) {
                    let id = email["message_id"].as_str().unwrap_or_default();
                    let key = json!([
                        event["dest_ip"],
                        rcpt,
                        transaction.mail_from,
                        id,
                        email["subject"].as_str().unwrap_or_default(),
                        email["body_md5"],
                    ]);
                    *balance.entry(key.to_string()).or_default() += 1;
                }
            }
        }
        for (key, count) in balance.iter().filter(|(_, count)| **count != 0) {
            let how = if *count < 0 { "stored and not told" } else { "told and not stored" };
            verdict.differences.push(format!("{how} ({count:+}): {key}"));
        }
    }

    /// Sessions in TLS are told as such, and nothing of what they carry.
    fn in_tls(&self, seen: &Seen<'_>, verdict: &mut Verdict) {
        verdict.tls = seen.in_tls.len();
        let count = |list: &mut dyn Iterator<Item = &Value>, field: &str| {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            list.for_each(|one| *counts.entry(text(&one[field]).to_owned()).or_default() += 1);
            counts
        };
        let told = count(&mut seen.in_tls.iter().copied().filter(|event| event["src_ip"] == seen.client), "dest_ip");
        let truth = count(&mut self.sessions.iter(), "server");
        if truth != told {
            verdict.differences.push(format!("clients' sessions in TLS by server: sent {truth:?}, told {told:?}"));
        }
        for event in &seen.in_tls {
            if !event["smtp"]["mail_from"].is_null() || event.get("email").is_some() {
                verdict.differences.push(format!("content told of a session in TLS: {event}"));
            }
        }
        for server in self.stored.iter().filter(|stored| stored["tls"] == true).map(|stored| &stored["server"]) {
            if !seen.in_tls.iter().any(|event| event["dest_ip"] == *server) {
                verdict.differences.push(format!("{server} stored mail that came in TLS, and no such session is told"));
            }
        }
    }
}

/// The sensor's lines, joined.
struct Seen<'a> {
    client: &'a str,
    transactions: Vec<Transaction<'a>>,
    in_tls: Vec<&'a Value>,
}

struct Transaction<'a> {
    event: &'a Value,
    files: Vec<&'a Value>,
    mail_from: String,
    by_client: bool,
}

impl<'a> Seen<'a> {
    fn new(eve: &'a [Value], client: &'a str) -> Self {
        let id = |event: &Value| (event["flow_id"].as_u64(), event["tx_id"].as_u64());
        let mut files: BTreeMap<_, Vec<&Value>> = BTreeMap::new();
        for event in eve.iter().filter(|event| event["event_type"] == "fileinfo") {
            let tx = event["fileinfo"]["tx_id"].as_u64();
            files.entry((event["flow_id"].as_u64(), tx)).or_default().push(&event["fileinfo"]);
        }
        let smtp = || eve.iter().filter(|event| event["event_type"] == "smtp");
        let transactions = smtp().filter(|event| !event["smtp"]["mail_from"].is_null()).map(|event| Transaction {
            event,
            files: files.remove(&id(event)).unwrap_or_default(),
            mail_from: bare(&event["smtp"]["mail_from"]),
            by_client: event["src_ip"] == client,
        });
        Self {
            client,
            transactions: transactions.collect(),
            in_tls: smtp().filter(|event| event["smtp"]["tls"] == true).collect(),
        }
    }
}

impl Transaction<'_> {
    fn email(&self) -> &Value {
        &self.event["email"]
    }

    fn way(&self) -> String {
        format!("from {} to {}", text(&self.event["src_ip"]), text(&self.event["dest_ip"]))
    }

    fn accepted(&self) -> Value {
        let list = self.event["smtp"]["rcpt_to"].as_array();
        sorted(&list.into_iter().flatten().map(bare).collect::<Vec<_>>().into())
    }

    fn rejected(&self) -> Value {
        let list = self.event["smtp"]["rcpt_rejected"].as_array();
        sorted(&list.into_iter().flatten().map(|one| json!([bare(&one["address"]), one["code"]])).collect())
    }

    fn in_chunks(&self) -> bool {
        self.event["smtp"]["dialect"].as_array().is_some_and(|traits| traits.contains(&"bdat".into()))
    }

    /// What a reader finds in the message.
    fn content(&self, sent: &Value, mut differ: impl FnMut(&str, Value, Value)) {
        differ("subject", sent["subject"].clone(), self.email()["subject"].clone());
        differ("message identifier", sent["message_id"].clone(), self.email()["message_id"].clone());
        let files = self.files.iter().map(|file| {
            let container = file.get("container").cloned().unwrap_or_else(|| json!([]));
            json!({"name": file["filename"], "size": file["size"], "sha256": file["sha256"], "container": container})
        });
        differ("files", sorted(&sent["files"]), sorted(&files.collect()));
    }
}

/// A transaction by its kind of letter, its client and its server.
fn case(sent: &Value) -> String {
    let part = |name: &str| text(&sent[name]);
    format!("{} by {} to {} ({})", part("kind"), part("client"), part("server"), part("mail_from"))
}

/// The server that keeps an address.
fn server_of(rcpt: &str) -> String {
    let domain = rcpt.rsplit('@').next().unwrap_or_default();
    let server = match domain.trim_start_matches("tls.") {
        "postfix.test" => "10.78.0.25",
        "exim.test" => "10.78.0.26",
        _ => "10.78.0.27",
    };
    server.to_owned()
}

fn sorted(list: &Value) -> Value {
    let mut list = list.as_array().cloned().unwrap_or_default();
    list.sort_by_key(Value::to_string);
    list.into()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An address without angle brackets.
fn bare(address: &Value) -> String {
    text(address).trim_start_matches('<').trim_end_matches('>').to_owned()
}

/// JSON values, one a line.
pub fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}
