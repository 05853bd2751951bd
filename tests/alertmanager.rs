//! Incidents at the real Alertmanager, and from there at a receiver; and at servers that fail. tests/live plays the same
//! with packets on a wire, a whole sensor and Prometheus.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use mailsnare::model::alert::{Evidence, Incident, Verdict};
use mailsnare::model::limits;
use mailsnare::model::time::Timestamp;
use mailsnare::output::notify::alertmanager::{Pager, Poster};
use mailsnare::pipeline::courier::Courier;
use serde_json::Value;

use netns::{PATIENCE, installed, skip, wait_until};
use on_call::{Program, said};

#[path = "netns/run.rs"]
mod netns;
#[path = "netns/on_call.rs"]
mod on_call;

#[test]
fn a_page_goes_out_and_ends_when_the_incident_closes() {
    let dir = tempfile::tempdir().unwrap();
    let (pages, address) = receiver();
    let Some(manager) = Manager::start(dir.path(), &address) else { return };
    let mut poster = Poster::new(&manager.url);
    let courier = Courier::start(Pager::new("tap-1".into()), move |body| poster.post(body)).unwrap();
    courier.tell(&incident("10.20.1.26", Verdict::Suspicious));
    courier.tell(&incident("10.20.1.26", Verdict::Infected));
    courier.tell(&incident("2001:db8::7", Verdict::Suspicious));

    let firing = |host: &str, name: &str| {
        let told = manager.alerts();
        let fits = |alert: &&Value| alert["labels"]["host"] == host && alert["labels"]["alertname"] == name;
        told.iter().find(fits).cloned()
    };
    assert!(wait_until(PATIENCE, || firing("10.20.1.26", "MailsnareHostInfected").is_some()), "{}", manager.log());
    assert!(wait_until(PATIENCE, || firing("2001:db8::7", "MailsnareHostSuspicious").is_some()), "{}", manager.log());
    let alert = firing("10.20.1.26", "MailsnareHostInfected").unwrap();
    assert_eq!(alert["startsAt"], "2003-10-31T12:00:00.000Z");
    assert_eq!(alert["status"]["state"], "active");
    assert_eq!((&alert["labels"]["sensor"], &alert["labels"]["severity"]), (&"tap-1".into(), &"critical".into()));
    assert_eq!(alert["annotations"]["evidence"], "mimail-c: \"quoted\" \u{2013} and more");
    assert!(firing("10.20.1.26", "MailsnareHostSuspicious").is_none(), "it is worse than that by now");

    let page = next_page(&pages, "10.20.1.26", "firing");
    assert!(page["annotations"]["summary"].as_str().unwrap().starts_with("10.20.1.26 is infected"));
    courier.tell(&Incident { closed: true, ..incident("10.20.1.26", Verdict::Infected) });
    next_page(&pages, "10.20.1.26", "resolved");
    assert!(firing("2001:db8::7", "MailsnareHostSuspicious").is_some(), "the other goes on");

    let stats = courier.finish();
    assert_eq!((stats.failed, stats.dropped), (0, 0), "{}", manager.log());
    // The suspicion that turned out worse may have been posted before or with it.
    assert!(stats.sent >= 3, "{stats:?}");
    assert!(firing("2001:db8::7", "MailsnareHostSuspicious").is_some(), "the end of the sensor resolves nothing");
}

#[test]
fn a_server_that_fails_and_stalls_holds_nobody_up_and_hears_the_newest_in_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut poster = Poster::new(&format!("http://{}", listener.local_addr().unwrap()));
    let courier = Courier::start(Pager::new("tap-1".into()), move |body| poster.post(body)).unwrap();

    // In trouble.
    courier.tell(&incident("10.0.0.1", Verdict::Suspicious));
    let (stream, _) = listener.accept().unwrap();
    answer(stream, "503 Service Unavailable");
    // Stalls: the request is read and nothing said, while far more is told than waits anywhere.
    let (mut stalled, _) = listener.accept().unwrap();
    read_request(&mut stalled);
    let flood = limits::ALERTMANAGER_QUEUE as u32 + limits::ALERTMANAGER_PAGES as u32;
    for number in 0..flood {
        courier.tell(&incident(&format!("10.1.{}.{}", number / 256, number % 256), Verdict::Suspicious));
    }
    assert_eq!(courier.waiting(), limits::ALERTMANAGER_QUEUE + 1);
    assert_eq!(courier.stats().dropped, u64::from(flood) - limits::ALERTMANAGER_QUEUE as u64);
    drop(stalled);
    // Back.
    let mut hosts = Vec::new();
    while hosts.len() < limits::ALERTMANAGER_PAGES {
        let (mut stream, _) = listener.accept().unwrap();
        let alerts: Vec<Value> = serde_json::from_slice(&read_request(&mut stream)).unwrap();
        assert!(alerts.len() <= limits::ALERTS_IN_POST);
        hosts.extend(alerts.iter().map(|alert| alert["labels"]["host"].as_str().unwrap().to_owned()));
        answer_read(stream, "200 OK");
    }
    assert!(hosts.contains(&"10.0.0.1".to_owned()) && hosts.contains(&"10.1.0.0".to_owned()));
    let stats = courier.finish();
    assert_eq!(stats.failed, 2, "{stats:?}");
    assert!(stats.sent >= 900, "{stats:?}");
}

/// The real Alertmanager on a port of its own.
struct Manager {
    process: Program,
    url: String,
    dir: PathBuf,
}

impl Manager {
    /// Starts it, with pages going to `webhook`; none where it is not installed.
    fn start(dir: &Path, webhook: &str) -> Option<Self> {
        if let Err(why) = installed(&["prometheus-alertmanager", "curl"]) {
            skip(&why);
            return None;
        }
        // A port that was free a moment ago; another program may take it meanwhile, so there are several tries.
        for _ in 0..5 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let command = Command::new("prometheus-alertmanager");
            let process = Program::alertmanager(command, dir, &free.to_string(), webhook);
            let mut started = Self { process, url: format!("http://{free}"), dir: dir.to_owned() };
            let mut ended = false;
            wait_until(PATIENCE, || {
                ended = started.process.0.try_wait().unwrap().is_some();
                ended || started.get("/-/ready").is_some()
            });
            if !ended {
                return Some(started);
            }
        }
        panic!("Alertmanager does not start: {}", said(dir, "alertmanager"));
    }

    fn get(&self, path: &str) -> Option<String> {
        let url = format!("{}{path}", self.url);
        let done = Command::new("curl").args(["-sf", "--noproxy", "*", "--max-time", "5", &url]).output().unwrap();
        done.status.success().then(|| String::from_utf8(done.stdout).unwrap())
    }

    /// What it holds for active.
    fn alerts(&self) -> Vec<Value> {
        self.get("/api/v2/alerts").map(|text| serde_json::from_str(&text).unwrap()).unwrap_or_default()
    }

    fn log(&self) -> String {
        said(&self.dir, "alertmanager")
    }
}

/// A webhook receiver: gives what Alertmanager posts, alert by alert.
fn receiver() -> (Receiver<Value>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let (sender, pages): (Sender<Value>, _) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let page: Value = serde_json::from_slice(&read_request(&mut stream)).unwrap();
            answer_read(stream, "200 OK");
            for alert in page["alerts"].as_array().unwrap() {
                if sender.send(alert.clone()).is_err() {
                    return;
                }
            }
        }
    });
    (pages, address)
}

/// Waits for a page about a host in this state.
fn next_page(pages: &Receiver<Value>, host: &str, status: &str) -> Value {
    loop {
        let page = pages.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no page about {host}, {status}"));
        let infected = page["labels"]["alertname"] == "MailsnareHostInfected";
        if page["labels"]["host"] == host && page["status"] == status && infected {
            return page;
        }
    }
}

fn answer(mut stream: TcpStream, status: &str) {
    read_request(&mut stream);
    answer_read(stream, status);
}

fn answer_read(mut stream: TcpStream, status: &str) {
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
}

/// The body of a request with a length.
fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reader = BufReader::new(stream);
    let (mut line, mut length, mut first) = (String::new(), 0, String::new());
    while reader.read_line(&mut line).unwrap() > 2 {
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if first.is_empty() {
            first.clone_from(&line);
        }
        line.clear();
    }
    assert!(first.starts_with("POST /"), "{first}");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    body
}

fn incident(host: &str, verdict: Verdict) -> Incident {
    let why = Evidence { source: "mimail-c".into(), text: "\"quoted\" \u{2013} and more".into(), figures: Vec::new() };
    Incident {
        time: Timestamp::default(),
        id: 1,
        host: host.parse::<IpAddr>().unwrap(),
        other_addresses: Vec::new(),
        verdict,
        score: 1.0,
        role: None,
        first_seen: Timestamp::from_parts(1_067_601_600, 0),
        last_seen: Timestamp::default(),
        messages: 1,
        recipients: 1,
        mail_bytes: 1,
        mx_lookups: 1,
        share_of_link: 0.0,
        evidence: vec![why],
        timeline: Vec::new(),
        closed: false,
    }
}
