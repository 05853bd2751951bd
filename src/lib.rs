//! mailsnare finds hosts which mail themselves: mass-mailing worms and spam bots. It reads packets, from an interface or
//! from capture files, and says which host is infected, since when, on what evidence, and what that has cost.
//!
//! This page is the map. `README.md` tells what the program does, `CONTRIBUTING.md` what a change must keep to.
//!
//! # The way of the data
//!
//! ```text
//!   interface, file, standard input
//!        |
//!        v                          one thread a source
//!   capture > decode > flow > protocol                       Sensor      packets to events
//!        |
//!        |  events, numbered in order; a message leaves a place that is filled later
//!        |
//!        +----> mail > rules        N threads                Inspector   a message to findings
//!        |        |
//!        v        v                 one thread
//!   detect, in the order of the events                       Correlator  events to alerts and incidents
//!        |
//!        v
//!   EVE lines, files, evidence, metrics, summary             output
//! ```
//!
//! Data moves one way; no stage asks a later one anything. The three stages are plain structs without threads, sockets,
//! files or clocks: a test feeds them by hand.
//!
//! - [`sensor::Sensor`] takes packets. [`decode`] finds the segment or datagram in each, [`flow`] the connection it
//!   belongs to; what may be mail or DNS is put together again and read by [`protocol`]. Everything else costs one decode
//!   and one look-up. Out come [`model::event::Event`]s.
//! - [`inspector::Inspector`] takes the message out of an event, opens it down to archive members ([`mail`]), holds it
//!   against the [`rules`], and gives [`model::mail::Findings`]. It has no state, so any number of threads can run it.
//! - [`correlator::Correlator`] takes events and findings in order and keeps all that is known of hosts. The detectors in
//!   [`detect`] read that and give [`model::alert::Alert`]s; what is thought of a host as a whole is a
//!   [`model::alert::Incident`].
//!
//! [`pipeline::run`] joins them, and alone owns threads and channels. Three things follow from its shape:
//!
//! - **Packet time is the only clock.** A stage is told what time it is; live capture tells it when the wire is idle.
//! - **The same input gives the same bytes,** with one inspector or sixteen, since the correlator waits for each place in
//!   turn.
//! - **A replay waits, live capture never does.** When the inspectors are busy a live message passes unopened and is
//!   counted; its envelope is still correlated. Every other loss is counted too and told in the summary.
//!
//! # The layers
//!
//! ```text
//!   cli
//!    |
//!   pipeline
//!    |
//!   sensor        inspector      correlator
//!    |                |              |
//!   capture decode flow protocol mail rules detect output config confine
//!    |
//!   model
//! ```
//!
//! A file imports only from lower layers or from its own folder, and the folders of the fourth line never import each
//! other: `detect` never sees a packet, `protocol` never sees a detector. What they share are the words of [`model`].
//!
//! | module | what it does |
//! | --- | --- |
//! | [`cli`] | what was typed, what it means, and one file for each command |
//! | [`pipeline`] | the only threads and channels |
//! | [`sensor`], [`inspector`], [`correlator`] | the three stages |
//! | [`capture`] | where packets come from: interfaces, files, pipes, memory; and one that spoils them for tests |
//! | [`decode`] | a frame to a segment or datagram, through tags, tunnels and fragments |
//! | [`flow`] | the flow table and the reassembly of TCP streams |
//! | [`protocol`] | SMTP and DNS as machines that are fed bytes and told of gaps |
//! | [`mail`] | a bounded walk over MIME parts, attachments and archives |
//! | [`rules`] | rule files to a compiled matcher |
//! | [`detect`] | one detector a file, over the state of hosts |
//! | [`output`] | EVE lines, extracted files, evidence, metrics, the summary |
//! | [`config`] | what the settings mean, checked |
//! | [`confine`] | what the process may still do once it listens |
//! | [`model`] | the words all share: events, findings, alerts, times, limits |
//!
//! # Where to begin reading
//!
//! - How a packet becomes an alert: [`model::event`], then [`sensor`], [`inspector`], [`correlator`], [`pipeline`].
//! - How mail is read from a connection that lost packets: [`protocol::smtp`], and [`mail`] for what is in it.
//! - How a host comes to be called infected: [`detect`].
//! - How much of anything is kept, and why: [`model::limits`].
//! - What the program is made of as a command: [`cli`], whose [`cli::main`] is all that `main.rs` calls.

pub mod capture;
pub mod cli;
pub mod config;
pub mod confine;
pub mod correlator;
pub mod decode;
pub mod detect;
pub mod flow;
pub mod inspector;
pub mod mail;
pub mod model;
pub mod output;
pub mod pipeline;
pub mod protocol;
pub mod rules;
pub mod sensor;
