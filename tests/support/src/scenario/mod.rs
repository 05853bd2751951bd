//! Scenarios: files that describe a network, who mails on it and how, and what a sensor must say of it.
//!
//! [`Plan`] is such a file; [`Scenario::play`] makes packets of it, in memory. A worm is a way of behaving and nothing
//! more: every family is a file that turns the same few knobs.

mod letter;
mod plan;
mod play;
mod world;

use std::path::{Path, PathBuf};
use std::{fs, io};

pub use plan::{AlertPlan, Expect, Plan};
pub use play::Outcome;

/// A scenario with its name.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its file's name without `.toml`; its seed, too.
    pub name: String,
    pub plan: Plan,
}

impl Scenario {
    /// Reads one.
    ///
    /// # Errors
    /// The place and what is wrong there.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let plan = toml::from_str(text).map_err(|error| format!("{name}.toml: {error}"))?;
        Ok(Self { name: name.into(), plan })
    }

    /// All of a folder, by name.
    ///
    /// # Errors
    /// What could not be read, and why.
    pub fn all(folder: &Path) -> Result<Vec<Self>, String> {
        let told = |error: io::Error| format!("{}: {error}", folder.display());
        let entries = fs::read_dir(folder).map_err(told)?.collect::<Result<Vec<_>, _>>().map_err(told)?;
        let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
        files.sort();
        let read = |file: &PathBuf| {
            let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            Self::parse(&name, &text)
        };
        files.iter().map(read).collect()
    }

    /// The packets it makes, and who sent what when.
    pub fn play(&self) -> Outcome {
        play::play(&self.name, &self.plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORM: &str = r#"
about = "a worm"
[[mailer]]
host = "pc1"
sessions = 12
every = 3
unknown = 0.5
letter = { from = "james@{domain}", subject = "photos {word}", text = "Hello.", attach = [{ name = "p.zip", zip = [{ name = "p.exe", program = 300 }] }] }
[expect]
infected = ["pc1"]
"#;

    #[test]
    fn what_was_sent_is_what_the_file_says() {
        let outcome = Scenario::parse("w", WORM).unwrap().play();
        assert_eq!(outcome.attempts["pc1"].len(), 12);
        let worm: Vec<_> = outcome.sample.truth.transactions.iter().filter(|sent| sent.kind == "worm").collect();
        assert_eq!(worm.len(), 12);
        let refused = worm.iter().filter(|sent| sent.outcome == "rejected").count();
        assert!((2..11).contains(&refused), "{refused} refused of about six");
        for sent in worm {
            assert_eq!(
                sent.mail_from.split('@').nth(1),
                sent.rcpt_to.iter().chain(&sent.rcpt_rejected).next().unwrap().split('@').nth(1)
            );
        }
    }

    #[test]
    fn one_seed_one_capture() {
        let scenario = Scenario::parse("w", WORM).unwrap();
        assert_eq!(scenario.play().sample.packets, scenario.play().sample.packets);
        let other = Scenario { name: "other".into(), ..scenario.clone() };
        assert_ne!(scenario.play().sample.packets, other.play().sample.packets);
    }

    #[test]
    fn unknown_keys_are_errors_with_their_place() {
        let error = Scenario::parse("w", &WORM.replace("every", "evry")).unwrap_err();
        assert!(error.contains("w.toml") && error.contains("evry") && error.contains("line 6"), "{error}");
    }
}
