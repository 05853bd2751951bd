//! What was typed and what the configuration file says, made into one.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;

use super::{Failure, args};
use crate::config::{Config, Destination, Format, Layer, LogLevel, MAX_SNAPLEN, RING_MIB};
use crate::model::alert::Severity;

/// All that `replay` needs to know.
#[derive(Clone, Debug)]
pub struct Replay {
    pub captures: Vec<PathBuf>,
    pub fail_on: Option<Severity>,
    pub format: Format,
    pub log_level: LogLevel,
    pub config: Config,
}

/// All that `live` needs to know.
#[derive(Clone, Debug)]
pub struct Live {
    /// At least one.
    pub interfaces: Vec<String>,
    pub snaplen: u32,
    pub promiscuous: bool,
    pub ring_mib: u32,
    /// Capture threads of each interface.
    pub threads: u16,
    /// Whom to become once the interfaces are open.
    pub user: Option<String>,
    /// Look for an interface that went away.
    pub reopen: bool,
    /// Give up what rights are not needed.
    pub confine: bool,
    pub log_level: LogLevel,
    pub config: Config,
}

impl Replay {
    /// Lays the command line over the configuration file, if one is named.
    ///
    /// # Errors
    /// The file cannot be used, or two settings exclude each other.
    pub fn new(typed: args::Replay, log_level: Option<LogLevel>) -> Result<Self, Failure> {
        let args::Replay { captures, fail_on, format, metrics, metrics_textfile, common } = typed;
        let file = file(&common)?;
        let layer = Layer { fail_on, format, metrics, metrics_textfile, log_level, ..shared(common) }.over(file);
        if layer.format == Some(Format::Json) && layer.eve == Some(Destination::Stdout) {
            return Err(Failure::Usage(
                "--eve - and --format json both want standard output; give --eve a file".to_owned(),
            ));
        }
        no_mail_itself(&layer)?;
        Ok(Self {
            captures,
            fail_on: layer.fail_on,
            format: layer.format.unwrap_or_default(),
            log_level: layer.log_level.unwrap_or_default(),
            config: Config::new(layer, None, cores()),
        })
    }
}

impl Live {
    /// Lays the command line over the configuration file, if one is named.
    ///
    /// # Errors
    /// The file cannot be used, or no interface is named in either place.
    pub fn new(typed: args::Live, log_level: Option<LogLevel>) -> Result<Self, Failure> {
        let file = file(&typed.common)?;
        let typed = Layer {
            interface: given(typed.interface),
            snaplen: typed.snaplen,
            no_promiscuous: typed.no_promiscuous.then_some(true),
            ring_mib: typed.ring_mib,
            threads: typed.threads,
            user: typed.user,
            no_reopen: typed.no_reopen.then_some(true),
            no_confinement: typed.no_confinement.then_some(true),
            metrics: typed.metrics,
            alertmanager: typed.alertmanager,
            log_level,
            ..shared(typed.common)
        };
        let layer = typed.over(file);
        let interfaces = layer.interface.clone().unwrap_or_default();
        if interfaces.is_empty() {
            return Err(Failure::Usage(
                "no interface to listen on; name one with --interface, as --interface eth0 ('ip link' lists them)"
                    .to_owned(),
            ));
        }
        each_once(&interfaces)?;
        no_mail_itself(&layer)?;
        if layer.no_confinement == Some(true) && layer.user.is_some() {
            return Err(Failure::Usage(
                "--user and --no-confinement exclude each other: the one gives rights up, the other keeps them"
                    .to_owned(),
            ));
        }
        let sources = interfaces.len() * usize::from(layer.threads.unwrap_or(1));
        Ok(Self {
            interfaces,
            snaplen: layer.snaplen.unwrap_or(MAX_SNAPLEN),
            promiscuous: !layer.no_promiscuous.unwrap_or_default(),
            ring_mib: layer.ring_mib.unwrap_or(RING_MIB),
            threads: layer.threads.unwrap_or(1),
            user: layer.user.clone(),
            reopen: !layer.no_reopen.unwrap_or_default(),
            confine: !layer.no_confinement.unwrap_or_default(),
            log_level: layer.log_level.unwrap_or_default(),
            config: Config::new(layer, Some(METRICS), cores()).for_sources(sources).map_err(Failure::Usage)?,
        })
    }
}

fn file(common: &args::Common) -> Result<Layer, Failure> {
    match &common.config {
        Some(path) => Layer::load(path).map_err(|error| Failure::Failed(error.to_string())),
        None => Ok(Layer::default()),
    }
}

/// What is heard twice is counted twice, and every message would be told as two.
fn each_once(interfaces: &[String]) -> Result<(), Failure> {
    let again =
        interfaces.iter().enumerate().find(|(at, name)| interfaces.iter().take(*at).any(|other| other == *name));
    if let Some((_, name)) = again {
        return Err(Failure::Usage(format!("the interface '{name}' is named twice; name each once")));
    }
    if interfaces.len() > 1 && interfaces.iter().any(|name| name == EVERY) {
        return Err(Failure::Usage(format!(
            "'{EVERY}' listens on every interface already; name it alone, or leave it out"
        )));
    }
    Ok(())
}

/// Attachments and packets hold more of people's mail than all that `privacy` leaves out.
fn no_mail_itself(layer: &Layer) -> Result<(), Failure> {
    let written = match (&layer.extract, &layer.evidence) {
        (Some(_), _) => "--extract writes their attachments",
        (_, Some(_)) => "--evidence writes their packets",
        (None, None) => return Ok(()),
    };
    if layer.privacy == Some(true) {
        let why = format!("--privacy leaves people's mail out, and {written}; leave out one of them");
        return Err(Failure::Usage(why));
    }
    Ok(())
}

fn shared(common: args::Common) -> Layer {
    Layer {
        rules: given(common.rules),
        home_net: given(common.home_net),
        mail_server: given(common.mail_server),
        eve: common.eve,
        events: common.events,
        bpf: common.bpf,
        workers: common.workers,
        memory: common.memory,
        syslog: common.syslog,
        privacy: common.privacy.then_some(true),
        privacy_key_file: common.privacy_key_file,
        extract: common.extract,
        evidence: common.evidence,
        ..Layer::default()
    }
}

/// A repeatable option that was not given leaves the place to the configuration file.
fn given<T>(values: Vec<T>) -> Option<Vec<T>> {
    (!values.is_empty()).then_some(values)
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Libpcap's name for all interfaces together.
const EVERY: &str = "any";

/// Where `live` serves metrics unless told otherwise: this machine only.
const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9847);

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::Parser;

    use super::*;

    fn replay(typed: &[&str]) -> Result<Replay, Failure> {
        let cli = args::Cli::try_parse_from([&["mailsnare", "replay"], typed].concat()).unwrap();
        match cli.command {
            args::Command::Replay(typed) => Replay::new(typed, cli.log_level),
            other => panic!("{other:?}"),
        }
    }

    fn live(typed: &[&str]) -> Result<Live, Failure> {
        let cli = args::Cli::try_parse_from([&["mailsnare", "live"], typed].concat()).unwrap();
        match cli.command {
            args::Command::Live(typed) => Live::new(typed, cli.log_level),
            other => panic!("{other:?}"),
        }
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let file = file("workers = 2\nfail-on = \"low\"\neve = \"file.json\"\nhome-net = \"192.0.2.0/24\"\n");
        let path = file.path().to_str().unwrap();
        let settings =
            replay(&["a.pcap", "--config", path, "--workers", "5", "--home-net", "198.51.100.0/24"]).unwrap();
        assert_eq!((settings.config.workers, settings.fail_on), (5, Some(Severity::Low)));
        assert_eq!(settings.config.eve, Some(Destination::File("file.json".into())));
        assert!(settings.config.home_net.contains("198.51.100.1".parse().unwrap()));
        assert!(!settings.config.home_net.contains("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn metrics_are_on_for_live_and_off_for_replay() {
        assert_eq!(replay(&["a.pcap"]).unwrap().config.metrics, None);
        assert_eq!(live(&["-i", "eth0"]).unwrap().config.metrics, Some("127.0.0.1:9847".parse().unwrap()));
        assert_eq!(live(&["-i", "eth0", "--metrics", "off"]).unwrap().config.metrics, None);
    }

    #[test]
    fn interfaces_come_from_either_place() {
        let file = file("interface = [\"eth0\", \"eth1\"]\nno-promiscuous = true\n");
        let path = file.path().to_str().unwrap();
        let settings = live(&["--config", path]).unwrap();
        assert_eq!((settings.interfaces, settings.promiscuous), (vec!["eth0".to_owned(), "eth1".into()], false));
        assert_eq!(live(&["--config", path, "-i", "lo"]).unwrap().interfaces, ["lo"]);
        assert!(matches!(live(&[]), Err(Failure::Usage(why)) if why.contains("--interface")));
    }

    #[test]
    fn an_interface_is_listened_on_once() {
        for (typed, complaint) in [
            (&["-i", "eth0", "eth1", "eth0"][..], "the interface 'eth0' is named twice; name each once"),
            (&["-i", "eth0,any"], "'any' listens on every interface already; name it alone, or leave it out"),
        ] {
            assert_eq!(live(typed).map(|_| ()), Err(Failure::Usage(complaint.to_owned())));
        }
        let file = file("interface = [\"lo\", \"lo\"]\n");
        assert!(matches!(live(&["--config", file.path().to_str().unwrap()]), Err(Failure::Usage(_))));
        assert!(live(&["-i", "any"]).is_ok());
    }

    #[test]
    fn memory_is_shared_by_all_that_capture() {
        let typed = ["-i", "eth0", "eth1", "--threads", "2", "--memory", "128MiB"];
        let config = live(&typed).unwrap().config;
        assert_eq!((config.shares().flows, config.shares().hosts), (125_000 / 4, 12_500));
        let Err(Failure::Usage(why)) = live(&[&typed[..6], &["64MiB"]].concat()) else { panic!("took it") };
        assert!(why.contains("--memory 80MiB"), "{why}");
        assert!(replay(&["a.pcap", "--memory", "32MiB"]).is_ok());
    }

    #[test]
    fn standard_output_has_one_use() {
        let both = replay(&["a.pcap", "--eve", "-", "--format", "json"]);
        assert!(matches!(both, Err(Failure::Usage(why)) if why.contains("standard output")));
        assert!(replay(&["a.pcap", "--eve", "-"]).is_ok());
    }

    #[test]
    fn privacy_and_extraction_exclude_each_other() {
        for what in ["--extract", "--evidence"] {
            let both = replay(&["a.pcap", "--privacy", what, "out"]);
            assert!(matches!(both, Err(Failure::Usage(why)) if why.contains(what) && why.contains("leave out one")));
        }
        let file = file("privacy = true\nprivacy-key-file = \"key\"\nsyslog = \"udp://192.0.2.1\"\n");
        let config = replay(&["a.pcap", "--config", file.path().to_str().unwrap()]).unwrap().config;
        assert!(config.privacy && config.syslog.is_some());
        assert_eq!(config.privacy_key_file, Some("key".into()));
    }

    #[test]
    fn a_broken_file_is_a_failure_and_no_wrong_usage() {
        let file = file("worker = 1\n");
        let path = file.path().to_str().unwrap();
        let Err(Failure::Failed(why)) = replay(&["a.pcap", "--config", path]) else { panic!("took it") };
        assert_eq!(why, format!("{path}:1:1: unknown key 'worker'; did you mean 'workers'?"));
    }
}
