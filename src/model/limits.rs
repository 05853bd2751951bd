//! Every bound, named, with its reason. Where an operator may want another, `settings.rs` has it.

use std::time::Duration;

// --- memory -----------------------------------------------------------------------------------------------------

/// The budget (`--memory`) that the bounds below are made for; with another they are in proportion (`memory.rs`). All
/// pools full at once take it all; ordinary traffic of 1,000,000 flows takes less than half.
pub const MEMORY: u64 = 1 << 30;
/// The least budget: so much, and as much again for each source of packets.
pub const MEMORY_LEAST: u64 = 16 << 20;
pub const MEMORY_LEAST_SOURCE: u64 = 16 << 20;
/// More than any machine has: larger numbers are mistyped.
pub const MEMORY_MOST: u64 = 1 << 44;
/// What the process takes beside its pools: program, rules, counters, buffers of outputs, stacks. `tests/memory.rs`
/// measures 24 to 25 MB.
pub const MEMORY_BASE: u64 = 24 << 20;
/// Bytes that one flow takes in its table, index included.
pub const FLOW_COST: usize = 140;
/// ... and when its stream is followed, besides what its session holds.
pub const STREAM_COST: usize = 768;
/// Bytes that a home host takes, its hardware address and a tenth of a harmful file included, without what is remembered
/// of it ...
pub const HOST_COST: usize = 900;
/// ... and one name, address or domain of it, in a list of many. What else is remembered counts as so many of these as it
/// weighs.
pub const HOST_ENTRY_COST: usize = 160;
/// Bytes that a segment held out of order takes besides its own.
pub const SEGMENT_COST: usize = 96;

// --- capture ----------------------------------------------------------------------------------------------------

/// Bytes asked of a capture file at a time: large enough that the call costs nothing per packet.
pub const CAPTURE_READ: usize = 512 << 10;
/// Pieces of [`CAPTURE_READ`] that may be read ahead of who reads the packets.
pub const CAPTURE_AHEAD: usize = 4;
/// Files shorter than this are not worth a thread that reads them ahead.
pub const CAPTURE_AHEAD_FROM: u64 = 4 << 20;
/// Longest packet believed of a file whose header promises no more: libpcap's MAXIMUM_SNAPLEN.
pub const CAPTURE_PACKET: u32 = 262_144;
/// Longest record or block read, whatever the file promises: libpcap's bound for pcapng blocks.
pub const CAPTURE_RECORD: usize = 16 << 20;
/// Longest pcapng block whose options are parsed: each 4 bytes of options cost some 40 while they are.
pub const CAPTURE_OPTIONS: usize = 1 << 20;
/// Interfaces of one pcapng section: dumpcap writes one for each it listens on; a packet block of old names 16 bits.
pub const CAPTURE_INTERFACES: usize = 65_536;
/// Capture files of one replay: a year of rotation every five minutes is 105,120.
pub const CAPTURE_FILES: usize = 200_000;
/// Folders within folders searched for captures.
pub const CAPTURE_FOLDER_DEPTH: usize = 16;
/// Damage told of one file, and of all files together; the rest is only counted.
pub const CAPTURE_FINDINGS_PER_FILE: usize = 8;
pub const CAPTURE_FINDINGS: usize = 1_000;
/// Link types of one replay that a filter is compiled for: real captures mix two or three.
pub const FILTER_LINK_TYPES: usize = 64;
/// Window of a zstd frame: what the zstd tool itself takes without being told to (`--long=27`).
pub const ZSTD_WINDOW: u64 = 128 << 20;
/// Bytes of the kernel's ring that a packet takes at least: its header and the shortest frame. After the stop so many are
/// still taken as the ring can have held.
pub const RING_PACKET: u64 = 64;

/// An interface that is away is looked for at least this often: an operator who brings it back need not wait long, and
/// one that stays away costs nothing.
pub const REOPEN_PAUSE: Duration = Duration::from_secs(30);
/// Kernel rings of one interface: more than any one machine has cores to spare for.
pub const RINGS: u16 = 64;

// --- decode -----------------------------------------------------------------------------------------------------

/// VLAN tags, MPLS labels and tunnels taken off one packet: real networks stack a handful; more is an attack.
pub const MAX_ENCAPSULATION: usize = 16;
/// IPv6 extension headers walked: as many as fit before a TCP header into 1,500 bytes. RFC 8200 knows eight kinds and expects
/// each but one once, but Linux takes any number.
pub const MAX_IPV6_EXTENSIONS: usize = 180;
/// Datagrams being put together at once. 8,192 * 64 KiB is bounded further by `FRAGMENT_BYTES`.
pub const FRAGMENT_DATAGRAMS: usize = 8_192;
/// Bytes of fragments held, all datagrams together.
pub const FRAGMENT_BYTES: usize = 16 << 20;
/// Fragments of one datagram: 65,535 bytes in fragments of 8 would be 8,192; real ones need 45 at an MTU of 1,500.
pub const FRAGMENTS_PER_DATAGRAM: usize = 1_024;
/// RFC 8200, section 4.5 (IPv6): 60 seconds; RFC 1122, section 3.3.2 (IPv4): 60 to 120. Not less, or a datagram whose
/// fragments are sent slowly would reach the host and escape the sensor.
pub const FRAGMENT_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of an IP packet up to which its checksums are taken to be those of the wire: Ethernet's MTU (RFC 894). A longer
/// one was most likely never on it: offload merged it on its way in, or will cut it on its way out, and leaves checksums
/// unfinished. Where networks have jumbo frames they are real; so checksums of long packets are trusted once some held.
pub const WIRE_PACKET: usize = 1_500;

/// Hops that a plain packet has left at least (hosts begin with 64 or more, and no path takes 32), and fewer than any path
/// leaves of those: a packet with so few may be meant to die between the sensor and the host it is sent to.
pub const TTL_PLAIN: u8 = 32;
pub const TTL_ODD: u8 = 16;

// --- flow -------------------------------------------------------------------------------------------------------

/// Flows in the table. At about 150 bytes each, 1,000,000 take some 150 MB of the 512 MiB promised.
pub const FLOWS: usize = 1_000_000;
/// Idle time-outs. TCP mail gets longer than the five minutes RFC 5321, section 4.5.3.2 gives each command.
pub const TIMEOUT_NEW: Duration = Duration::from_secs(30);
pub const TIMEOUT_TCP: Duration = Duration::from_secs(600);
pub const TIMEOUT_MAIL: Duration = Duration::from_secs(900);
pub const TIMEOUT_UDP: Duration = Duration::from_secs(60);
/// A closed flow is remembered this long, so that late copies of its segments do not open it again.
pub const TIMEOUT_CLOSED: Duration = Duration::from_secs(10);
/// Out-of-order bytes held for one direction of a stream: more than any window a mail server offers by default.
pub const STREAM_HELD_BYTES: usize = 1 << 20;
/// Out-of-order segments held for one direction: bounds the cost of tiny segments.
pub const STREAM_HELD_SEGMENTS: usize = 1_024;
/// Out-of-order bytes held by all streams together.
pub const STREAMS_HELD_BYTES: usize = 64 << 20;
/// The part of them that is made free where they are used up (1 / this), by the streams that hold most.
pub const STREAM_RELIEF: u64 = 8;
/// Bytes of segments that their receiver should drop, kept for one direction should they turn out to have been received:
/// what may be on its way at once, on most links. They count among `STREAMS_HELD_BYTES`.
pub const STREAM_DOUBTED_BYTES: usize = 256 << 10;
/// ... and how many segments those may be.
pub const STREAM_DOUBTED_SEGMENTS: usize = 256;
/// Streams followed in full at once.
pub const STREAMS: usize = 65_536;
/// Where there are so many, none gives way to a session that begins for being slow before it is this old: most sessions are
/// over by then, or have said enough.
pub const STREAM_GRACE: Duration = Duration::from_secs(10);
/// ... nor when it took this many bytes a second or more since it began, headers included: or a flood of sessions that begin,
/// none of them old enough, would drive out all others. To keep out who begins now takes 134 Mb/s.
pub const STREAM_SLOW: u64 = 256;
/// ... and for a session in its first packets alone: three that open it, the greeting, a hello, and some that came twice.
pub const STREAM_BEGINNING: u32 = 8;
/// A hole that the other side acknowledged is given up after this long: longer than any mirror port reorders.
pub const GAP_PATIENCE: Duration = Duration::from_millis(1_000);
/// ... or after this many more packets of the flow.
pub const GAP_PATIENCE_PACKETS: u32 = 64;
/// ... and where the side that should have sent it is silent, and did not show that it had sent so much, after this long:
/// it may have been acknowledged falsely, and the next word of that side tells.
pub const SILENCE_PATIENCE: Duration = Duration::from_secs(10);
/// Delivered bytes kept for comparison with later copies, per direction.
pub const STREAM_TAIL: usize = 4_096;
/// Delivered bytes kept by all streams together; past it late copies go unjudged. Some 3,000 busy sessions fit.
pub const STREAMS_TAIL_BYTES: usize = 32 << 20;
/// Connection attempts and echo requests from one host to one other within `FLOOD_WINDOW` that are worth telling: ten a
/// second for ten seconds. A browser opens six connections to a host and keeps them (RFC 9112, section 9.4 asks for few),
/// ping sends one a second; the floods of this family send a hundred a second.
pub const FLOOD_PACKETS: u32 = 100;
pub const FLOOD_WINDOW: Duration = Duration::from_secs(10);
/// How far behind a SYN the copy may be that a mirror makes of it where it sends each packet twice: a SYN that is not
/// answered is sent again after some hundred milliseconds at the earliest.
pub const MIRROR_DELAY: Duration = Duration::from_millis(10);
/// Pairs of hosts for which they are counted at once, some 600 KB: in buckets of four, so that at 10,000 new pairs a
/// second a flood is still found in the place where it was counted last.
pub const FLOOD_PAIRS: usize = 8_192;
/// Of a flood that several threads see parts of, the least that one of them tells: as much as opening a page may take.
pub const FLOOD_PART: u32 = 8;
/// Pairs of hosts of which such parts are added up at once; some 1 MB.
pub const FLOOD_JOINED: usize = 4_096;

// --- smtp -------------------------------------------------------------------------------------------------------

/// RFC 5321, section 4.5.3.1.4 allows 512 octets a command line; extensions and real software go further.
pub const SMTP_COMMAND_LINE: usize = 4_096;
/// RFC 5321, section 4.5.3.1.5: 512 octets a reply line.
pub const SMTP_REPLY_LINE: usize = 4_096;
/// Text of one multi-line reply kept.
pub const SMTP_REPLY_TEXT: usize = 1_024;
/// Extensions kept of those that a server offers; real ones offer five to fifteen. `SMTP_REPLY_TEXT` bounds their bytes.
pub const SMTP_EXTENSIONS: usize = 64;
/// RFC 5321, section 4.5.3.1.8 asks for at least 100 recipients; large lists use thousands.
pub const SMTP_RECIPIENTS: usize = 1_000;
/// Commands awaiting their replies.
pub const SMTP_PIPELINE: usize = 2_048;
/// ... and bytes of the names and addresses in them.
pub const SMTP_PIPELINE_TEXT: usize = 512 << 10;
/// Client bytes held while the reply that decides how to read them is awaited.
pub const SMTP_UNDECIDED: usize = 64 << 10;
/// ... and places where some of them were lost.
pub const SMTP_UNDECIDED_HOLES: usize = 64;
/// Attributes of XCLIENT and XFORWARD kept of one transaction (Postfix knows ten), and bytes of one value: a host name's 255.
pub const SMTP_FORWARDED: usize = 16;
pub const SMTP_FORWARDED_VALUE: usize = 255;
/// Bytes of a TLS handshake read from one side: hellos take hundreds, the first certificate of a chain one to four thousand.
pub const TLS_HANDSHAKE: usize = 32 << 10;
/// A handshake is told as far as it was seen after this long: both hellos are sent within a few round trips.
pub const TLS_PATIENCE: Duration = Duration::from_secs(60);
/// Names kept of one certificate or hello: large providers put a hundred domains into one certificate.
pub const TLS_NAMES: usize = 128;
/// Bytes of one name: RFC 1035, section 2.3.4 gives a host 255; a subject with a dozen parts has some hundreds.
pub const TLS_NAME: usize = 1_024;
/// A message kept in full up to here: above the 25 to 50 MB that large providers take.
pub const MESSAGE_BYTES: usize = 64 << 20;
/// First bytes set aside for a message on the word of its SIZE parameter, or for a chunk on that of BDAT: most mails fit, and a word costs nothing.
pub const MESSAGE_SIZE_HINT: usize = 64 << 10;
/// Messages of one session that wait for replies: DATA has a client wait, so only those sent with BDAT add up. Past it
/// the oldest is told as far as it is known.
pub const SMTP_TRANSACTIONS: usize = 64;
/// Bytes held for all SMTP sessions of a sensor together: unfinished messages, recipients, commands and replies under
/// way, handshakes. Three of the longest messages, or the sessions of some 10,000 ordinary mails at once. Past it those
/// sessions that hold most are told as far as they were read, and not read on (`SMTP_RELIEF`).
pub const SMTP_HELD_BYTES: usize = 144 << 20;
/// Share of `SMTP_HELD_BYTES`, as one part of so many, that is made free when it is full: each time costs a look at all
/// flows, so it must not come often.
pub const SMTP_RELIEF: u64 = 8;
/// Anomalies told for one session or message: the first ones say what is wrong.
pub const ANOMALIES: usize = 16;

// --- dns --------------------------------------------------------------------------------------------------------

/// A DNS message over TCP (RFC 1035, section 4.2.2): the length field has 16 bits.
pub const DNS_MESSAGE: usize = 65_535;
/// Bytes of unfinished DNS messages held for all TCP streams together: some hundreds of the longest, and thousands of real
/// ones. Past it a message is given up, and those behind it are read.
pub const DNS_HELD_BYTES: usize = 16 << 20;
/// Records of one message that are read.
pub const DNS_RECORDS: usize = 256;
/// Pieces of a TCP stream searched for the start of a message after a gap: past so many it is no DNS, or never in step.
pub const DNS_RESYNC: u32 = 64;

// --- pipeline ---------------------------------------------------------------------------------------------------

/// Events in a batch between threads: fewer cost channel time, more cost delay.
pub const BATCH: usize = 64;
/// ... and so many bytes of messages and packets at most, but for the last.
pub const BATCH_BYTES: usize = 1 << 20;
/// Batches between sensor and correlator.
pub const BATCHES: usize = 256;
/// Batches held by a live source while the correlator does not keep up: some seconds of a busy link.
pub const BACKLOG: usize = 4_096;
/// Packet time that an event may wait for its batch to fill, in live capture.
pub const BATCH_PATIENCE: Duration = Duration::from_millis(5);
/// An event of one live source waits this long for another source to catch up, when that tells nothing: a thread that
/// lives tells its time every 20 ms on a silent link.
pub const MERGE_PATIENCE: Duration = Duration::from_millis(1_000);
/// ... and so many events of all sources wait at most: more than a busy network raises in that second.
pub const MERGE_EVENTS: usize = 65_536;
/// Bytes of events waiting for the correlator, of all sources together.
pub const EVENT_BYTES: usize = 64 << 20;
/// Messages waiting for an inspector.
pub const INSPECT_QUEUE: usize = 1_024;
/// Bytes of messages waiting for or under inspection.
pub const INSPECT_BYTES: usize = 96 << 20;

// --- mail -------------------------------------------------------------------------------------------------------

/// MIME nesting, message/rfc822 included: readers stop far earlier.
pub const MIME_DEPTH: usize = 64;
/// Parts of one message.
pub const MIME_PARTS: usize = 2_000;
/// Header bytes of one block; header fields of one block.
pub const HEADER_BYTES: usize = 256 << 10;
pub const HEADER_FIELDS: usize = 1_000;
/// A field's name: RFC 5322, section 2.1.1 gives a whole line 998 characters.
pub const HEADER_NAME_BYTES: usize = 998;
/// A file's name: no file system takes more than 255 characters, but it is in the listing of each member of an archive.
pub const FILE_NAME_BYTES: usize = 4_096;
/// Decoded text kept for rules and links.
pub const TEXT_BYTES: usize = 256 << 10;
pub const URLS: usize = 100;
/// Bytes of one link kept: browsers take about 2,000 in practice.
pub const URL_BYTES: usize = 2_048;
/// Parameters of one Content-Type or Content-Disposition field: real ones have two or three, RFC 2231 pieces included a dozen.
pub const HEADER_PARAMETERS: usize = 128;
/// A header field that mail-parser reads: ordinary ones are shorter, and longer ones are read by our own code, whose time
/// is proven linear.
pub const HEADER_PLAIN_BYTES: usize = 8 << 10;
/// Files within the texts of a message, uuencoded or in yEnc: mails of that age carried a few.
pub const EMBEDDED_FILES: usize = 50;
/// Addresses kept of all To, or all Cc, fields: as many as recipients of a transaction.
pub const HEADER_ADDRESSES: usize = 1_000;
/// Messages within a message are hashed as a whole and again in their parts: all of them together, this many times the
/// size of the message. Forwards of forwards stay below; nesting for its own sake does not.
pub const MIME_HASHED_TIMES: u64 = 4;

// --- archives ---------------------------------------------------------------------------------------------------

/// Archives within archives.
pub const ARCHIVE_DEPTH: usize = 5;
/// Members listed of all archives in one message.
pub const ARCHIVE_MEMBERS: usize = 1_000;
/// Bytes unpacked of all archives in one message.
pub const ARCHIVE_BYTES: u64 = 100 << 20;
/// Unpacked to packed: deflate cannot exceed 1,032; legitimate documents stay below 100 for long stretches.
pub const ARCHIVE_RATIO: u64 = 250;
/// The ratio is judged past this size: a small file of zeros is no bomb (Mimail's own shape would look like one).
pub const ARCHIVE_RATIO_FLOOR: u64 = 1 << 20;
/// An archive within an archive is opened up to this size, since it has to be held in memory: above what mail carries.
pub const ARCHIVE_NESTED_BYTES: usize = 32 << 20;
/// Window that a zstd frame, an xz block or a 7z block may ask for: the largest of the tools' ordinary levels. xz and 7z
/// take the memory only as far as they unpack.
pub const ARCHIVE_WINDOW: u64 = 64 << 20;
/// The least of it with a small budget of memory: what xz and zstd ask for at the levels most people use.
pub const ARCHIVE_WINDOW_LEAST: u64 = 8 << 20;
/// A 7z archive's header, unpacked, in KiB. Each byte can stand for a member, which takes some 140 bytes of memory; the
/// window that 7-Zip packs its headers with is 1 MiB, and has to fit.
pub const SEVENZIP_HEADER_KIB: usize = 1_280;
/// Headers of all 7z archives in one message, by what they cost to read, in bytes: eight of the largest, or 640 ordinary ones.
/// A header of half a kilobyte can state 400,000 members, which takes some 40 ms to read.
pub const SEVENZIP_HEADERS: usize = (8 * SEVENZIP_HEADER_KIB) << 10;
/// What a header costs at least; what each of its members and of its blocks costs, which is what it takes to state one.
pub const SEVENZIP_HEADER_COST: usize = 16 << 10;
pub const SEVENZIP_MEMBER_COST: usize = 3;
pub const SEVENZIP_BLOCK_COST: usize = 14;
/// Streams behind the first of gzip and bzip2 files, in all archives of one message: programs that write several put 64 KiB
/// or more into each, and one that holds nothing takes 14 bytes and, of bzip2, some 40 microseconds.
pub const ARCHIVE_STREAMS: usize = 10_000;
/// Unpacked bytes count against `ARCHIVE_BYTES` by what they cost, so that it bounds time as well: LZMA unpacks at about
/// half the pace of deflate, bzip2 at a quarter or less.
pub const ARCHIVE_COST_LZMA: u64 = 2;
pub const ARCHIVE_COST_BZIP2: u64 = 4;
/// Words of a message that are tried as the password of an archive in it: where one stands, a few stand near it.
pub const ARCHIVE_PASSWORDS: usize = 20;
/// Passwords tried on the members of all archives of one message: AES makes each cost about half a millisecond.
pub const ARCHIVE_TRIES: usize = 200;
/// As how many of these a password counts that is tried on a 7z: its key takes 2^19 rounds of SHA-256, some 20 to 60 ms.
pub const SEVENZIP_TRY_COST: usize = 20;
/// Rounds of a 7z's key, as a power of two, up to which passwords are tried: what 7-Zip itself uses.
pub const SEVENZIP_KEY_ROUNDS: u8 = 19;

// --- rules ------------------------------------------------------------------------------------------------------

/// Bytes of the configuration file: many times what a large one has.
pub const CONFIG_FILE_BYTES: u64 = 1 << 20;
/// A rule file: thousands of hand-written rules fit; anything larger is not a rule file.
pub const RULE_FILE_BYTES: u64 = 4 << 20;
/// Conditions within conditions: more cannot be reviewed, and matching recurses this far at most.
pub const RULE_DEPTH: usize = 32;
/// One compiled regular expression: room for a few dozen repeats of a Unicode class.
pub const RULE_REGEX_BYTES: usize = 4 << 20;
/// Bytes of a message's raw body that rules see: worms are smaller, and each raw test reads all of it.
pub const RULE_RAW_BYTES: usize = 1 << 20;
/// Characters of a matched value shown as evidence.
pub const EVIDENCE_CHARS: usize = 120;
/// Programs made of zeros for the tests of one rule file: they live in memory beside the rules.
pub const RULE_SAMPLE_BYTES: usize = 8 << 20;
/// Sample archives within sample archives in a rule test: one more than the inspector unpacks by default.
pub const RULE_TEST_DEPTH: usize = ARCHIVE_DEPTH + 1;

// --- correlator -------------------------------------------------------------------------------------------------

/// Home hosts with state.
pub const HOSTS: usize = 100_000;
/// Hardware addresses remembered with what stands behind them: as many as hosts; at some 150 bytes each, 15 MB.
pub const HARDWARE: usize = HOSTS;
/// Hardware addresses with one IPv4 address each that must be seen on a link before they are taken for hosts there: between
/// two routers there is one at most.
pub const HARDWARE_HOSTS: u64 = 3;
/// IPv6 addresses that one host is known by: one that lasts, and one a day for a week (RFC 8981, section 3.8).
pub const HOST_ADDRESSES: usize = 8;
/// Networks (/64) those may be of: link-local, unique local, global.
pub const HOST_NETWORKS: usize = 3;
/// Addresses that an operator may declare to be one host, and such groups.
pub const GROUP_ADDRESSES: usize = 64;
pub const GROUPS: usize = 10_000;
/// Names, addresses and domains remembered for all hosts together, and what else is in entries of their weight: 179 MB. A
/// host that asked once for an exchanger has eleven, so that `HOSTS` such hosts fit; one that delivered once has 41, and
/// 27,000 of those fit.
pub const HOST_ENTRIES: usize = 1_120_000;
/// Things remembered of an infected host from which on its lists are cut to the newest where `HOST_ENTRIES` are used up,
/// before any host is given up.
pub const HOST_LONG: usize = 160;
/// ... and once more, as those of a host under suspicion are, before a host that converses is given up. With fewer, most of
/// them are its reasons.
pub const HOST_SHORT: usize = 80;
/// Exchangers, addresses and domains remembered for one host's chain, each kind by itself.
pub const CHAIN_ENTRIES: usize = 512;
/// Domains that wait for a connection to an exchanger they share: large providers serve millions, a host asks a few
/// between two connections.
pub const CHAIN_SHARED: usize = 8;
/// An MX or address answer explains connections for this long: most records live an hour or less, and a host that
/// caches one for longer is told by its other deliveries.
pub const CHAIN_AGE: Duration = Duration::from_secs(3_600);
/// Domains and networks, each, that one host is known to have mailed to, and domains it asked about.
pub const FANOUT_ENTRIES: usize = 512;
/// Flows of one host whose outcome was counted, so that their end is not counted again.
pub const FANOUT_FLOWS: usize = 64;
/// Bytes of IP packets each side must have sent on a flow that could not be read, for a session to have taken place:
/// opening and closing alone take some 200.
pub const FANOUT_SESSION_BYTES: u64 = 600;
/// Domains one host guessed under, names and addresses it learnt on the way, each.
pub const GUESS_ENTRIES: usize = 256;
/// Names of addresses one host under suspicion was given, for the day it floods one: a worm asks for its target shortly
/// before.
pub const FLOOD_NAMES: usize = 128;
/// Destinations one host floods, remembered: an attack is aimed at one or two.
pub const FLOOD_TARGETS: usize = 16;
/// Windows kept of one host to know what is usual for it: a median of some two dozen is steady enough.
pub const BASELINE_WINDOWS: usize = 24;
/// Harmful files remembered over all hosts: at some 2 KB each with their sightings, 20 MB.
pub const SIGHTED_FILES: usize = 10_000;
/// Times one such file was seen that are remembered: the first, and the latest.
pub const SIGHTINGS: usize = 8;
/// Harmful files of one message that are remembered: a worm brings one, in an archive or not.
pub const SIGHTED_PER_MESSAGE: usize = 8;
/// Harmful files that one host sent, and recipients of each, remembered.
pub const SENT_FILES: usize = 32;
pub const SENT_RECIPIENTS: usize = 32;
/// Networks outside, and hosts at home, that delivered mail to a host, kept to be counted without repeats: past a few the
/// number adds nothing.
pub const ROLE_CLIENTS: usize = 16;
/// A host under suspicion must have been served for so long before it can earn a role: what a worm can call up within
/// minutes of being noticed does not clear it.
pub const ROLE_SUSPECT: Duration = Duration::from_secs(3_600);
/// Bytes of IP packets that the client of an encrypted session sent when a message was among them: handshake, envelope
/// and acknowledgements alone take some 2,000.
pub const ROLE_SESSION_BYTES: u64 = 3_000;
/// A host that speaks as a mail server and was brought any mail from outside gets this many times the patience: bounces and
/// answers are all that a newsletter's host is brought.
pub const ROLE_PATIENCE_SERVED: u64 = 4;
/// Names in EHLO that are told apart of one host: a server has one, and past a few the number adds nothing.
pub const CONDUCT_NAMES: usize = 4;
/// Recipients of one transaction that count for what a host's list is worth: one bad alias must not decide alone.
pub const CONDUCT_RECIPIENTS: usize = 10;
/// Recipients of a host that are told again, to know mail to the same few people from a list: more than are on call, fewer than
/// a worm finds in an address book.
pub const CONDUCT_KNOWN: usize = 16;
/// Messages with a worm's marks that a host which may be a mail server can send beyond what was brought to it, before
/// they are its own: some of what it passes on was given to it before the capture, or several in one encrypted session.
pub const ROLE_SLACK: u64 = 3;
/// A learnt mail server may split each recipient it was given among so many copies (aliases, small lists) before a
/// worm's messages are its own.
pub const ROLE_SPLIT: u64 = 4;
/// How often open incidents are looked through for those that can be closed: half-lives are hours.
pub const CALM_SWEEP: Duration = Duration::from_secs(60);
/// Time that seems to have passed between two events, from which on a second one has to bear it out before incidents
/// close: an hour of calm that is missed delays their end by little.
pub const CLOCK_LEAP: Duration = Duration::from_secs(3_600);
/// An alert of the same kind and severity about the same host is not repeated sooner.
pub const ALERT_REPEAT: Duration = Duration::from_secs(3_600);
/// An alert about a name asked for is not repeated for the same host and rule sooner.
pub const NAME_ALERT_REPEAT: Duration = Duration::from_secs(600);
/// Name rules whose last alert is remembered for one host; past it the oldest may repeat early.
pub const NAME_RULES: usize = 16;
/// Characters of one matched value kept as evidence: enough to recognise it.
pub const EVIDENCE_TEXT: usize = 200;
/// Matched values kept as evidence of one alert.
pub const EVIDENCE_VALUES: usize = 16;
/// Evidence and timeline entries kept in one incident.
pub const INCIDENT_ENTRIES: usize = 64;

// --- output -----------------------------------------------------------------------------------------------------

/// Hosts with metric series of their own because they mail most.
pub const TOP_HOSTS: usize = 50;
/// Hosts in the report and with metric series, whatever the traffic: the worst come first.
pub const REPORT_HOSTS: usize = 1_000;
/// Hosts under suspicion with metric series of their own besides the top ones; in an outbreak that hits more, the rest
/// still count in `mailsnare_hosts`.
pub const METRIC_SUSPECTS: usize = 500;
/// Reasons with series of their own for one host under suspicion: what fits into the text of a page.
pub const METRIC_EVIDENCE: usize = 5;
/// Rules and detectors with an alert counter of their own, by order of first alert; later ones share the name `other`.
pub const METRIC_RULES: usize = 1_000;
/// Hosts remembered for one rule and severity, for the summary: more than anyone reads through by hand.
pub const SUMMARY_ALERT_HOSTS: usize = 1_000;
/// EVE bytes gathered before they are written: some dozens of lines, so that a system call is shared by many.
pub const EVE_BUFFER: usize = 64 << 10;
/// How far back an EVE file is searched for the start of a line that was cut off: longer than any line of ours.
pub const EVE_TAIL: u64 = 64 << 20;
/// Largest file written by `--extract`: as the inspector keeps (`InspectSettings::keep_bytes`).
pub const EXTRACT_FILE_BYTES: u64 = 32 << 20;
/// All files written by one run with `--extract`: a worm sends one file many times, so this is thousands of samples.
pub const EXTRACT_TOTAL_BYTES: u64 = 1 << 30;
/// Packets kept in memory for `--evidence`, all hosts together: what a host did before it was suspected. Some minutes of a
/// campus's mail.
pub const EVIDENCE_RING: usize = 64 << 20;
/// Largest capture of one incident: some hours of a worm that mails as fast as Mimail.C.
pub const EVIDENCE_FILE_BYTES: u64 = 64 << 20;
/// All captures of one run with `--evidence`.
pub const EVIDENCE_TOTAL_BYTES: u64 = 4 << 30;
/// Captures of which a run remembers that it wrote them: incidents of years, unless a worm is about. An older one could be
/// replaced by another that is dated to the same second, of the same host.
pub const EVIDENCE_NAMES: usize = 65_536;
/// Bytes of one capture gathered before they are written.
pub const EVIDENCE_BUFFER: usize = 64 << 10;
/// Bytes kept of a packet that is encrypted: the headers, also in a tunnel.
pub const EVIDENCE_ENCRYPTED: usize = 128;
/// An HTTP request's line and headers: a scrape needs a few hundred bytes; RFC 9112, section 3 suggests 8,000.
pub const HTTP_HEAD: usize = 8 << 10;
/// HTTP connections at once; one more takes the place of the oldest.
pub const HTTP_CONNECTIONS: usize = 16;
/// From connection to the response's last byte. Prometheus itself waits ten seconds by default.
pub const HTTP_PATIENCE: Duration = Duration::from_secs(5);
/// Hosts that Alertmanager is told of at once: more pages than anyone reads, and some 10 MB at the most.
pub const ALERTMANAGER_PAGES: usize = 1_000;
/// Incidents on their way to the thread that posts them: a burst, while one post takes its time.
pub const ALERTMANAGER_QUEUE: usize = 1_024;
/// Alerts in one post: a body of a few hundred KB, where Alertmanager takes far more.
pub const ALERTS_IN_POST: usize = 100;
/// An open incident is posted again so often: Prometheus does it every minute or so.
pub const ALERT_RESEND: Duration = Duration::from_secs(60);
/// How far ahead the end of an alert is set: several posts may fail, or the sensor start anew, before it ends by itself.
pub const ALERT_LIFE: Duration = Duration::from_secs(300);
/// From connection to answer of one post.
pub const ALERT_POST: Duration = Duration::from_secs(10);
/// Between a post that failed and the next; twice as long each time, up to the second.
pub const ALERT_RETRY_FIRST: Duration = Duration::from_secs(1);
pub const ALERT_RETRY_MOST: Duration = Duration::from_secs(60);
/// How long the end of a run waits for what has not been posted yet.
pub const ALERT_LAST: Duration = Duration::from_secs(5);
/// Characters of one annotation.
pub const ANNOTATION_CHARS: usize = 2_000;
/// A syslog message: RFC 5426, section 3.2 has receivers take 2,048 and lets them take more; rsyslog takes 8,192 by
/// default.
pub const SYSLOG_BYTES: usize = 8_192;
/// Between attempts to connect to a syslog that is not there.
pub const SYSLOG_RETRY: Duration = Duration::from_secs(1);
/// Bytes of a key that is made for one run: as long as the hash it keys (RFC 2104, section 3).
pub const PRIVACY_KEY: u64 = 32;
/// Bytes of a key that is given: fewer could be guessed, and more are not read.
pub const PRIVACY_KEY_LEAST: usize = 16;
pub const PRIVACY_KEY_MOST: u64 = 4_096;
