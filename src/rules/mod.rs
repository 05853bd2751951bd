//! Rules: files written by hand, compiled into one immutable matcher, held against messages and DNS questions.
//!
//! `source` reads TOML with the place of every value; `parse`, `condition`, `words` and `test_case` turn it into
//! rules and their tests, telling every fault; `sample` builds the tests' messages. `matcher` holds a rule's tree of
//! conditions against a `field::Context`, which reads each field of a message once, when first asked for; `text`
//! and `file` have the tests themselves; `names` keeps DNS questions cheap. `rules/README.md` is the reference for
//! those who write rules.

mod condition;
mod field;
mod file;
mod matcher;
mod names;
mod parse;
mod sample;
mod source;
mod test_case;
mod text;
mod words;

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use field::Subject;
pub use source::RuleError;
pub use test_case::RuleTest;

use field::Context;
use matcher::Condition;
use names::NameFilter;
use parse::Claim;
use source::{Source, suggestion};
use test_case::TestDraft;

use crate::model::alert::Severity;
use crate::model::limits::RULE_FILE_BYTES;
use crate::model::mail::RuleHit;
use crate::model::net::Direction;
use crate::model::rulebook::{RuleBook, RuleFacts};
use crate::model::settings::HashKind;

/// The packs built into the binary, by name and text.
pub const BUILTIN: &[(&str, &str)] = &[
    ("rules/bagle.toml", include_str!("../../rules/bagle.toml")),
    ("rules/bugbear.toml", include_str!("../../rules/bugbear.toml")),
    ("rules/klez.toml", include_str!("../../rules/klez.toml")),
    ("rules/mass-mailers.toml", include_str!("../../rules/mass-mailers.toml")),
    ("rules/mimail-c.toml", include_str!("../../rules/mimail-c.toml")),
    ("rules/mimail-variants.toml", include_str!("../../rules/mimail-variants.toml")),
    ("rules/mydoom.toml", include_str!("../../rules/mydoom.toml")),
    ("rules/netsky.toml", include_str!("../../rules/netsky.toml")),
    ("rules/sober.toml", include_str!("../../rules/sober.toml")),
    ("rules/sobig.toml", include_str!("../../rules/sobig.toml")),
    ("rules/storm.toml", include_str!("../../rules/storm.toml")),
    ("rules/swen.toml", include_str!("../../rules/swen.toml")),
    ("rules/zafi.toml", include_str!("../../rules/zafi.toml")),
];

/// A compiled set of rules. The default is the empty set, which matches nothing.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    tests: Vec<RuleTest>,
    /// Rules about messages.
    mail: Vec<usize>,
    names: NameFilter,
}

/// A rule: what it is called, how bad its match is, what to do about it, and (within) what it matches.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Stable name, kebab-case.
    pub id: String,
    /// Stable number (EVE's `signature_id`).
    pub sid: u32,
    pub rev: u32,
    /// One line for people.
    pub title: String,
    pub severity: Severities,
    pub category: String,
    pub references: Vec<String>,
    pub remediation: String,
    /// The family its file is about; empty when the file names none.
    pub family: String,
    /// Where it stands.
    pub file: String,
    pub line: usize,
    /// True when it is about DNS questions, false when about messages.
    pub asks_dns: bool,
    condition: Condition,
    /// Noted as evidence when the rule matches and they hold too; they decide nothing.
    marks: Vec<Condition>,
}

/// How bad a match is, by the direction it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Severities([Severity; condition::DIRECTIONS.len()]);

impl Severities {
    pub fn of(&self, direction: Direction) -> Severity {
        let at = condition::DIRECTIONS.iter().position(|&known| known == direction);
        at.and_then(|at| self.0.get(at)).copied().unwrap_or(Severity::Info)
    }

    /// The one severity, when it is the same in every direction.
    pub fn uniform(&self) -> Option<Severity> {
        self.0.iter().all(|severity| *severity == self.0[0]).then_some(self.0[0])
    }
}

impl Rule {
    /// Hashes of files that it asks for: where they are not computed, that part of it never holds.
    pub fn hashes(&self) -> Vec<HashKind> {
        let mut kinds = Vec::new();
        self.condition.visit_marks(&mut |mark| {
            if let Condition::File(test) = mark {
                kinds.extend(test.hashes().filter(|kind| !kinds.contains(kind)).collect::<Vec<_>>());
            }
        });
        kinds
    }

    /// How bad a match is that went this way.
    pub fn severity(&self, direction: Direction) -> Severity {
        self.severity.of(direction)
    }
}

impl RuleSet {
    /// The rules built into the binary. A test makes sure that they compile.
    pub fn builtin() -> Self {
        let sources: Vec<_> = BUILTIN.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Self::from_sources(&sources).unwrap_or_default()
    }

    /// Reads rule files, and the `*.toml` files of folders (not of folders within), by name.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn load(paths: &[PathBuf]) -> Result<Self, Vec<RuleError>> {
        let (sources, mut errors) = read_files(paths);
        match Self::from_sources(&sources) {
            Ok(set) if errors.is_empty() => Ok(set),
            Ok(_) => Err(errors),
            Err(more) => {
                errors.extend(more);
                Err(errors)
            }
        }
    }

    /// Compiles rules from texts, each with the name its faults are told under. Rules keep the order of their files
    /// and their order within them.
    ///
    /// # Errors
    /// Every fault of every text, by text and place. An id or sid used twice is a fault, across texts too.
    pub fn from_sources(sources: &[(String, String)]) -> Result<Self, Vec<RuleError>> {
        let mut files: Vec<_> = sources.iter().map(|(name, text)| (name.as_str(), parse::parse(name, text))).collect();
        tell_repeats(&mut files, "id", |file| &file.ids);
        tell_repeats(&mut files, "sid", |file| &file.sids);
        tell_strangers(&mut files);
        let mut errors = Vec::new();
        let (mut rules, mut tests) = (Vec::new(), Vec::new());
        for (_, mut file) in files {
            file.errors.sort_by_key(|error| (error.line, error.column));
            errors.append(&mut file.errors);
            tests.extend(file.tests.into_iter().map(|draft| finished(draft, &file.rules)));
            rules.append(&mut file.rules);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mail = rules.iter().enumerate().filter(|(_, rule)| !rule.asks_dns).map(|(at, _)| at).collect();
        let names = NameFilter::new(&rules);
        Ok(Self { rules, tests, mail, names })
    }

    /// All rules; hits name them by index.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The tests the packs bring along.
    pub fn tests(&self) -> &[RuleTest] {
        &self.tests
    }

    /// The rules a message matches, in the set's order, with the evidence.
    pub fn evaluate(&self, subject: &Subject<'_>) -> Vec<RuleHit> {
        let context = Context::of_mail(subject);
        self.mail.iter().filter_map(|&index| self.hit(index, &context)).collect()
    }

    /// The rules a DNS question matches. `name` is in presentation form.
    pub fn evaluate_dns(&self, name: &str, direction: Direction) -> Vec<RuleHit> {
        let candidates = self.names.candidates(name);
        if candidates.is_empty() {
            return Vec::new();
        }
        let context = Context::of_dns(name, direction);
        candidates.into_iter().filter_map(|index| self.hit(index, &context)).collect()
    }

    /// Whether any rule asks for DNS names.
    pub fn wants_dns(&self) -> bool {
        !self.names.is_empty()
    }

    fn hit(&self, index: usize, context: &Context<'_>) -> Option<RuleHit> {
        let rule = self.rules.get(index).filter(|rule| rule.condition.holds(context))?;
        let mut evidence = Vec::new();
        rule.condition.explain_held(context, &mut evidence);
        rule.marks.iter().for_each(|mark| mark.explain(context, &mut evidence));
        Some(RuleHit { rule: index, evidence })
    }
}

/// What the correlator asks.
impl RuleBook for RuleSet {
    fn describe(&self, rule: usize) -> Option<RuleFacts<'_>> {
        let rule = self.rules.get(rule)?;
        Some(RuleFacts {
            id: &rule.id,
            sid: rule.sid,
            rev: rule.rev,
            title: &rule.title,
            category: &rule.category,
            references: &rule.references,
            remediation: &rule.remediation,
            marks_infection: rule.category == WORM,
        })
    }

    fn severity(&self, rule: usize, direction: Direction) -> Severity {
        self.rules.get(rule).map_or(Severity::Info, |rule| rule.severity(direction))
    }

    fn match_dns(&self, name: &str, direction: Direction) -> Vec<RuleHit> {
        self.evaluate_dns(name, direction)
    }
}

/// The category of rules whose match, on a message a host sends, means that the host is infected.
const WORM: &str = "worm";

/// Notes every id (or sid) that an earlier rule has.
fn tell_repeats<T: std::hash::Hash + Eq + Clone + std::fmt::Display>(
    files: &mut [(&str, parse::File)],
    key: &str,
    claims: impl Fn(&parse::File) -> &[Claim<T>],
) {
    let mut owners: HashMap<T, (String, usize)> = HashMap::new();
    for (name, file) in files {
        let mut repeats = Vec::new();
        for Claim { value, line, column } in claims(file) {
            if let Some((owner, at)) = owners.get(value) {
                repeats.push(RuleError {
                    file: (*name).to_owned(),
                    line: *line,
                    column: *column,
                    message: format!("{key} {value} is taken by the rule at {owner}:{at}"),
                    hint: format!("give each rule {} of its own", if key == "id" { "an id" } else { "a sid" }),
                });
            } else {
                owners.insert(value.clone(), ((*name).to_owned(), *line));
            }
        }
        file.errors.append(&mut repeats);
    }
}

/// Notes every id a test names that no rule has.
fn tell_strangers(files: &mut [(&str, parse::File)]) {
    let known: Vec<String> = files.iter().flat_map(|(_, file)| &file.ids).map(|id| id.value.clone()).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    for (name, file) in files {
        for named in file.tests.iter().flat_map(|draft| &draft.named) {
            if !known.contains(&named.value.as_str()) {
                file.errors.push(RuleError {
                    file: (*name).to_owned(),
                    line: named.line,
                    column: named.column,
                    message: format!("no rule is called `{}`", named.value.escape_debug()),
                    hint: suggestion(&named.value, &known),
                });
            }
        }
    }
}

/// A test with `*` replaced by what it stands for.
fn finished(draft: TestDraft, rules: &[Rule]) -> RuleTest {
    let mut test = draft.test;
    if draft.none_of_file {
        let others = rules.iter().map(|rule| &rule.id).filter(|id| !test.expect_match.contains(id));
        test.expect_no_match.extend(others.cloned());
    }
    test
}

/// The only input: the texts of the files, and what could not be read.
fn read_files(paths: &[PathBuf]) -> (Vec<(String, String)>, Vec<RuleError>) {
    let (mut sources, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        let files = match files_of(path) {
            Ok(files) => files,
            Err(error) => {
                errors.push(RuleError::of_file(path.display().to_string(), format!("cannot be read: {error}"), CHECK));
                continue;
            }
        };
        if files.is_empty() {
            let hint = "name a folder with *.toml files, or a file";
            errors.push(RuleError::of_file(path.display().to_string(), "there are no rule files in it", hint));
        }
        for file in files {
            let name = file.display().to_string();
            match read_file(&file) {
                Ok(bytes) => match decoded(&name, bytes) {
                    Ok(text) => sources.push((name, text)),
                    Err(error) => errors.push(error),
                },
                Err(error) => errors.push(RuleError::of_file(name, format!("cannot be read: {error}"), CHECK)),
            }
        }
    }
    (sources, errors)
}

fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "toml") && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(RULE_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > RULE_FILE_BYTES {
        return Err(io::Error::other(format!("it has more than {RULE_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

fn decoded(name: &str, bytes: Vec<u8>) -> Result<String, RuleError> {
    String::from_utf8(bytes).map_err(|error| {
        let (sound, _) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let sound = String::from_utf8_lossy(sound);
        let (line, column) = Source::new(name, &sound).position(sound.len());
        let hint = "save the file as UTF-8".to_owned();
        RuleError { file: name.to_owned(), line, column, message: "a byte that is not UTF-8".to_owned(), hint }
    })
}

const CHECK: &str = "check the path and its permissions";

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str, sid: u32) -> String {
        format!(
            "[[rule]]\nid = \"{id}\"\nsid = {sid}\nrev = 1\ntitle = \"t\"\nseverity = \"low\"\ncategory = \"c\"\n\
             remediation = \"r\"\nmatch.helo = \"h\"\n"
        )
    }

    fn faults(sources: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> = sources.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        RuleSet::from_sources(&sources).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_built_in_set_is_whole() {
        let set = RuleSet::builtin();
        let ids: Vec<_> = set.rules().iter().map(|rule| rule.id.as_str()).collect();
        assert!(["mimail-c", "mimail-c-exfiltration", "mimail-c-dos"].iter().all(|id| ids.contains(id)), "{ids:?}");
        assert!(set.wants_dns() && !set.tests().is_empty());
        let worm = set.rules().iter().find(|rule| rule.id == "mimail-c").unwrap();
        assert_eq!(worm.severity(Direction::Inbound), Severity::High);
        assert_eq!(worm.severity(Direction::Outbound), Severity::Critical);
        assert_eq!(worm.severity(Direction::Internal), Severity::Critical);
        assert!(worm.remediation.contains("MS03-014") && worm.family == "Mimail");
    }

    #[test]
    fn names_and_numbers_are_used_once_across_files() {
        let (one, other) = (rule("a", 1), rule("a", 1) + &rule("b", 1));
        assert_eq!(
            faults(&[("one", &one), ("other", &other)]),
            [
                "other:2:6: id a is taken by the rule at one:2; hint: give each rule an id of its own",
                "other:3:7: sid 1 is taken by the rule at one:3; hint: give each rule a sid of its own",
                "other:12:7: sid 1 is taken by the rule at one:3; hint: give each rule a sid of its own",
            ]
        );
    }

    #[test]
    fn faults_of_all_files_are_told_in_order() {
        let told = faults(&[("b", "x = 1\n[[rule]]\n"), ("a", "[")]);
        let places: Vec<_> = told.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
        assert_eq!(places[0], "b:1:1");
        assert!(places[1..places.len() - 1].iter().all(|place| *place == "b:2:1"), "{places:?}");
        assert!(places.last().unwrap().starts_with("a:1:"), "{places:?}");
    }

    #[test]
    fn a_test_may_name_rules_of_other_files_but_not_strangers() {
        let one = rule("rule-one", 1)
            + &rule("rule-two", 2)
            + "[[test]]\nname = \"t\"\nmatch = \"rule-three\"\nno_match = \"*\"\n";
        let other = rule("rule-three", 3);
        let sources = [("one".to_owned(), one.clone()), ("other".to_owned(), other)];
        let set = RuleSet::from_sources(&sources).unwrap();
        assert_eq!(set.tests()[0].expect_match, ["rule-three"]);
        assert_eq!(set.tests()[0].expect_no_match, ["rule-one", "rule-two"], "the test's own file");
        assert_eq!(
            faults(&[("one", &one)]),
            ["one:21:9: no rule is called `rule-three`; hint: use one of rule-one, rule-two"]
        );
    }

    #[test]
    fn a_rule_that_must_match_is_not_among_those_that_must_not() {
        let text = rule("a", 1) + &rule("b", 2) + "[[test]]\nname = \"t\"\nmatch = [\"b\"]\nno_match = [\"*\"]\n";
        let set = RuleSet::from_sources(&[("f".to_owned(), text)]).unwrap();
        assert_eq!(set.tests()[0].expect_no_match, ["a"]);
    }

    #[test]
    fn folders_give_their_own_toml_files_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        fs::create_dir(folder.path().join("prometheus")).unwrap();
        fs::create_dir(folder.path().join("folder.toml")).unwrap();
        write("prometheus/c.toml", "broken");
        write("b.toml", &rule("b", 2));
        write("a.toml", &rule("a", 1));
        write("README.md", "broken");
        let set = RuleSet::load(&[folder.path().to_owned()]).unwrap();
        assert_eq!(set.rules().iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let set = RuleSet::load(&[folder.path().join("b.toml")]).unwrap();
        assert_eq!(set.rules()[0].file, folder.path().join("b.toml").display().to_string());
    }

    #[test]
    fn what_cannot_be_read_is_told_beside_the_faults_of_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("latin.toml"), b"a = 1\nb = '\xe4'\n").unwrap();
        fs::write(path("broken.toml"), "a = 1\n").unwrap();
        fs::create_dir(path("empty")).unwrap();
        let paths = [path("missing.toml"), path("empty"), path("latin.toml"), path("broken.toml")];
        let told: Vec<_> = RuleSet::load(&paths).unwrap_err();
        let told: Vec<_> = told.iter().map(|error| (error.line, error.column, error.message.as_str())).collect();
        let [missing, empty, latin, broken] = told[..] else { panic!("{told:?}") };
        assert!(missing.2.starts_with("cannot be read: No such file"), "{missing:?}");
        assert_eq!(empty.2, "there are no rule files in it");
        assert_eq!(latin, (2, 6, "a byte that is not UTF-8"));
        assert_eq!((broken.0, broken.1), (1, 1));
    }

    #[test]
    fn sets_are_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<RuleSet>();
    }
}
