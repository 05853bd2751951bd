//! The memory accounts of the real process, held against what the kernel says it takes: `mailsnare_memory_bytes`, summed
//! over its pools, and what the program takes itself, are within a quarter of its resident size, whatever fills it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, BufWriter, Cursor, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mailsnare::model::limits;
use mailsnare::model::memory::{Memory, Shares};
use mailsnare_lab::attack::{Attack, fragment};
use mailsnare_lab::capture::{Packet, PcapFormat, PcapWriter, Sink};
use mailsnare_lab::clock::{MILLI, Nanos, SECOND};
use mailsnare_lab::dns::{self, Message, Zones};
use mailsnare_lab::host::{Host, WINDOWS_XP};
use mailsnare_lab::mail::{Attachment, Builder};
use mailsnare_lab::prng::Rng;
use mailsnare_lab::talk::{Talk, datagram, mail_server, outside, segment};
use mailsnare_lab::wire::{ACK, PSH, SYN, Tcp};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

#[test]
fn the_pools_tell_what_a_flood_of_connections_takes() {
    let seen = Filled::with(&[], |sink| attack(sink, "syn-flood", 250_000));
    seen.holds("flows", 30 << 20);
}

#[test]
fn the_pools_tell_what_many_mails_take() {
    let seen = Filled::with(&[], |sink| unfinished_mails(sink, 1_500, 30));
    seen.holds("messages", 50 << 20);
}

#[test]
fn the_pools_tell_what_many_hosts_take() {
    let seen = Filled::with(&[], |sink| attack(sink, "spoofed-hosts", 40_000));
    seen.holds("hosts", 20 << 20);
}

#[test]
fn the_pools_tell_what_streams_with_holes_take() {
    let seen = Filled::with(&[], |sink| holes(sink, 400, 100));
    seen.holds("reassembly", 40 << 20);
}

/// With a larger budget, so that the pool outweighs the program.
#[test]
fn the_pools_tell_what_fragments_take() {
    let seen = Filled::with(&["--memory", "4GiB"], |sink| fragments(sink, 1_000, 44));
    seen.holds("fragments", 50 << 20);
}

#[test]
fn the_pools_tell_what_unfinished_dns_messages_take() {
    let seen = Filled::with(&["--memory", "4GiB"], |sink| unfinished_answers(sink, 1_000, 40));
    seen.holds("dns", 45 << 20);
}

#[test]
fn the_pools_tell_what_packets_kept_as_evidence_take() {
    let dir = tempfile::tempdir().unwrap();
    let options = ["--evidence", dir.path().to_str().unwrap()];
    let seen = Filled::with(&options, |sink| answers(sink, true, 80, 45_000));
    seen.holds("evidence", 50 << 20);
}

/// Whoever reads the lines is slow, so that events pile up before the correlator.
#[test]
fn the_pools_tell_what_waits_for_the_correlator() {
    let options = ["--eve", "-", "--events", "dns"];
    let seen = Filled::amid(&options, ("queues", 40 << 20), 20, |sink| answers(sink, false, 200, 4_000));
    seen.holds("queues", 40 << 20);
}

/// What each mail brings takes long to unpack, so that those behind it wait.
#[test]
fn the_pools_tell_what_messages_wait_to_be_opened() {
    let seen = Filled::amid(&[], ("inspection", 60 << 20), 0, |sink| mails(sink, 300, &archive()));
    seen.holds("inspection", 60 << 20);
}

/// Whoever reads the lines is slow, and what was found in messages waits, files that are to be extracted among it.
#[test]
fn the_pools_tell_what_opened_messages_take() {
    let dir = tempfile::tempdir().unwrap();
    let options = ["--eve", "-", "--events", "smtp", "--extract", dir.path().to_str().unwrap()];
    let seen = Filled::amid(&options, ("inspection", 50 << 20), 300, |sink| mails(sink, 300, &file()));
    seen.holds("inspection", 50 << 20);
}

/// Whatever comes one by one may come together.
#[test]
fn the_pools_tell_what_they_take_together() {
    let seen = Filled::with(&["--memory", "4GiB"], together);
    for (pool, least) in
        [("flows", 15), ("messages", 25), ("hosts", 10), ("reassembly", 20), ("fragments", 25), ("dns", 20)]
    {
        seen.holds(pool, least << 20);
    }
}

#[test]
fn a_small_budget_is_kept_whatever_fills_it() {
    let options = ["--memory", "64MiB"];
    for (pool, fill) in [
        ("flows", (|sink| attack(sink, "syn-flood", 100_000)) as fn(&mut dyn Sink) -> u64),
        ("messages", |sink| unfinished_mails(sink, 800, 30)),
        ("hosts", |sink| attack(sink, "spoofed-hosts", 10_000)),
        ("reassembly", |sink| holes(sink, 100, 100)),
        ("all", together),
    ] {
        let Some(seen) = Filled::with(&options, fill).0 else { return };
        let budget = 64_u64 << 20;
        assert_eq!(seen.metrics["mailsnare_memory_budget_bytes"] as u64, budget);
        assert!(seen.pools() <= budget, "{pool}: {seen:?}");
        assert!(seen.resident <= budget + limits::MEMORY_BASE, "{pool}: {seen:?}");
    }
}

/// Large messages end one after the other, with few other events between them: none may wait outside the accounts.
#[test]
fn a_small_budget_is_kept_while_large_messages_pass() {
    let line = [vec![b'x'; 998], b"\r\n".to_vec()].concat();
    let message = [b"Subject: large\r\n\r\n".to_vec(), line.repeat(3_000)].concat();
    let Some(seen) = Filled::with(&["--memory", "64MiB"], |sink| mails(sink, 40, &message)).0 else { return };
    assert_eq!(seen.metrics["mailsnare_smtp_messages_total{interface=\"replay\"}"] as u64, 40);
    let shares = Shares::of(Memory(64 << 20), 1);
    let accounted = (shares.smtp_bytes + shares.inspect_bytes + limits::BATCH_BYTES + message.len()) as u64;
    assert!(seen.peak <= accounted + limits::MEMORY_BASE, "{seen:?}");
}

#[test]
fn a_budget_that_is_too_small_is_refused_with_what_would_do() {
    let output = Command::new(BINARY).args(["replay", "--memory", "31MiB", "x.pcap"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("31MiB of memory is too little to work with; use at least 32MiB"), "{said}");
}

// --- a process that has been filled ------------------------------------------------------------------------------

/// What it says and takes; none where the kernel does not tell.
struct Filled(Option<Seen>);

#[derive(Debug)]
struct Seen {
    metrics: BTreeMap<String, f64>,
    /// Bytes, from the kernel.
    resident: u64,
    /// The most they were.
    peak: u64,
}

impl Filled {
    /// Feeds a replay from a pipe that stays open, so that it holds what it was given.
    fn with(options: &[&str], fill: impl FnOnce(&mut dyn Sink) -> u64) -> Self {
        let mut process = Process::start(options);
        let mut writer = PcapWriter::new(BufWriter::new(process.input.take().unwrap()), PcapFormat::default()).unwrap();
        let packets = fill(&mut writer) + questions(&mut writer);
        let mut input = writer.finish().unwrap();
        input.flush().unwrap();
        process.find_metrics();
        let metrics = process.settled(packets);
        Self::seen(&process, metrics)
    }

    /// The same amid the replay, as soon as a pool holds so much; until then 16 KiB of what the process says
    /// are read every so many milliseconds.
    fn amid(
        options: &[&str],
        (pool, least): (&str, u64),
        millis: u64,
        fill: impl FnOnce(&mut dyn Sink) -> u64 + Send + 'static,
    ) -> Self {
        let mut process = Process::start(options);
        let (input, output) = (process.input.take().unwrap(), process.child.stdout.take());
        let reader = output.map(|mut output| {
            thread::spawn(move || {
                let mut part = [0; 16 << 10];
                while output.read(&mut part).unwrap() > 0 {
                    thread::sleep(Duration::from_millis(millis));
                }
            })
        });
        let writer = thread::spawn(move || {
            let mut writer = Patient(PcapWriter::new(BufWriter::new(input), PcapFormat::default()).ok());
            fill(&mut writer);
        });
        process.find_metrics();
        let began = Instant::now();
        let seen = loop {
            thread::sleep(Duration::from_millis(200));
            let metrics = process.metrics();
            let holds = metrics.get(&format!("mailsnare_memory_bytes{{pool=\"{pool}\"}}")).copied();
            if holds.unwrap_or_default() as u64 >= least {
                break Self::seen(&process, metrics);
            }
            assert!(began.elapsed() < PATIENCE, "{pool} holds {holds:?}");
        };
        drop(process);
        writer.join().unwrap();
        reader.into_iter().for_each(|reader| reader.join().unwrap());
        seen
    }

    /// What the kernel says it takes.
    fn seen(process: &Process, metrics: BTreeMap<String, f64>) -> Self {
        let status = fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap_or_default();
        let bytes = |name| {
            let said = status.lines().find_map(|line| line.strip_prefix(name))?;
            said.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
        };
        let (Some(resident), Some(peak)) = (bytes("VmRSS:"), bytes("VmHWM:")) else {
            assert!(std::env::var_os("CI").is_none(), "there is no /proc here");
            eprintln!("skipped: there is no /proc here");
            return Self(None);
        };
        let seen = Seen { metrics, resident, peak };
        eprintln!("{} of {} bytes: {:?}", seen.pools(), seen.resident, seen.by_pool());
        Self(Some(seen))
    }

    /// The pool holds at least so much, and all of them are what the process takes.
    fn holds(&self, pool: &str, least: u64) {
        let Some(seen) = &self.0 else { return };
        assert!(seen.by_pool()[pool] >= least, "{pool} is not filled: {:?}", seen.by_pool());
        let told = (seen.pools() + limits::MEMORY_BASE) as f64;
        let share = told / seen.resident as f64;
        assert!((0.75..=1.25).contains(&share), "{share:.2} of {}: {:?}", seen.resident, seen.by_pool());
    }
}

impl Seen {
    fn by_pool(&self) -> BTreeMap<&str, u64> {
        let pools = self.metrics.iter().filter_map(|(name, bytes)| {
            let pool = name.strip_prefix("mailsnare_memory_bytes{pool=\"")?.strip_suffix("\"}")?;
            Some((pool, *bytes as u64))
        });
        pools.collect()
    }

    fn pools(&self) -> u64 {
        self.by_pool().values().sum()
    }
}

struct Process {
    child: Child,
    input: Option<ChildStdin>,
    address: String,
}

impl Process {
    fn start(options: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["replay", "-", "--workers", "2", "--metrics", "127.0.0.1:0"]).args(options);
        let told = options.contains(&"--eve");
        if !told {
            command.args(["--events", "alert"]);
        }
        command.stdin(Stdio::piped()).stdout(if told { Stdio::piped() } else { Stdio::null() }).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take();
        Self { child, input, address: String::new() }
    }

    /// Reads where it serves its metrics: it does so once it knows what kind of capture it is given.
    fn find_metrics(&mut self) {
        let mut log = BufReader::new(self.child.stderr.take().unwrap());
        let mut line = String::new();
        self.address = loop {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended without a word of its metrics");
            if let Some((_, rest)) = line.split_once("metrics on http://") {
                break rest.split('/').next().unwrap().to_owned();
            }
        };
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    }

    /// Its metrics once it has read all packets but the last second's, and they move no more.
    fn settled(&self, packets: u64) -> BTreeMap<String, f64> {
        let began = Instant::now();
        let mut before = BTreeMap::new();
        loop {
            std::thread::sleep(Duration::from_millis(1_200));
            let now = self.metrics();
            let read = now.get("mailsnare_packets_total{interface=\"replay\"}").copied().unwrap_or_default();
            let held = |metrics: &BTreeMap<String, f64>| {
                let pools = metrics.iter().filter(|(name, _)| name.starts_with("mailsnare_memory_bytes"));
                pools.map(|(name, bytes)| (name.clone(), bytes.to_bits())).collect::<Vec<_>>()
            };
            if read + QUESTIONS as f64 >= packets as f64 && held(&now) == held(&before) {
                return now;
            }
            assert!(began.elapsed() < PATIENCE, "{read} of {packets} packets were read");
            before = now;
        }
    }

    fn metrics(&self) -> BTreeMap<String, f64> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let series = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        series.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// --- what it is filled with ---------------------------------------------------------------------------------------

fn attack(mut sink: &mut dyn Sink, name: &str, size: u64) -> u64 {
    Attack::named(name).unwrap().write(&mut sink, size, 1).unwrap().packets
}

/// Floods, mails, holes, fragments and answers at the same time.
fn together(sink: &mut dyn Sink) -> u64 {
    let mut all: Vec<Packet> = Vec::new();
    attack(&mut all, "syn-flood", 120_000);
    attack(&mut all, "spoofed-hosts", 20_000);
    // As the others take.
    let last = all.iter().map(|packet| packet.time).max().unwrap_or(START);
    for packet in &mut all {
        let share = i128::from(packet.time - START) * i128::from(6 * SECOND) / i128::from(last - START);
        packet.time = START + share as Nanos;
    }
    unfinished_mails(&mut all, 800, 30);
    holes(&mut all, 200, 100);
    fragments(&mut all, 500, 44);
    unfinished_answers(&mut all, 500, 40);
    all.sort_by_key(|packet| packet.time);
    all.iter().for_each(|packet| sink.packet(packet.time, &packet.data).unwrap());
    all.len() as u64
}

/// Sessions amid their messages, of so many segments each.
fn unfinished_mails(sink: &mut dyn Sink, sessions: u64, segments: u64) -> u64 {
    let line = [vec![b'x'; 1_398], b"\r\n".to_vec()].concat();
    let steps = Talk::OPENING + segments;
    spread(sink, sessions, steps, |talk, at, step| match step.checked_sub(Talk::OPENING) {
        None => talk.open(at, step),
        Some(segment) => talk.client(at, (segment * 1_400) as u32, ACK | PSH, &line),
    })
}

/// Sessions of whose message the first bytes never come.
fn holes(sink: &mut dyn Sink, sessions: u64, segments: u64) -> u64 {
    let line = [vec![b'x'; 998], b"\r\n".to_vec()].concat();
    // Others than those of `unfinished_mails`.
    let others = |talk: Talk| Talk(talk.0 + 50_000);
    spread(sink, sessions, Talk::OPENING + segments, |talk, at, step| match step.checked_sub(Talk::OPENING) {
        None => others(talk).open(at, step),
        Some(segment) => others(talk).client(at, 1_000 + (segment * 1_000) as u32, ACK | PSH, &line),
    })
}

/// Mails of this text, one after the other.
fn mails(sink: &mut dyn Sink, count: u64, message: &[u8]) -> u64 {
    let parts = message.chunks(1_400);
    for number in 0..count {
        let talk = Talk(number);
        let at = START + number as Nanos * 20 * MILLI;
        let mut put = |packet: Packet| sink.packet(packet.time, &packet.data).unwrap();
        (0..Talk::OPENING).for_each(|step| put(talk.open(at, step)));
        for (offset, part) in (0..).step_by(1_400).zip(parts.clone()) {
            put(talk.client(at, offset, ACK | PSH, part));
        }
        (0..Talk::ENDING).for_each(|step| put(talk.end(at, message.len() as u32, step)));
    }
    count * (Talk::OPENING + parts.len() as u64 + Talk::ENDING)
}

/// A mail with a zip of 400 KB that is a hundred times as large unpacked: no bomb, and half a second's work.
fn archive() -> Vec<u8> {
    let mut rng = Rng::named(1, "memory");
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("slow.bin", SimpleFileOptions::default()).unwrap();
    (0..30_000).for_each(|_| zip.write_all(&rng.bytes(10).repeat(100)).unwrap());
    let content = zip.finish().unwrap().into_inner();
    let builder = Builder::new("See attached.").header("Subject", "Archive");
    builder.attach(Attachment::new("archive.zip", "application/zip", content)).build().bytes
}

/// A mail with a file of 300 KB and a subject that makes its line long.
fn file() -> Vec<u8> {
    let subject = vec!["word ".repeat(180); 12].join("\r\n ");
    let builder = Builder::new("See attached.").header("Subject", &subject);
    builder.attach(Attachment::new("file.bin", "application/octet-stream", vec![0xa5; 300_000])).build().bytes
}

/// Writes until the other end has had enough.
struct Patient<S>(Option<S>);

impl<S: Sink> Sink for Patient<S> {
    fn packet(&mut self, time: Nanos, data: &[u8]) -> io::Result<()> {
        if let Some(Err(_)) = self.0.as_mut().map(|sink| sink.packet(time, data)) {
            self.0 = None;
        }
        Ok(())
    }
}

/// Datagrams whose first fragment never comes.
fn fragments(sink: &mut dyn Sink, datagrams: u64, pieces: u64) -> u64 {
    let data = vec![0x5a; 1_400 - 8];
    for number in 0..datagrams * pieces {
        let at = START + (number as Nanos) * 6 * SECOND / (datagrams * pieces) as Nanos;
        let (datagram_number, piece) = (number % datagrams, number / datagrams);
        let (from, to) = (outside(datagram_number as u32, 5_000), mail_server());
        let Packet { time, mut data } = datagram(at, &from, &to, &data);
        // In units of eight bytes.
        fragment(&mut data, datagram_number as u16, (piece as u16 + 1) * 175, true);
        sink.packet(time, &data).unwrap();
    }
    datagrams * pieces
}

/// Answers over TCP that promise the longest message and never come to its end.
fn unfinished_answers(sink: &mut dyn Sink, streams: u64, segments: u64) -> u64 {
    let mut begin = Message::query(7, "example.net", dns::MX).encode_tcp(false);
    begin[..2].copy_from_slice(&[0xff, 0xff]);
    begin.resize(1_400, 0);
    let steps = 3 + segments;
    for number in 0..streams * steps {
        let at = START + (number as Nanos) * 6 * SECOND / (streams * steps) as Nanos;
        let (stream, step) = (number % streams, number / streams);
        let (client, server) = (outside(stream as u32, 5_000), outside(0x1_ffff, 53));
        let tcp = |seq: u32, ack: u32, flags| Tcp { seq, ack, flags, ..Tcp::default() };
        let Packet { time, data } = match step {
            0 => segment(at, &client, &server, tcp(0, 0, SYN), &[]),
            1 => segment(at, &server, &client, tcp(0, 1, SYN | ACK), &[]),
            2 => segment(at, &client, &server, tcp(1, 1, ACK), &[]),
            3 => segment(at, &client, &server, tcp(1, 1, ACK | PSH), &begin),
            step => segment(at, &client, &server, tcp(1 + (step as u32 - 3) * 1_400, 1, ACK | PSH), &[0; 1_400]),
        };
        sink.packet(time, &data).unwrap();
    }
    streams * steps
}

/// Answers with many addresses, to one host at home or between strangers.
fn answers(sink: &mut dyn Sink, home: bool, addresses: u32, count: u64) -> u64 {
    let asks = Host::home("asks", Ipv4Addr::new(10, 20, 2, 3), "user", &WINDOWS_XP);
    let client = if home { asks.endpoint(asks.ip(), 1_024) } else { outside(54, 1_024) };
    let resolver = outside(53, 53);
    let mut zones = Zones::default();
    (0..addresses).for_each(|number| zones.address("example.net", IpAddr::V4(Ipv4Addr::from(0xc633_6400 + number))));
    let answer = Message::query(7, "example.net", dns::A).answered_by(&zones).encode(true);
    for number in 0..count {
        let at = START + (number as Nanos) * 6 * SECOND / count as Nanos;
        let Packet { time, data } = datagram(at, &resolver, &client, &answer);
        sink.packet(time, &data).unwrap();
    }
    count
}

fn spread(sink: &mut dyn Sink, sessions: u64, steps: u64, packet: impl Fn(Talk, Nanos, u64) -> Packet) -> u64 {
    for number in 0..sessions * steps {
        let at = START + (number as Nanos) * 6 * SECOND / (sessions * steps) as Nanos;
        let Packet { time, data } = packet(Talk(number % sessions), at, number / sessions);
        sink.packet(time, &data).unwrap();
    }
    sessions * steps
}

/// Questions that move packet time on, so that counters are told, and fill the batch that the last of the others wait in.
fn questions(sink: &mut dyn Sink) -> u64 {
    let host = Host::home("asks", Ipv4Addr::new(10, 20, 2, 2), "user", &WINDOWS_XP);
    let (client, resolver) = (host.endpoint(host.ip(), 1_024), outside(53, 53));
    for number in 0..QUESTIONS {
        let message = Message::query(number as u16, "example.net", dns::MX).encode(false);
        let Packet { time, data } =
            datagram(START + 7 * SECOND + number as Nanos * 20 * MILLI, &client, &resolver, &message);
        sink.packet(time, &data).unwrap();
    }
    QUESTIONS
}

const QUESTIONS: u64 = 200;
/// As the attacks begin.
const START: Nanos = 1_067_590_800 * SECOND;
const BINARY: &str = env!("CARGO_BIN_EXE_mailsnare");
/// For a machine that does much else at the same time.
const PATIENCE: Duration = Duration::from_secs(120);
