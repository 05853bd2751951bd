//! Who infected whom, out of the evidence of all hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use super::words::{plain, wrapped};
use super::{Style, figure};
use crate::model::alert::Figure;
use crate::model::report::{HostReport, Report};

/// A tree of those that passed something on, each with the message that brought it; none when nothing is known.
pub(super) fn chain(report: &Report, style: Style) -> Option<String> {
    let steps: BTreeMap<IpAddr, Step<'_>> =
        report.hosts.iter().filter_map(|host| Some((host.host, Step::of(host)?))).collect();
    let mut caught: BTreeMap<&str, Vec<IpAddr>> = BTreeMap::new();
    for (host, step) in &steps {
        caught.entry(step.by).or_default().push(*host);
    }
    let is_root = |by: &str| by.parse().map_or(true, |by: IpAddr| !steps.contains_key(&by));
    let roots = caught.keys().copied().filter(|by| is_root(by));
    let mut text = String::new();
    let mut told = BTreeSet::new();
    // Two that name each other hang on no root: they are told from the one with the lower address.
    let loops = steps.values().map(|step| step.by);
    for root in roots.chain(loops) {
        // Depth first, without recursion: a chain may be as long as there are hosts.
        let mut open: Vec<(usize, IpAddr)> = children(&caught, root, 1, &told);
        if !open.is_empty() {
            let _ = write!(text, "\n  {}", plain(root));
        }
        while let Some((depth, host)) = open.pop() {
            let Some(step) = steps.get(&host).filter(|_| told.insert(host)) else { continue };
            if told.len() <= SHOWN {
                let blanks = 2 + 2 * depth.min(DEEPEST);
                let _ = write!(text, "\n{}{host}: {}", " ".repeat(blanks), step.text());
            }
            open.extend(children(&caught, &host.to_string(), depth + 1, &told));
        }
    }
    if told.len() > SHOWN {
        let _ = write!(text, "\n  and {} more", told.len() - SHOWN);
    }
    let lines = text.lines().map(|line| wrapped(line, 8, style.width)).collect::<Vec<_>>();
    (!told.is_empty()).then(|| format!("Who infected whom, by the file that was passed on:{}", lines.join("\n")))
}

/// Those that `by` infected and that were not told yet, the first to be told last in the list.
fn children(
    caught: &BTreeMap<&str, Vec<IpAddr>>,
    by: &str,
    depth: usize,
    told: &BTreeSet<IpAddr>,
) -> Vec<(usize, IpAddr)> {
    let hosts = caught.get(by).map(Vec::as_slice).unwrap_or_default();
    hosts.iter().rev().filter(|host| !told.contains(host)).map(|host| (depth, *host)).collect()
}

/// How one host came by what it sends.
struct Step<'a> {
    by: &'a str,
    at: &'a str,
    file: &'a str,
    recipient: &'a str,
    subject: &'a str,
    /// The message went to the host itself, and not to a server it may have been fetched from.
    direct: bool,
}

impl<'a> Step<'a> {
    fn of(host: &'a HostReport) -> Option<Self> {
        host.evidence.iter().find_map(|evidence| {
            let text = |name| match figure(evidence, name) {
                Some(Figure::Text(text)) => Some(text.as_str()),
                _ => None,
            };
            Some(Self {
                by: text("infected_by")?,
                at: text("brought_at").unwrap_or_default(),
                file: text("file").unwrap_or_default(),
                recipient: text("brought_for").unwrap_or_default(),
                subject: text("brought_subject").unwrap_or_default(),
                direct: text("brought_directly") == Some("yes"),
            })
        })
    }

    fn text(&self) -> String {
        // As the rest of the summary shows times.
        let at = self.at.get(.."2003-10-31T09:02:16".len()).unwrap_or(self.at).replace('T', " ");
        let how = if self.direct { "by" } else { "most likely by" };
        let [file, recipient, subject] = [self.file, self.recipient, self.subject].map(plain);
        let subject = subject.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{how} \"{file}\" in the message of {at} UTC to <{recipient}>, subject \"{subject}\"")
    }
}

/// Hosts told in the text; the JSON has all.
const SHOWN: usize = 50;
/// Steps in from the margin at most.
const DEEPEST: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::alert::Evidence;
    use crate::output::summary::tests::outbreak;

    fn report(pairs: &[(&str, &str)]) -> Report {
        let clean = outbreak().hosts.remove(1);
        let host = |(by, host): &(&str, &str)| {
            let figures = [
                ("infected_by", *by),
                ("brought_at", "2003-10-31T09:02:16.207129+0000"),
                ("file", "photos.zip"),
                ("brought_for", "anna@example.org"),
                ("brought_subject", "our   photos"),
                ("brought_directly", "yes"),
            ];
            let figures = figures.map(|(name, text)| (name, Figure::Text(text.into()))).to_vec();
            let evidence = Evidence { source: "self-propagation".into(), text: String::new(), figures };
            HostReport { host: host.parse().unwrap(), evidence: vec![evidence], ..clean.clone() }
        };
        Report { hosts: pairs.iter().map(host).collect(), ..Report::default() }
    }

    fn shape(pairs: &[(&str, &str)]) -> Vec<String> {
        let text = chain(&report(pairs), Style::default()).unwrap_or_default();
        text.lines().skip(1).map(|line| line.split(": ").next().unwrap().to_owned()).collect()
    }

    #[test]
    fn three_generations_hang_on_the_one_outside() {
        let pairs = [
            ("10.0.0.6", "10.0.0.7"),
            ("203.0.113.50", "10.0.0.5"),
            ("10.0.0.5", "10.0.0.6"),
            ("10.0.0.5", "10.0.0.9"),
        ];
        assert_eq!(
            shape(&pairs),
            ["  203.0.113.50", "    10.0.0.5", "      10.0.0.6", "        10.0.0.7", "      10.0.0.9"]
        );
        let text = chain(&report(&pairs[1..2]), Style::default()).unwrap();
        let line = "    10.0.0.5: by \"photos.zip\" in the message of 2003-10-31 09:02:16 UTC to <anna@example.org>, \
                    subject \"our photos\"";
        assert!(text.ends_with(line), "{text}");
    }

    #[test]
    fn each_is_told_once_also_in_a_circle_and_nothing_of_nobody() {
        assert_eq!(chain(&report(&[]), Style::default()), None);
        let circle = shape(&[("10.0.0.6", "10.0.0.5"), ("10.0.0.5", "10.0.0.6")]);
        assert_eq!(circle, ["  10.0.0.6", "    10.0.0.5", "      10.0.0.6"]);
        let many: Vec<(String, String)> = (0..400)
            .map(|n| (format!("10.0.{}.{}", n / 250, n % 250), format!("10.0.{}.{}", (n + 1) / 250, (n + 1) % 250)))
            .collect();
        let pairs: Vec<(&str, &str)> = many.iter().map(|(by, host)| (by.as_str(), host.as_str())).collect();
        let shape = shape(&pairs);
        assert_eq!((shape.len(), shape.last().unwrap().as_str()), (SHOWN + 2, "  and 350 more"));
    }
}
