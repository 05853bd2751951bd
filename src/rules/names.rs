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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::model::net::Direction;
    use crate::rules::RuleSet;

    fn set(conditions: &[&str]) -> RuleSet {
        let rule = |(at, condition): (usize, &&str)| {
            format!(
                "[[rule]]\nid = \"r{at}\"\nsid = {}\nrev = 1\ntitle = \"t\"\nseverity = \"low\"\ncategory = \"c\"\n\
                 remediation = \"r\"\nmatch = {{ {condition} }}\n",
                at + 1
            )
        };
        let text = conditions.iter().enumerate().map(rule).collect();
        RuleSet::from_sources(&[("f".to_owned(), text)]).unwrap()
    }

    fn hits(set: &RuleSet, name: &str) -> Vec<usize> {
        set.evaluate_dns(name, Direction::Outbound).into_iter().map(|hit| hit.rule).collect()
    }

    const CONDITIONS: [&str; 8] = [
        "dns.name = [\"evil.example\", \"Worse.Example\"]",
        "dns.name = { ends_with = \".evil.example\" }",
        "dns.name = { glob = \"mx?.*.test\" }",
        "dns.name = { regex = '^[a-f0-9]{8}\\.' }",
        "not = { dns.name = { contains = \"a\" } }, direction = \"outbound\"",
        "dns.name = { starts_with = \"www.\" }, direction = \"inbound\"",
        "all = [{ dns.name = { contains = \"ex\" } }, { dns.name = { contains = \"am\", case = true } }]",
        "at_least = { count = 2, of = [{ dns.name = { contains = \"mail\" } }, { dns.name = { contains = \"smtp\" } }] }",
    ];

    #[test]
    fn names_find_their_rules() {
        let set = set(&CONDITIONS);
        assert!(set.wants_dns());
        for (name, rules) in [
            ("evil.example", &[0, 6][..]),
            ("EVIL.example.", &[0, 6]),
            ("worse.example", &[0, 6]),
            ("x.evil.example", &[1, 6]),
            ("mx1.google.test", &[2, 4]),
            ("00ff00ff.test", &[3, 4]),
            ("mail.smtp.a", &[7]),
            ("www.a", &[]),
            ("EXAMPLE.A", &[]),
            (".", &[4]),
            ("", &[4]),
        ] {
            assert_eq!(hits(&set, name), rules, "{name}");
        }
        let hit = &set.evaluate_dns("EVIL.example.", Direction::Outbound)[0];
        assert_eq!(hit.evidence, ["dns.name \"EVIL.example\""]);
    }

    #[test]
    fn without_rules_about_names_none_is_wanted() {
        let set = set(&["helo = \"x\""]);
        assert!(!set.wants_dns());
        assert_eq!(hits(&set, "x"), [0; 0]);
        assert!(!RuleSet::default().wants_dns());
    }

    /// Conditions of any shape over words that overlap, in either case, alone and in trees.
    fn any_condition() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            Just("evil"),
            Just("EVIL.example"),
            Just("vil"),
            Just(".ex"),
            Just("am"),
            Just("mx"),
            Just("x"),
            Just("a.b"),
            Just("\\\\032"),
        ];
        let test = (0..7_u8, word.clone(), word, any::<bool>()).prop_map(|(kind, one, other, case)| {
            let text = match kind {
                0 => format!("equals = \"{one}\""),
                1 => format!("one_of = [\"{one}\", \"{other}\"]"),
                2 => format!("contains = \"{one}\""),
                3 => format!("starts_with = \"{one}\", ends_with = \"{other}\""),
                4 => format!("glob = \"*{one}?{other}*\""),
                5 => format!("glob = \"{{{one},{other}}}*\""),
                _ => format!("regex = '^{}'", one.replace('\\', "")),
            };
            format!("{{ dns.name = {{ {text}, case = {case} }} }}")
        });
        test.prop_recursive(3, 12, 3, |inner| {
            let list = prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.join(", "));
            prop_oneof![
                list.clone().prop_map(|list| format!("{{ all = [{list}] }}")),
                list.clone().prop_map(|list| format!("{{ any = [{list}] }}")),
                list.prop_map(|list| format!("{{ at_least = {{ count = 1, of = [{list}] }} }}")),
                inner.prop_map(|one| format!("{{ not = {one} }}")),
            ]
        })
    }

    proptest! {
        /// The same for rules of any shape.
        #[test]
        fn the_filter_hides_nothing_whatever_the_rules(
            conditions in prop::collection::vec(any_condition(), 1..6),
            name in "(evil|EVIL|Evil\\.example|vil|mx|x|a\\.b|\\\\032|am|\\.ex|\\.|[a-zA-Z]){0,6}",
        ) {
            let all: Vec<String> = conditions.iter().map(|condition| format!("all = [{condition}]")).collect();
            let set = set(&all.iter().map(String::as_str).collect::<Vec<_>>());
            let bare = super::super::field::Context::of_dns(&name, Direction::Outbound);
            let every: Vec<usize> = (0..all.len()).filter(|&at| set.rules()[at].condition.holds(&bare)).collect();
            prop_assert_eq!(hits(&set, &name), every);
        }

        /// What the filter leaves out would not have matched.
        #[test]
        fn the_filter_hides_nothing(name in "(www\\.)?(mx1|mail|smtp|[a-fA-F0-9]{8}|x)?(\\.(EVIL|evil|worse|b))?\\.(example|test|EX|am)\\.?") {
            let set = set(&CONDITIONS);
            let bare = super::super::field::Context::of_dns(&name, Direction::Outbound);
            let all: Vec<usize> = (0..CONDITIONS.len()).filter(|&at| set.rules()[at].condition.holds(&bare)).collect();
            prop_assert_eq!(hits(&set, &name), all);
        }
    }
}
