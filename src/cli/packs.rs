//! Rule files as the configuration and the command line name them.

use std::path::PathBuf;

use super::Failure;
use crate::config::Config;
use crate::detect::Detectors;
use crate::detect::about::about;
use crate::model::settings::DetectSettings;
use crate::rules::{RuleError, RuleSet};

/// Reads the rules that the configuration names.
///
/// # Errors
/// Every fault of every file; a wish to ignore what does not exist.
pub fn load(config: &Config) -> Result<RuleSet, Failure> {
    let rules = match &config.rules {
        None => RuleSet::builtin(),
        Some(paths) => read(paths)?,
    };
    for rule in rules.rules() {
        for hash in rule.hashes().into_iter().filter(|hash| !config.inspect.wants(*hash)) {
            tracing::warn!(
                "{}:{}: rule {} asks for a hash ({}) that hashes in [inspect] leaves out: by that it cannot match",
                rule.file,
                rule.line,
                rule.id,
                hash.name()
            );
        }
    }
    let known: Vec<&str> =
        Detectors::names().iter().copied().chain(rules.rules().iter().map(|rule| rule.id.as_str())).collect();
    let unknown = config.ignore.iter().find(|wish| !known.contains(&wish.detector.as_str()));
    match unknown {
        Some(wish) => {
            let what = crate::config::unknown("detector or rule", &wish.detector, &known);
            Err(Failure::Failed(format!("[[ignore]] in the configuration: {what}")))
        }
        None => Ok(rules),
    }
}

/// Reads rule files and folders.
///
/// # Errors
/// Every fault of every file; a rule that calls itself as a detector does.
pub fn read(paths: &[PathBuf]) -> Result<RuleSet, Failure> {
    let rules = RuleSet::load(paths).map_err(|errors| Failure::Failed(sentences(&errors)))?;
    // Their alerts could not be told apart, nor one of them ignored without the other.
    let detectors = about(&DetectSettings::default());
    let taken = rules.rules().iter().filter_map(|rule| {
        let detector = detectors.iter().find(|detector| detector.name == rule.id || detector.sid == Some(rule.sid))?;
        let what = if detector.name == rule.id { format!("id {}", rule.id) } else { format!("sid {}", rule.sid) };
        let message = format!("{what} is that of the detector {}", detector.name);
        let hint = "give the rule one of its own; 'mailsnare rules list' shows the detectors".to_owned();
        Some(RuleError { file: rule.file.clone(), line: rule.line, column: 1, message, hint })
    });
    let errors: Vec<_> = taken.collect();
    if errors.is_empty() { Ok(rules) } else { Err(Failure::Failed(sentences(&errors))) }
}

/// Faults of rule files, one a line.
fn sentences(errors: &[RuleError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
