//! A scenario as its file has it. Unknown keys are errors, so that a slip of the pen does not weaken a test.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A network, who mails on it and how, and what must be said of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What it shows, and where the behaviour was published.
    pub about: String,
    /// Detectors it waits for: until they exist, what it expects is not asked for.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Decides stacks, banners, TLS and who has IPv6.
    #[serde(default)]
    pub age: Era,
    /// How long everyday life goes on.
    #[serde(default = "ten")]
    pub minutes: i64,
    /// Desks: hosts `pc0`, `pc1` ...
    #[serde(default = "six")]
    pub desks: u8,
    /// Whether colleagues write, read and browse, and monitoring looks at the relay.
    #[serde(default = "yes")]
    pub everyday: bool,
    /// Share of data segments lost before the tap, and sent again.
    #[serde(default)]
    pub loss: f64,
    /// Share of data segments that never reach the capture.
    #[serde(default)]
    pub unseen: f64,
    /// Hosts declared to be mail servers.
    #[serde(default)]
    pub declared: Vec<String>,
    /// Hosts whose addresses are declared to be one host's.
    #[serde(default)]
    pub groups: Vec<Vec<String>>,
    #[serde(default)]
    pub host: Vec<HostPlan>,
    #[serde(default)]
    pub mailer: Vec<Mailer>,
    #[serde(default)]
    pub inbound: Vec<Inbound>,
    #[serde(default)]
    pub lookup: Vec<Lookup>,
    #[serde(default)]
    pub flood: Vec<FloodPlan>,
    pub expect: Expect,
}

/// When it plays.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Era {
    #[default]
    Early,
    Today,
}

/// Hosts besides those every scenario has (`ns`, `mail`, `news`, `watch`, `admin`, `copier`, `pc0` ...).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostPlan {
    pub name: String,
    /// More than one make a group: `web1`, `web2` ...; `web*` names them all.
    #[serde(default = "one")]
    pub count: u16,
    /// Runs a server's stack, not a desk's.
    #[serde(default)]
    pub server: bool,
    /// Has no IPv4 address.
    #[serde(default)]
    pub v6_only: bool,
}

/// A host, or a group, that sends mail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mailer {
    pub host: String,
    /// Seconds from the start; of a group each begins a little later than the one before.
    #[serde(default = "minute")]
    pub start: f64,
    /// Sessions tried, each with `per_session` messages.
    pub sessions: usize,
    /// Seconds between the beginnings of two sessions, on average.
    pub every: f64,
    /// After so many sessions it pauses.
    #[serde(default)]
    pub burst: usize,
    /// Seconds of that pause.
    #[serde(default)]
    pub pause: f64,
    #[serde(default = "one_message")]
    pub per_session: usize,
    /// Recipients of a message.
    #[serde(default = "one_message")]
    pub recipients: usize,
    /// How it finds who takes its mail.
    #[serde(default)]
    pub find: Find,
    /// Labels it puts before a domain, with `find = "guess"`; an empty one is the domain itself.
    #[serde(default)]
    pub guess: Vec<String>,
    #[serde(default)]
    pub resolver: Resolver,
    /// Asks for exchangers over TCP.
    #[serde(default)]
    pub ask_tcp: bool,
    /// The one transaction id of its questions.
    #[serde(default)]
    pub query_id: Option<u16>,
    /// Remembers what it was told, as servers do.
    #[serde(default)]
    pub remembers: bool,
    /// Goes to IPv6 addresses where there are any.
    #[serde(default)]
    pub v6: bool,
    #[serde(default)]
    pub tls: Tls,
    /// How many of the world's domains its recipients are at.
    #[serde(default = "forty")]
    pub domains: usize,
    /// Its recipients, where they are given.
    #[serde(default)]
    pub to: Vec<String>,
    /// Share of recipients at home.
    #[serde(default)]
    pub home: f64,
    /// Share of recipients that are refused.
    #[serde(default)]
    pub unknown: f64,
    /// Share of recipients whose domain does not exist.
    #[serde(default)]
    pub missing: f64,
    /// Share of servers that refuse the connection.
    #[serde(default)]
    pub closed: f64,
    /// Share of servers that do not answer.
    #[serde(default)]
    pub silent: f64,
    /// Share of recipients that are to be tried again later (451).
    #[serde(default)]
    pub greylisted: f64,
    #[serde(default)]
    pub speaks: Speech,
    pub letter: LetterPlan,
}

/// How the next hop is found.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Find {
    /// Asks for the domain's exchangers, then for an address.
    #[default]
    Mx,
    /// Asks for addresses of likely names.
    Guess,
    /// Knows the address: asks nothing.
    None,
    /// Hands it to the relay at home on port 25, which passes it on.
    Relay,
    /// Hands it to the relay at home with a password, which passes it on.
    Submission,
    /// Submits to a provider outside with a password.
    Provider,
}

/// Whom it asks for names.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Resolver {
    #[default]
    Home,
    Outside,
    /// A list of its own, in turn.
    List,
}

/// What hides the session.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    #[default]
    None,
    Starttls,
    Implicit,
}

/// How a client speaks SMTP.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Speech {
    /// The name it gives; `{host}`, `{word}`, `{ip}` and `{domain}` are filled in. The host's own name when empty.
    pub helo: String,
    /// Traits by the names rules use.
    pub dialect: Vec<String>,
    /// Seconds before each command.
    pub pause: f64,
    pub leave: Leaving,
}

/// How it goes.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Leaving {
    #[default]
    Quit,
    Fin,
    Reset,
}

/// What is sent. In all texts `{to}`, `{user}`, `{domain}` (of the first recipient), `{own}` (the host's own domain),
/// `{person}`, `{word}` and `{number}` are filled in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LetterPlan {
    /// The sender, in envelope and header; one of the list at random.
    pub from: Many,
    /// The envelope's sender where it differs; `<>` is the null sender.
    pub envelope: Option<String>,
    pub subject: Many,
    pub text: Many,
    pub headers: BTreeMap<String, String>,
    /// Leaves out Date and Message-ID.
    pub bare: bool,
    pub bare_lf: bool,
    pub attach: Vec<FilePlan>,
}

/// A file to be attached or archived, always inert.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilePlan {
    /// One of the list at random.
    pub name: Many,
    /// `MZ`, then zeros: so many bytes.
    pub program: usize,
    /// Noise: so many bytes.
    pub noise: usize,
    pub zip: Vec<FilePlan>,
    /// Looks encrypted; of an archive's members all do.
    pub encrypted: bool,
    /// Other bytes in each message.
    pub vary: bool,
    pub content_type: String,
}

/// One text, or several to choose from.
#[derive(Clone, Debug, Default)]
pub struct Many(pub Vec<String>);

impl<'de> Deserialize<'de> for Many {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            One(String),
            List(Vec<String>),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::One(text) => Self(vec![text]),
            Either::List(texts) => Self(texts),
        })
    }
}

/// Mail that comes to a home host's port 25, as a rule from the world.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbound {
    pub host: String,
    #[serde(default = "five")]
    pub start: f64,
    pub messages: usize,
    pub every: f64,
    /// The home host it comes from in place of the world.
    #[serde(default)]
    pub from: Option<String>,
    /// Servers it comes from, at most 20.
    #[serde(default = "one")]
    pub senders: u16,
    #[serde(default)]
    pub unknown: f64,
    /// The clients say EHLO and leave: nothing is delivered.
    #[serde(default)]
    pub empty: bool,
    pub letter: LetterPlan,
}

/// Questions without mail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    pub host: String,
    #[serde(default = "minute")]
    pub start: f64,
    /// Names asked in turn; domains of the world when empty.
    #[serde(default)]
    pub names: Vec<String>,
    #[serde(default = "mx")]
    pub record: Record,
    pub count: usize,
    pub every: f64,
    #[serde(default)]
    pub resolver: Resolver,
}

/// Connection attempts and echo requests to one destination outside.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FloodPlan {
    pub host: String,
    #[serde(default = "minute")]
    pub start: f64,
    /// The destination, asked for first; a web site of the world when empty.
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub syns: u32,
    #[serde(default)]
    pub echoes: u32,
    /// Whole connections, answered, with a page each.
    #[serde(default)]
    pub pages: u32,
    /// Of all of them together.
    pub per_second: f64,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    Mx,
    A,
}

/// What must be said and what must not.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Hosts, or groups, that are in truth infected: the table's recall is of these.
    #[serde(default)]
    pub infected: Vec<String>,
    /// The worst verdict ever, where it is not `infected` for the infected and `clean` for all others; several will do
    /// in the form `clean or suspicious`.
    #[serde(default)]
    pub verdict: BTreeMap<String, String>,
    /// The worst that may be said of a host that is expected clean: `none`, `info`, `low` ...
    #[serde(default = "low")]
    pub worst: String,
    /// Alerts that must come.
    #[serde(default)]
    pub alerts: Vec<AlertPlan>,
    /// Rules and detectors that must say nothing at all.
    #[serde(default)]
    pub never: Vec<String>,
    /// Messages an infected host may try to send until it is under suspicion.
    #[serde(default)]
    pub suspected_within: Option<usize>,
    /// Messages it may try to send until it is called infected.
    #[serde(default)]
    pub named_within: Option<usize>,
    /// Who was infected by whom: `["pc1", "pc4"]` when pc1 infected pc4.
    #[serde(default)]
    pub chain: Vec<[String; 2]>,
    /// Why what is expected is less than what one would wish.
    #[serde(default)]
    pub honestly: String,
}

/// An alert that must come.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertPlan {
    pub rule: String,
    pub host: String,
    /// The mildest that will do.
    #[serde(default = "info")]
    pub at_least: String,
}

fn ten() -> i64 {
    10
}

fn six() -> u8 {
    6
}

fn one() -> u16 {
    1
}

fn one_message() -> usize {
    1
}

fn forty() -> usize {
    40
}

fn yes() -> bool {
    true
}

fn minute() -> f64 {
    60.0
}

fn five() -> f64 {
    5.0
}

fn mx() -> Record {
    Record::Mx
}

fn low() -> String {
    "low".into()
}

fn info() -> String {
    "info".into()
}
