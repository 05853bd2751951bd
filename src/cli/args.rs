//! What was typed, before anything is made of it.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use ipnet::IpNet;

use crate::config::{self, Alertmanager, Destination, Format, LogLevel, Metrics};
use crate::model::alert::Severity;
use crate::model::eve_type::EventFilter;
use crate::model::limits;
use crate::model::memory::Memory;
use crate::model::settings::SyslogTarget;

/// Find hosts that mail themselves: mass-mailing worms and spam bots
///
/// mailsnare listens on an interface or replays captures, follows SMTP and DNS, opens the messages, and says which
/// host is infected, since when, on what evidence, and how much bandwidth it has cost.
#[derive(Debug, Parser)]
#[command(name = "mailsnare", version, after_help = AFTER_HELP, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// How much to tell on standard error [default: info]
    #[arg(long, global = true, display_order = 100, value_name = "LEVEL", value_parser = named::<LogLevel>(&LogLevel::NAMES))]
    pub log_level: Option<LogLevel>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read capture files, then print who is infected and why
    #[command(after_help = REPLAY_HELP)]
    Replay(Replay),
    /// Listen on interfaces until stopped
    #[command(after_help = LIVE_HELP, mut_args = several)]
    Live(Live),
    /// Check or list rules
    #[command(after_help = RULES_HELP)]
    Rules(Rules),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS_HELP)]
    Completions {
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example:\n  mailsnare man | man -l -")]
    Man,
}

#[derive(Debug, Args)]
pub struct Replay {
    /// Capture files (pcap, pcapng), folders of them, or - for standard input
    #[arg(required = true, value_name = "CAPTURE", value_hint = ValueHint::AnyPath)]
    pub captures: Vec<PathBuf>,

    /// For scripts: exit with 3 when an alert of this severity or a worse one was raised
    #[arg(long, value_name = "SEVERITY", value_parser = named::<Severity>(&["critical", "high", "medium", "low", "info"]))]
    pub fail_on: Option<Severity>,

    /// How to print the summary [default: table]
    #[arg(long, value_name = "FORMAT", value_parser = named::<Format>(&Format::NAMES))]
    pub format: Option<Format>,

    /// Serve /metrics, /healthz and /readyz here while reading [default: off]
    #[arg(long, value_name = "ADDR", value_hint = ValueHint::Hostname)]
    pub metrics: Option<Metrics>,

    /// Write the metrics of the whole run to this file, for node_exporter's textfile collector
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub metrics_textfile: Option<PathBuf>,

    #[command(flatten)]
    pub common: Common,
}

#[derive(Clone, Debug, Args)]
pub struct Live {
    /// Interface to listen on; several may be named, or the option repeated
    #[arg(short, long, num_args = 1.., value_name = "NAME", value_delimiter = ',', value_hint = ValueHint::Other)]
    pub interface: Vec<String>,

    /// Bytes kept of each packet; fewer lose the ends of messages [default: 262144]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(i64::from(config::MIN_SNAPLEN)..=i64::from(config::MAX_SNAPLEN)))]
    pub snaplen: Option<u32>,

    /// Do not switch the interface to promiscuous mode
    #[arg(long)]
    pub no_promiscuous: bool,

    /// Threads that capture on each interface, which share its flows; each has a kernel buffer of its own [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(limits::RINGS)))]
    pub threads: Option<u16>,

    /// Kernel buffer for each capture thread, in MiB [default: 64]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=i64::from(config::MAX_RING_MIB)))]
    pub ring_mib: Option<u32>,

    /// Become this user once the interfaces are open (when started as root) [default: stay as started]
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Username)]
    pub user: Option<String>,

    /// When an interface goes away, end, in place of waiting for it; then no capability at all is kept
    #[arg(long)]
    pub no_reopen: bool,

    /// Keep all rights that it was started with: no change of user, no Landlock, no seccomp
    #[arg(long, conflicts_with = "user")]
    pub no_confinement: bool,

    /// Serve /metrics, /healthz and /readyz here, or off [default: 127.0.0.1:9847]
    #[arg(long, value_name = "ADDR", value_hint = ValueHint::Hostname)]
    pub metrics: Option<Metrics>,

    /// Post incidents to this Alertmanager, as http://127.0.0.1:9093
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub alertmanager: Option<Alertmanager>,

    #[command(flatten)]
    pub common: Common,
}

/// What `replay` and `live` share.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Configuration file (TOML) with the same settings; what is typed here wins
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Rule file or folder in place of the built-in rules; may be repeated
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub rules: Vec<PathBuf>,

    /// Network of the hosts we answer for, which alone are judged; may be repeated [default: private IPv4 ranges, fc00::/7, fe80::/10]
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = config::network, value_hint = ValueHint::Other)]
    pub home_net: Vec<IpNet>,

    /// Network of hosts allowed to send mail straight to the world; may be repeated
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = config::network, value_hint = ValueHint::Other)]
    pub mail_server: Vec<IpNet>,

    /// Write events and alerts to this file as EVE JSON lines, or - for standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub eve: Option<Destination>,

    /// EVE types to write, separated by commas: alert, incident, smtp, fileinfo, dns:mx, dns, flow, anomaly, stats
    /// [default: all but dns and flow]
    #[arg(long, value_name = "LIST", value_parser = config::events, value_hint = ValueHint::Other)]
    pub events: Option<EventFilter>,

    /// Read only packets that pass this filter (pcap-filter syntax)
    #[arg(long, value_name = "FILTER", value_hint = ValueHint::Other)]
    pub bpf: Option<String>,

    /// Threads that inspect messages [default: cores minus one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(config::MAX_WORKERS)))]
    pub workers: Option<u16>,

    /// Memory that may be held in all, as 256MiB; past its share each table gives up what is worth least [default: 1GiB]
    #[arg(long, value_name = "SIZE", value_hint = ValueHint::Other)]
    pub memory: Option<Memory>,

    /// Send alerts and incidents to syslog too: unix (/dev/log), unix:PATH, or udp://HOST:PORT
    #[arg(long, value_name = "TARGET", value_hint = ValueHint::Other)]
    pub syslog: Option<SyslogTarget>,

    /// Leave out subjects, links, names and replies, and hash the local parts of mail addresses, in everything written
    #[arg(long)]
    pub privacy: bool,

    /// File with the key of those hashes, 16 bytes or more [default: a new key each run]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub privacy_key_file: Option<PathBuf>,

    /// Write attachments and archive members to this folder, named by their SHA-256
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub extract: Option<PathBuf>,

    /// Write a capture for each incident to this folder: the host's mail and DNS packets, without credentials
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub evidence: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Rules {
    #[command(subcommand)]
    pub command: RulesCommand,
}

#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Check rule files and run their tests; exit with 1 when anything is wrong
    #[command(after_help = CHECK_HELP)]
    Check {
        /// Rule files or folders [default: the built-in rules]
        #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
        paths: Vec<PathBuf>,
    },
    /// List what is looked for
    #[command(after_help = "Examples:\n  mailsnare rules list\n  mailsnare rules list --rules my-rules/ --format json")]
    List {
        /// How to print them [default: table]
        #[arg(long, value_name = "FORMAT", value_parser = named::<Format>(&Format::NAMES))]
        format: Option<Format>,

        /// Rule file or folder in place of the built-in rules; may be repeated
        #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
        rules: Vec<PathBuf>,
    },
}

/// Lets a repeatable option take several values at once: no capture file could be mistaken for one of them here.
fn several(option: Arg) -> Arg {
    match option.get_id().as_str() {
        "rules" | "home_net" | "mail_server" => option.num_args(1..),
        _ => option,
    }
}

/// A parser for a value that is one of `names`, so that help and completions list them.
fn named<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = String> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| name.parse::<T>())
}

const AFTER_HELP: &str = "\
Examples:
  mailsnare replay trace.pcap                     who is infected in it
  mailsnare live --interface eth1 --eve eve.json  watch a mirror port
  mailsnare rules check my-rules/                 check rules before use

Exit codes:
  0  done
  1  could not do it; standard error says what, where, and what to do
  2  wrong usage
  3  an alert reached the severity of --fail-on

'mailsnare <COMMAND> --help' tells more about a command.";

const REPLAY_HELP: &str = "\
Examples:
  mailsnare replay trace.pcap
  mailsnare replay captures/ --home-net 192.0.2.0/24 --eve eve.json
  tcpdump -r old.pcap -w - | mailsnare replay - --format json
  mailsnare replay trace.pcap --fail-on high      exit code 3 when it is bad
  mailsnare replay trace.pcap --eve - | jq 'select(.event_type == \"alert\")'

The summary goes to standard output, unless EVE lines go there (--eve -).
If no host is named, see whether --home-net covers yours.";

const LIVE_HELP: &str = "\
Examples:
  mailsnare live --interface eth1 --eve /var/log/mailsnare/eve.json
  mailsnare live -i eth1 --home-net 192.0.2.0/24 --mail-server 192.0.2.25
  mailsnare live -i eth1 eth2 --threads 4 --user mailsnare
  mailsnare live --config /etc/mailsnare/mailsnare.toml

Rights. Capturing takes CAP_NET_RAW. Start it as root with --user NAME: it
becomes that user once the interfaces are open. Or start it as a plain user,
after
  sudo setcap cap_net_raw=ep /usr/local/bin/mailsnare
Then it confines itself: no capability but CAP_NET_RAW (which re-opens an
interface that comes back; --no-reopen gives that up too), no file but those
named in its settings, no system call that it has no use for. What the kernel
could not offer is logged.

Signals.
  SIGHUP           re-opens the EVE file; reads the rules and --config again.
                   What is broken leaves the old in force, and is logged with
                   file, line and what is wrong. Settings that need a restart
                   are named.
  SIGTERM, SIGINT  finish what is under way, print the summary, exit with 0.
                   A second one, half a second later or more, ends it at once
                   with 1: when a reader of its lines is stuck.

Interfaces. One that goes down, is renamed or deleted is logged, counted
(mailsnare_interface_outages_total, mailsnare_interface_up) and looked for
until it is back, at least every 30 seconds. The others go on.

Threads. --threads is for links that one core cannot follow: see whether
mailsnare_kernel_drops_total grows. Both directions of a flow go to the same
thread. Not for links of VXLAN, Geneve or GTP-U, where that cannot be.

Filters. A filter on ports misses packets with VLAN tags: write it twice, as
'port 25 or (vlan and port 25)'. None is needed: other traffic costs little.

Under systemd use Type=notify and WatchdogSec=30; the Debian package brings
such a unit. docs/live.md tells more, docs/first-page.md leads from the package
to the first page (installed, they are in /usr/share/doc/mailsnare/docs).";

const RULES_HELP: &str = "\
Examples:
  mailsnare rules list                      what the built-in rules look for
  mailsnare rules check my-rules/           check rules of your own
  mailsnare live -i eth1 --rules my-rules/  use them, not the built-in ones

How rules are written stands in rules/README.md.";

const CHECK_HELP: &str = "\
Examples:
  mailsnare rules check my-rules/
  mailsnare rules check worm.toml

What is wrong is told as
  worm.toml:11:1: unknown field `subjct`; hint: did you mean `subject`?";

const COMPLETIONS_HELP: &str = "\
Example:
  mailsnare completions bash > /etc/bash_completion.d/mailsnare";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn examples_fit_a_terminal() {
        let mut commands = vec![Cli::command()];
        while let Some(command) = commands.pop() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.lines().all(|line| line.chars().count() < 80), "{help}");
            commands.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn an_option_after_which_a_capture_may_follow_takes_one_value() {
        let typed = ["mailsnare", "replay", "--home-net", "10.0.0.0/8", "a.pcap", "--home-net=::/0,192.0.2.1"];
        let Command::Replay(replay) = Cli::try_parse_from(typed).unwrap().command else { panic!("not replay") };
        assert_eq!((replay.captures, replay.common.home_net.len()), (vec!["a.pcap".into()], 3));
    }

    #[test]
    fn where_no_capture_may_follow_options_take_several() {
        let typed =
            ["mailsnare", "live", "-i", "eth0", "eth1", "--home-net", "10.0.0.0/8", "::/0", "--interface", "lo"];
        let Command::Live(live) = Cli::try_parse_from(typed).unwrap().command else { panic!("not live") };
        assert_eq!((live.interface, live.common.home_net.len()), (vec!["eth0".into(), "eth1".into(), "lo".into()], 2));
    }
}
