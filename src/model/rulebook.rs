//! What the correlator asks of a rule set: facts about a rule that hit, and which rules a name asked for meets.
//!
//! The trait stands here because `correlator` and `detect` may not import `rules`; the rule set implements it.

use super::alert::Severity;
use super::mail::RuleHit;
use super::net::Direction;

/// A rule set, as far as correlation needs one. A rule is known by its index, as in [`RuleHit::rule`].
pub trait RuleBook {
    /// What a rule says of itself; none for an index that is not in the set.
    fn describe(&self, rule: usize) -> Option<RuleFacts<'_>>;

    /// How bad a hit is when it goes this way.
    fn severity(&self, rule: usize, direction: Direction) -> Severity;

    /// The rules a DNS question for `name` meets, in the set's order.
    fn match_dns(&self, name: &str, direction: Direction) -> Vec<RuleHit>;
}

/// A rule's words and numbers.
#[derive(Clone, Copy, Debug)]
pub struct RuleFacts<'a> {
    pub id: &'a str,
    pub sid: u32,
    pub rev: u32,
    pub title: &'a str,
    pub category: &'a str,
    pub references: &'a [String],
    pub remediation: &'a str,
    /// Whether a host that sends what this rule describes is thereby known to be infected (category `worm`).
    pub marks_infection: bool,
}

/// The empty rule set: behaviour alone is judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRules;

impl RuleBook for NoRules {
    fn describe(&self, _rule: usize) -> Option<RuleFacts<'_>> {
        None
    }

    fn severity(&self, _rule: usize, _direction: Direction) -> Severity {
        Severity::Info
    }

    fn match_dns(&self, _name: &str, _direction: Direction) -> Vec<RuleHit> {
        Vec::new()
    }
}
