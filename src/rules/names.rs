//! Which rules could match a DNS name: one look over the name for all of them.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::Rule;

/// Finds the few rules worth evaluating for a name.
#[derive(Clone, Debug, Default)]
pub(super) struct NameFilter {
    /// Words that names must have for some rule to match, in either case.
    words: Option<AhoCorasick>,
    /// The rules behind each word.
    rules: Vec<Vec<usize>>,
    /// Rules nothing can be said about beforehand: expressions, negations.
    always: Vec<usize>,
}

impl NameFilter {
    pub fn new(rules: &[Rule]) -> Self {
        let mut filter = Self::default();
        let mut words: Vec<String> = Vec::new();
        for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.asks_dns) {
            let Some(literals) = rule.condition.dns_literals() else {
                filter.always.push(index);
                continue;
            };
            for literal in literals {
                let literal = literal.to_ascii_lowercase();
                match words.iter().position(|word| *word == literal) {
                    Some(at) => filter.rules[at].push(index),
                    None => {
                        words.push(literal);
                        filter.rules.push(vec![index]);
                    }
                }
            }
        }
        if !words.is_empty() {
            let built = AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .match_kind(MatchKind::Standard)
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(&words);
            match built {
                Ok(words) => filter.words = Some(words),
                // More words than an automaton holds: evaluate all, rather than miss any.
                Err(_) => filter.always = (0..rules.len()).filter(|&index| rules[index].asks_dns).collect(),
            }
        }
        filter
    }

    /// Whether no rule asks for names.
    pub fn is_empty(&self) -> bool {
        self.words.is_none() && self.always.is_empty()
    }

    /// The rules to evaluate, in order. Allocates nothing when there are none.
    pub fn candidates(&self, name: &str) -> Vec<usize> {
        let mut found = self.always.clone();
        if let Some(words) = &self.words {
            let behind = |at: usize| self.rules.get(at).map(Vec::as_slice).unwrap_or_default();
            words.find_overlapping_iter(name).for_each(|hit| found.extend(behind(hit.pattern().as_usize())));
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
