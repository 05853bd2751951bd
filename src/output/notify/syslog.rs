//! Alerts and incidents to syslog, in the form of RFC 5424, over a datagram socket of this machine or UDP (RFC 5426).
//!
//! The host, rule, severity and verdict are structured data; the message is the EVE line, or where that is too long for
//! a datagram, what fits: the line without its cause, or a sentence. A live sensor never waits: a message that cannot go out
//! at once is counted and gone, as with any syslog over datagrams.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::NotifyStats;
use crate::model::alert::{Alert, Incident, Severity, Verdict};
use crate::model::limits::{SYSLOG_BYTES, SYSLOG_RETRY};
use crate::model::settings::SyslogTarget;
use crate::model::time::Timestamp;

/// Sends messages.
pub struct Syslog {
    target: SyslogTarget,
    patience: Option<Duration>,
    socket: Option<Socket>,
    find: Option<Find>,
    /// Addresses found last.
    known: Vec<SocketAddr>,
    /// No attempt to connect before this moment.
    retry_at: Option<Instant>,
    /// The last attempt failed, which the log was told.
    failing: bool,
    hostname: String,
    stats: NotifyStats,
}

#[derive(Debug)]
enum Socket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

/// What is to be said. Nothing in it may be taken for more than text.
#[derive(Debug)]
pub struct Message<'a> {
    pub time: Timestamp,
    pub severity: Severity,
    /// `alert` or `incident`: RFC 5424's MSGID.
    pub id: &'static str,
    /// Names and values of the structured data.
    pub data: Vec<(&'static str, String)>,
    /// Texts, the fullest first: the first that fits is sent.
    pub texts: Vec<&'a str>,
}

impl Syslog {
    /// Connects; `hostname` is RFC 5424's HOSTNAME. A send may wait for `patience` (a replay is faster than any log),
    /// until one has waited in vain.
    ///
    /// # Errors
    /// The socket is not there, or the host's name has no address.
    pub fn open(target: SyslogTarget, hostname: &str, patience: Duration) -> Result<Self, SyslogError> {
        let mut syslog = Self::later(target, hostname);
        syslog.patience = Some(patience);
        if let Some(name) = syslog.name() {
            syslog.find = Some(Box::new(move || Some(name.find())));
        }
        match syslog.connect() {
            Some(Ok(socket)) => syslog.socket = Some(socket),
            Some(Err(source)) => return Err(SyslogError { target: syslog.target, source }),
            None => {}
        }
        Ok(syslog)
    }

    /// The same for a sensor that may be started before its log, or before the network: tries to connect when there is
    /// something to send and with each [`Syslog::tend`], and never waits. A target that has a name needs
    /// [`Syslog::find_by`].
    pub fn later(target: SyslogTarget, hostname: &str) -> Self {
        let hostname = if is_printable(hostname) && hostname.len() <= 255 { hostname } else { NIL };
        Self {
            target,
            patience: None,
            socket: None,
            find: None,
            known: Vec::new(),
            retry_at: None,
            failing: false,
            hostname: hostname.to_owned(),
            stats: NotifyStats::default(),
        }
    }

    /// The name of the target that has to be looked up; none where it is an address or a socket of this machine.
    pub fn name(&self) -> Option<Name> {
        match &self.target {
            SyslogTarget::Udp(host, port) if host.parse::<IpAddr>().is_err() => Some(Name(host.clone(), *port)),
            _ => None,
        }
    }

    /// Where messages go.
    pub fn target(&self) -> &SyslogTarget {
        &self.target
    }

    /// How the target's name is looked up.
    pub fn find_by(&mut self, find: Find) {
        self.find = Some(find);
    }

    /// Tries to connect where that is due. Call every second or so.
    pub fn tend(&mut self) {
        if self.socket.is_none() {
            self.reconnect();
        }
    }

    /// Sends a message, or counts it as dropped.
    pub fn send(&mut self, message: &Message<'_>) {
        let bytes = format(message, &self.hostname, std::process::id());
        // A second try with a new socket: the server may have been started anew.
        for _ in 0..2 {
            if self.socket.is_none() {
                self.reconnect();
            }
            let Some(socket) = &self.socket else { break };
            match socket.send(&bytes) {
                Ok(()) => {
                    self.stats.sent += 1;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.patience.take().is_some() {
                        self.socket = None;
                    }
                    break;
                }
                Err(_) => {
                    self.stats.failed += 1;
                    self.socket = None;
                }
            }
        }
        self.stats.dropped += 1;
    }

    /// What became of messages so far.
    pub fn stats(&self) -> NotifyStats {
        self.stats
    }

    /// Tells the log when it begins or ceases to fail.
    fn reconnect(&mut self) {
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        let connected = self.connect();
        if connected.is_some() {
            self.retry_at = Some(now + SYSLOG_RETRY);
        }
        match connected {
            Some(Ok(socket)) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("syslog at {} is told again", self.target);
                }
                self.socket = Some(socket);
            }
            Some(Err(error)) => {
                self.stats.failed += 1;
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!("syslog at {} is not told: {error}; it is tried again", self.target);
                }
            }
            None => {}
        }
    }

    /// None while the name is being looked up, and nothing is known from before.
    fn connect(&mut self) -> Option<io::Result<Socket>> {
        let (host, port) = match &self.target {
            SyslogTarget::Unix(path) => return Some(connect_here(path, self.patience)),
            SyslogTarget::Udp(host, port) => (host, *port),
        };
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(connect_to(&[(address, port).into()]));
        }
        match self.find.as_mut().and_then(|find| find()) {
            Some(Ok(found)) => self.known = found,
            Some(Err(error)) if self.known.is_empty() => return Some(Err(error)),
            None if self.known.is_empty() => return None,
            // A name server that is away does not silence the log.
            Some(Err(_)) | None => {}
        }
        Some(connect_to(&self.known))
    }
}

impl fmt::Debug for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Syslog").field("target", &self.target).field("stats", &self.stats).finish_non_exhaustive()
    }
}

/// Looks up the target: what was found, or none while that is still to come.
pub type Find = Box<dyn FnMut() -> Option<io::Result<Vec<SocketAddr>>> + Send>;

/// A host's name, and a port there.
#[derive(Clone, Debug)]
pub struct Name(String, u16);

impl Name {
    /// Looks it up; waits for the resolver.
    ///
    /// # Errors
    /// As the resolver says.
    pub fn find(&self) -> io::Result<Vec<SocketAddr>> {
        Ok((self.0.as_str(), self.1).to_socket_addrs()?.collect())
    }
}

impl Socket {
    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.send(bytes),
            Self::Udp(socket) => socket.send(bytes),
        }
        .map(|_| ())
    }
}

fn connect_here(path: &Path, patience: Option<Duration>) -> io::Result<Socket> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_nonblocking(patience.is_none())?;
    socket.set_write_timeout(patience)?;
    Ok(Socket::Unix(socket))
}

/// To the first of the addresses that there is a way to.
fn connect_to(addresses: &[SocketAddr]) -> io::Result<Socket> {
    let mut error = io::Error::new(io::ErrorKind::NotFound, "this name has no address");
    for address in addresses {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).and_then(|socket| socket.connect(address).map(|()| socket));
        match socket.and_then(|socket| socket.set_nonblocking(true).map(|()| socket)) {
            Ok(socket) => return Ok(Socket::Udp(socket)),
            Err(failure) => error = failure,
        }
    }
    Err(error)
}

/// Why syslog cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("cannot reach syslog at {target}: {source}; see that it listens there, or name another place with --syslog")]
pub struct SyslogError {
    target: SyslogTarget,
    source: io::Error,
}

/// An alert as a message; `texts` as in [`Message`].
pub fn alert<'a>(alert: &Alert, texts: Vec<&'a str>) -> Message<'a> {
    let mut data = vec![
        ("rule", alert.rule.clone()),
        ("sid", alert.sid.to_string()),
        ("severity", alert.severity.name().to_owned()),
    ];
    data.extend(alert.host.map(|host| ("host", host.to_string())));
    Message { time: alert.time, severity: alert.severity, id: "alert", data, texts }
}

/// An incident as a message; `texts` as in [`Message`].
pub fn incident<'a>(incident: &Incident, texts: Vec<&'a str>) -> Message<'a> {
    let severity = match incident.verdict {
        _ if incident.closed => Severity::Low,
        Verdict::Infected => Severity::Critical,
        Verdict::Suspicious => Severity::Medium,
        Verdict::Clean => Severity::Low,
    };
    let data = vec![
        ("host", incident.host.to_string()),
        ("verdict", incident.verdict.name().to_owned()),
        ("since", rfc3339(incident.first_seen)),
        ("closed", incident.closed.to_string()),
    ];
    Message { time: incident.time, severity, id: "incident", data, texts }
}

/// RFC 3339 with microseconds, always UTC, as RFC 5424, section 6.2.3 asks for.
pub fn rfc3339(time: Timestamp) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.as_nanos()));
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second, micro) = at.to_hms_micro();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z", u8::from(month))
}

/// RFC 5424, section 6.
fn format(message: &Message<'_>, hostname: &str, process: u32) -> Vec<u8> {
    let Message { time, severity, id, data, texts } = message;
    let priority = FACILITY * 8 + level(*severity);
    let time = rfc3339(*time);
    let mut text = format!("<{priority}>1 {time} {hostname} {APP_NAME} {process} {id} [{SD_ID}");
    for (name, value) in data {
        let _ = write!(text, " {name}=\"");
        // Section 6.3.3: these three are escaped. The first ends lines, which some receivers split messages at.
        for char in value.chars().map(|char| if char.is_control() { ' ' } else { char }) {
            if matches!(char, '"' | '\\' | ']') {
                text.push('\\');
            }
            text.push(char);
        }
        text.push('"');
    }
    text.push(']');
    let room = SYSLOG_BYTES.saturating_sub(text.len() + 1);
    let trimmed = texts.iter().map(|text| one_line(text.trim_end()));
    if let Some(said) = trimmed.into_iter().find(|said| !said.is_empty() && said.len() <= room) {
        text.push(' ');
        text.push_str(&said);
    }
    text.into_bytes()
}

/// A text without what ends lines or drives terminals, as JSON spells it out (RFC 8259, section 7): an EVE line stays one,
/// and of those it holds it has spelt out but the few that JSON lets stand.
fn one_line(text: &str) -> Cow<'_, str> {
    let is_foreign = |char: char| char.is_control() || matches!(char, '\u{2028}' | '\u{2029}');
    if !text.contains(is_foreign) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 6);
    for char in text.chars() {
        if is_foreign(char) {
            let _ = write!(line, "\\u{:04x}", u32::from(char));
        } else {
            line.push(char);
        }
    }
    Cow::Owned(line)
}

/// Section 6.2.1, table 2.
fn level(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    }
}

fn is_printable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Local use 5, as Suricata's syslog output has it.
const FACILITY: u8 = 21;
const APP_NAME: &str = "mailsnare";
/// Section 6.3.2 wants a private enterprise number after the `@`. 32473 is the one for whoever has none (RFC 5612).
const SD_ID: &str = "mailsnare@32473";
const NIL: &str = "-";

#[cfg(test)]
mod tests {
    use super::*;

    fn message<'a>(data: &[(&'static str, &str)], texts: &[&'a str]) -> Message<'a> {
        Message {
            time: Timestamp::from_parts(1_067_601_600, 3_000_000),
            severity: Severity::Critical,
            id: "alert",
            data: data.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            texts: texts.to_vec(),
        }
    }

    fn formatted(message: &Message<'_>) -> String {
        String::from_utf8(format(message, "tap.example", 42)).unwrap()
    }

    #[test]
    fn a_message_is_as_the_rfc_has_it() {
        // Field by field as the examples of section 6.5; 21 * 8 + 2 = 170.
        assert_eq!(
            formatted(&message(&[("host", "10.0.0.1")], &["{\"a\":1}\n"])),
            "<170>1 2003-10-31T12:00:00.003000Z tap.example mailsnare 42 alert [mailsnare@32473 host=\"10.0.0.1\"] \
             {\"a\":1}"
        );
    }

    #[test]
    fn foreign_text_cannot_leave_its_place() {
        let said = formatted(&message(&[("rule", "a\"] <1>1\\\nx")], &[]));
        assert!(said.ends_with("[mailsnare@32473 rule=\"a\\\"\\] <1>1\\\\ x\"]"), "{said}");
    }

    /// A sentence quotes what hosts say of themselves: receivers split at line ends, and terminals obey the rest.
    #[test]
    fn nothing_in_a_text_ends_the_message_or_drives_a_terminal() {
        let said = formatted(&message(&[], &["name \"a\n<160>1 x\r\u{1b}[2J\u{9b}b\u{7f}\u{2028}\""]));
        assert!(said.ends_with(r#"] name "a\u000a<160>1 x\u000d\u001b[2J\u009bb\u007f\u2028""#), "{said}");
        let long = "\u{1}".repeat(SYSLOG_BYTES / 2);
        assert!(formatted(&message(&[], &[&long, "short"])).ends_with("] short"), "as long as it is on the wire");
    }

    #[test]
    fn the_fullest_text_that_fits_is_said() {
        let long = "x".repeat(SYSLOG_BYTES);
        let said = formatted(&message(&[], &[&long, "shorter", "short"]));
        assert!(said.ends_with("] shorter") && said.len() <= SYSLOG_BYTES, "{said}");
        assert!(formatted(&message(&[], &[&long])).ends_with(']'));
    }

    #[test]
    fn a_server_that_was_started_anew_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let first = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::later(SyslogTarget::Unix(path.clone()), "a");
        syslog.send(&message(&[], &["one"]));
        assert!(received(&first).ends_with(" one"));
        drop(first);
        std::fs::remove_file(&path).unwrap();
        syslog.send(&message(&[], &["lost"]));
        let second = UnixDatagram::bind(&path).unwrap();
        syslog.retry_at = None;
        syslog.send(&message(&[], &["two"]));
        assert!(received(&second).ends_with(" two"));
        assert_eq!(syslog.stats(), NotifyStats { sent: 2, failed: 1, dropped: 1 });
    }

    #[test]
    fn a_server_that_does_not_read_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let server = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::later(SyslogTarget::Unix(path), "a");
        for _ in 0..2_000 {
            syslog.send(&message(&[], &["x"]));
        }
        let stats = syslog.stats();
        assert_eq!(stats.sent + stats.dropped, 2_000);
        assert!(stats.sent > 0 && stats.dropped > 0, "{stats:?}");
        drop(server);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let target = SyslogTarget::Unix("/no/such/socket".into());
        let error = Syslog::open(target, "a", Duration::ZERO).unwrap_err().to_string();
        assert!(error.starts_with("cannot reach syslog at /no/such/socket: No such file"), "{error}");
    }

    #[test]
    fn what_is_not_there_yet_is_waited_for_without_a_message() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut syslog = Syslog::later(SyslogTarget::Unix(path.clone()), "a");
        syslog.tend();
        syslog.tend();
        assert_eq!(syslog.stats(), NotifyStats { failed: 1, ..NotifyStats::default() }, "tried once a second");
        syslog.send(&message(&[], &["lost"]));
        let server = UnixDatagram::bind(&path).unwrap();
        syslog.retry_at = None;
        syslog.tend();
        syslog.send(&message(&[], &["one"]));
        assert!(received(&server).ends_with(" one"));
        assert_eq!(syslog.stats(), NotifyStats { sent: 1, failed: 1, dropped: 1 });
    }

    #[test]
    fn a_name_is_looked_up_until_it_has_an_address_and_the_last_one_holds() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let mut syslog = Syslog::later(SyslogTarget::Udp("log.example".into(), address.port()), "a");
        assert!(syslog.name().is_some());
        syslog.tend();
        assert_eq!(syslog.stats(), NotifyStats::default(), "nothing is looked up yet");
        let unknown = || io::Error::other("Temporary failure in name resolution");
        let mut answers = vec![Some(Err(unknown())), Some(Ok(vec![address])), None, Some(Err(unknown()))];
        syslog.find_by(Box::new(move || answers.pop().flatten()));
        syslog.tend();
        assert_eq!((syslog.stats().failed, syslog.failing), (1, true));
        syslog.retry_at = None;
        syslog.tend();
        assert!(syslog.socket.is_none() && syslog.retry_at.is_none(), "it is being looked up");
        syslog.tend();
        assert!(syslog.socket.is_some() && !syslog.failing);
        // The name server goes, and the socket with it.
        (syslog.socket, syslog.retry_at) = (None, None);
        syslog.send(&message(&[], &["one"]));
        assert_eq!(syslog.stats(), NotifyStats { sent: 1, failed: 1, dropped: 0 });
        let mut bytes = [0; SYSLOG_BYTES];
        server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let size = server.recv(&mut bytes).unwrap();
        assert!(bytes[..size].ends_with(b" one"));
        assert!(Syslog::later(SyslogTarget::Udp("192.0.2.1".into(), 514), "a").name().is_none());
    }

    fn received(server: &UnixDatagram) -> String {
        let mut bytes = [0; SYSLOG_BYTES];
        server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let size = server.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..size].to_vec()).unwrap()
    }
}
