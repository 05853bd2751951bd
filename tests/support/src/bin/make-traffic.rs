//! Writes captures of any size for benches.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Parser, ValueEnum};
use mailsnare_lab::attack::{self, Attack};
use mailsnare_lab::bulk::{self, Totals};
use mailsnare_lab::capture::{PcapFormat, PcapWriter};

/// Write a capture of generated traffic.
#[derive(Parser)]
struct Args {
    #[arg(long)]
    kind: Kind,
    /// Web, mixed: bytes of frames to write, about. Big mail: bytes of each attachment.
    #[arg(long, default_value_t = 100_000_000)]
    bytes: u64,
    /// Web: bytes of one flow, about.
    #[arg(long, default_value_t = 200_000)]
    flow_bytes: u64,
    /// Mail, big mail, messages, DNS, SYN flood, mixed, outbreak: sessions, messages, questions, packets, flows, hosts.
    /// Attacks: what each counts.
    #[arg(long, default_value_t = 1_000)]
    count: u64,
    /// Outbreak: mails of each host.
    #[arg(long, default_value_t = 20)]
    mails: u64,
    /// Which attack.
    #[arg(long, value_name = "NAME", required_if_eq("kind", "attack"), value_parser = attacks())]
    attack: Option<String>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The file to write; - is standard output.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Web,
    Mail,
    Dns,
    Mixed,
    BigMail,
    Outbreak,
    /// The messages of `mail` without their packets, each behind its length.
    Messages,
    Synflood,
    Attack,
}

fn attacks() -> PossibleValuesParser {
    PossibleValuesParser::new(attack::ALL.iter().map(|attack| PossibleValue::new(attack.name).help(attack.about)))
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(Totals { packets, bytes, flows }) => {
            eprintln!("{packets} packets, {bytes} bytes, {flows} flows");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("make-traffic: {}: {error}", args.out.display());
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> io::Result<Totals> {
    let out: Box<dyn Write> =
        if args.out == Path::new("-") { Box::new(io::stdout().lock()) } else { Box::new(File::create(&args.out)?) };
    if matches!(args.kind, Kind::Messages) {
        let mut out = BufWriter::with_capacity(1 << 20, out);
        bulk::messages(&mut out, args.count, args.seed)?;
        return out.flush().map(|()| Totals::default());
    }
    let mut sink = PcapWriter::new(BufWriter::with_capacity(1 << 20, out), PcapFormat::default())?;
    let totals = match args.kind {
        Kind::Web => bulk::web(&mut sink, args.bytes, args.flow_bytes, args.seed),
        Kind::Mail => bulk::mail(&mut sink, args.count, args.seed),
        Kind::Mixed => bulk::mixed(&mut sink, args.bytes, args.count, args.seed),
        Kind::BigMail => bulk::big_mail(&mut sink, args.count, args.bytes, args.seed),
        Kind::Outbreak => bulk::outbreak(&mut sink, args.count, args.mails, args.seed),
        Kind::Messages => return Ok(Totals::default()),
        Kind::Dns => bulk::dns(&mut sink, args.count, args.seed),
        Kind::Attack => match args.attack.as_deref().and_then(Attack::named) {
            Some(attack) => attack.write(&mut sink, args.count, args.seed),
            None => Err(io::Error::other("name an attack with --attack")),
        },
        Kind::Synflood => bulk::syn_flood(&mut sink, args.count, args.seed),
    }?;
    sink.finish()?;
    Ok(totals)
}
