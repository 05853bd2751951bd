//! Classic thresholds, as baselines: each flags a host at the moment its count is reached.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use mailsnare::model::event::{Event, EventKind, QTYPE_MX};
use mailsnare::model::net::{Direction, HomeNet};
use mailsnare::model::time::Timestamp;

/// Their names in the table.
pub const NAMES: [&str; 3] = ["ET 2000328", "ET 2003330", "one MX lookup"];

/// Emerging Threats' sid 2000328 and 2003330 and Whyte's single lookup, as published.
#[derive(Default)]
pub struct Baselines {
    home: HomeNet,
    rules: [Threshold; 3],
}

/// So many within so long.
#[derive(Default)]
struct Threshold {
    recent: BTreeMap<IpAddr, VecDeque<Timestamp>>,
    flagged: BTreeMap<IpAddr, Timestamp>,
}

impl Baselines {
    /// Takes an event as the sensor raises it.
    pub fn see(&mut self, event: &Event) {
        let Some(flow) = event.flow.as_deref() else { return };
        let (client, server) = (flow.client.ip().to_canonical(), flow.server.ip().to_canonical());
        let direction = self.home.direction(client, server);
        let [mail_from, questions, lookup] = &mut self.rules;
        match &event.kind {
            EventKind::Smtp(smtp)
                if smtp.envelope.is_some() && flow.server.port() == 25 && direction == Direction::Outbound =>
            {
                mail_from.count(client, smtp.started, 10, Duration::from_secs(120));
            }
            EventKind::Dns(message) if !message.is_response() && self.home.contains(client) => {
                if !message.queries.iter().any(|query| query.qtype == QTYPE_MX) {
                    return;
                }
                lookup.count(client, event.time, 1, Duration::ZERO);
                if !message.over_tcp {
                    questions.count(client, event.time, 30, Duration::from_secs(10));
                }
            }
            _ => {}
        }
    }

    /// When each flagged whom first.
    pub fn flags(&self) -> impl Iterator<Item = (&'static str, &BTreeMap<IpAddr, Timestamp>)> {
        NAMES.into_iter().zip(self.rules.iter().map(|rule| &rule.flagged))
    }
}

impl Threshold {
    fn count(&mut self, host: IpAddr, now: Timestamp, count: usize, within: Duration) {
        let recent = self.recent.entry(host).or_default();
        recent.push_back(now);
        while recent.front().is_some_and(|first| now.since(*first) > within) {
            recent.pop_front();
        }
        if recent.len() >= count {
            self.flagged.entry(host).or_insert(now);
        }
    }
}
