//! Settings and rules read anew while the sensor runs (SIGHUP).

use super::{Failure, args, outputs, packs, settings};
use crate::config::{Config, LogLevel};
use crate::mail::privacy::Privacy;
use crate::model::eve_type::EventType;
use crate::model::memory::Shares;
use crate::model::settings::SensorSettings;
use crate::pipeline::{Policy, Pressure};
use crate::rules::RuleSet;

/// What was typed, and what is running: all that is needed to read the settings again.
pub struct Reload {
    typed: args::Live,
    log_level: Option<LogLevel>,
    running: settings::Live,
    /// With the key of this run, so that hashes stay comparable.
    privacy: Option<Privacy>,
}

/// What can be put in force at once.
pub struct Fresh {
    pub rules: RuleSet,
    pub policy: Policy,
    pub config: Config,
    /// Settings that have changed and are only heeded at the next start, by the names they have in the file.
    pub unheeded: Vec<&'static str>,
}

impl Reload {
    /// What was typed, and what runs now.
    pub fn new(
        typed: args::Live,
        log_level: Option<LogLevel>,
        running: settings::Live,
        privacy: Option<Privacy>,
    ) -> Self {
        Self { typed, log_level, running, privacy }
    }

    /// Reads the configuration file and the rules again. Nothing is changed by it.
    ///
    /// # Errors
    /// Something is broken: the file, with line and column; a rule file, with all that is wrong in it.
    pub fn read(&self) -> Result<Fresh, Failure> {
        let fresh = settings::Live::new(self.typed.clone(), self.log_level)?;
        let rules = packs::load(&fresh.config).map_err(|error| self.within_reach(&fresh, error))?;
        let mut config = fresh.config.clone();
        // Whether attachments are kept is bound to the folder they are written to.
        config.inspect.keep_content = self.running.config.inspect.keep_content;
        let plan = outputs::plan(&config, self.privacy.clone(), Pressure::Shed);
        let policy = Policy { inspector: plan.inspector, correlator: plan.correlator };
        Ok(Fresh { rules, policy, unheeded: unheeded(&self.running, &fresh), config })
    }
}

impl Reload {
    /// Adds to what is said of rules at another place that the sensor cannot get there any more.
    fn within_reach(&self, fresh: &settings::Live, error: Failure) -> Failure {
        if !self.running.confine || self.running.config.rules == fresh.config.rules {
            return error;
        }
        let why =
            "rules at another place than at the start can be read only after a restart, since the sensor is confined";
        Failure::Failed(format!("{error}; {why}"))
    }
}

/// The settings that differ and are bound to what was opened or made at the start.
fn unheeded(running: &settings::Live, fresh: &settings::Live) -> Vec<&'static str> {
    let (was, is) = (&running.config, &fresh.config);
    let asked = |config: &Config| [EventType::Dns, EventType::Flow].map(|kind| config.events.has(kind));
    let differs = [
        ("interface", running.interfaces != fresh.interfaces),
        ("snaplen", running.snaplen != fresh.snaplen),
        ("no-promiscuous", running.promiscuous != fresh.promiscuous),
        ("ring-mib", running.ring_mib != fresh.ring_mib),
        ("threads", running.threads != fresh.threads),
        ("user", running.user != fresh.user),
        ("no-reopen", running.reopen != fresh.reopen),
        ("no-confinement", running.confine != fresh.confine),
        ("log-level", running.log_level != fresh.log_level),
        ("bpf", was.bpf != is.bpf),
        ("eve", was.eve != is.eve),
        ("extract", was.extract != is.extract),
        ("evidence", was.evidence != is.evidence),
        ("privacy", was.privacy != is.privacy),
        ("privacy-key-file", was.privacy_key_file != is.privacy_key_file),
        ("alertmanager", was.alertmanager != is.alertmanager),
        ("syslog", was.syslog != is.syslog),
        ("metrics", was.metrics != is.metrics),
        ("workers", was.workers != is.workers),
        ("dns or flow in events", asked(was) != asked(is)),
        ("memory", was.memory != is.memory),
        ("[[group]]", was.groups != is.groups),
        ("[sensor]", file_part(&was.sensor) != file_part(&is.sensor)),
    ];
    differs.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}

/// The settings of a sensor that are its own, not those that follow from `events`.
fn file_part(settings: &SensorSettings) -> SensorSettings {
    let shares = Shares::default();
    SensorSettings { flow_records: false, all_dns: false, keep_packets_of: None, shares, ..settings.clone() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;

    fn typed(options: &[&str]) -> args::Live {
        let cli = args::Cli::try_parse_from([&["mailsnare", "live", "-i", "lo"], options].concat()).unwrap();
        match cli.command {
            args::Command::Live(typed) => typed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_can_change_is_taken_and_what_cannot_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mailsnare.toml");
        fs::write(&path, "home-net = \"192.0.2.0/24\"\nworkers = 2\nring-mib = 8\n").unwrap();
        let typed = typed(&["--config", path.to_str().unwrap(), "--ring-mib", "4"]);
        let reload = Reload::new(typed.clone(), None, settings::Live::new(typed, None).unwrap(), None);
        assert!(reload.read().unwrap().unheeded.is_empty());

        // What was typed still wins, so the change of the ring is none.
        let text = "home-net = \"198.51.100.0/24\"\nworkers = 3\nring-mib = 16\nevents = [\"alert\", \"flow\"]\n\
                    extract = \"out\"\n[sensor]\nflows = 9\n[detect.mail-volume]\nmessages = 3\n";
        fs::write(&path, text).unwrap();
        let fresh = reload.read().unwrap();
        assert_eq!(fresh.unheeded, ["extract", "workers", "dns or flow in events", "[sensor]"]);
        assert!(fresh.policy.correlator.home.contains("198.51.100.7".parse().unwrap()));
        assert_eq!(fresh.policy.correlator.detect.mail_volume.messages, 3);
        assert!(!fresh.config.inspect.keep_content, "nothing is kept for a folder that is not written to");
    }

    #[test]
    fn what_is_broken_is_told_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let (path, rules) = (dir.path().join("mailsnare.toml"), dir.path().join("rules.toml"));
        fs::write(&path, "workers = 2\n").unwrap();
        let typed = typed(&["--config", path.to_str().unwrap()]);
        let reload = Reload::new(typed.clone(), None, settings::Live::new(typed, None).unwrap(), None);
        for (text, place) in [
            ("worker = 2\n".to_owned(), format!("{}:1:1: unknown key", path.display())),
            (format!("rules = {rules:?}\n"), rules.display().to_string()),
            (format!("rules = {rules:?}\n"), "can be read only after a restart".to_owned()),
            (
                "[[ignore]]\ndetector = \"x\"\nhost = \"::1\"\nreason = \"y\"\n".to_owned(),
                "unknown detector".to_owned(),
            ),
        ] {
            fs::write(&path, text).unwrap();
            let Err(error) = reload.read() else { panic!("took it") };
            assert!(error.to_string().contains(&place), "{error}");
        }
    }
}
