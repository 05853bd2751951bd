//! The whole way: a capture file in, EVE lines and a summary out.

use std::sync::Arc;

use mailsnare::capture::{MemorySource, Source, Step};
use mailsnare::correlator::{Correlator, CorrelatorSettings, Said};
use mailsnare::inspector::Inspector;
use mailsnare::model::eve_type::{EventFilter, EventType};
use mailsnare::model::event::{Event, EventKind};
use mailsnare::model::mail::Findings;
use mailsnare::model::net::HomeNet;
use mailsnare::model::settings::SensorSettings;
use mailsnare::model::stats::InspectStats;
use mailsnare::output::eve::{Origin, Renderer};
use mailsnare::output::summary::{self, Notes, Style};
use mailsnare::rules::RuleSet;
use mailsnare::sensor::Sensor;

use super::mail;

pub fn run(input: &[u8]) {
    // Compression has its own target; here a bomb would only be slow.
    if input.starts_with(&[0x1f, 0x8b]) || input.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return;
    }
    let Ok(mut source) = MemorySource::from_capture(input) else { return };
    thread_local! {
        static RULES: Arc<RuleSet> = Arc::new(RuleSet::builtin());
    }
    let rules = RULES.with(Arc::clone);
    let lines = Replay::run(&mut source, &rules);
    check(&lines);
    source.rewind();
    // Tables are keyed anew each time, so what depended on the order in a table would differ now.
    assert!(Replay::run(&mut source, &rules) == lines, "the same capture, other lines");
}

/// Each line is one object, ends in a line feed, and says what it is and when.
fn check(lines: &[u8]) {
    let text = std::str::from_utf8(lines).expect("lines are UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let kind = value["event_type"].as_str().unwrap_or_else(|| panic!("no event_type: {line}"));
        assert!(EventType::ALL.iter().any(|known| known.name() == kind), "unknown event_type: {line}");
        assert!(value["timestamp"].as_str().is_some_and(|at| at.ends_with("+0000")), "no timestamp: {line}");
    }
}

/// The three stages and the renderer, fed by hand as `pipeline` does.
struct Replay<'r> {
    sensor: Sensor,
    inspector: Inspector,
    correlator: Correlator,
    renderer: Renderer,
    rules: &'r RuleSet,
    inspected: InspectStats,
    said: Vec<Said>,
    next_seq: u64,
    lines: Vec<u8>,
}

impl<'r> Replay<'r> {
    fn run(source: &mut MemorySource, rules: &'r Arc<RuleSet>) -> Vec<u8> {
        // Small tables, so that small captures fill them.
        let sensor = SensorSettings {
            flows: 64,
            message_bytes: 32 << 10,
            flow_records: true,
            all_dns: true,
            ..Default::default()
        };
        let correlator = CorrelatorSettings { hosts: 16, host_entries: 160, ..Default::default() };
        let filter = EventType::ALL.into_iter().fold(EventFilter::NONE, EventFilter::with);
        let mut replay = Self {
            sensor: Sensor::new(sensor, 0),
            inspector: Inspector::new(HomeNet::default(), mail::settings(false)),
            correlator: Correlator::new(correlator, rules.clone()),
            renderer: Renderer::new(filter, Origin::Replay(vec!["fuzz".to_owned()])),
            rules,
            inspected: InspectStats::default(),
            said: Vec::new(),
            next_seq: 0,
            lines: Vec::new(),
        };
        while let Ok(Step::Packet(packet)) = source.next() {
            replay.sensor.packet(&packet);
            replay.hear();
        }
        replay.finish()
    }

    fn hear(&mut self) {
        for mut event in self.sensor.drain() {
            assert_eq!(event.seq, self.next_seq, "events are numbered without gaps");
            self.next_seq += 1;
            let findings = self.inspector.inspect(self.rules, &mut event);
            self.inspected.count(&findings);
            self.renderer.event(&event, Some(&findings), &[], &mut self.lines);
            if let EventKind::Tick(stats) = &event.kind {
                self.renderer.stats(&event, stats, &self.inspected, false, &mut self.lines);
            }
            self.correlator.take(&event, &findings, &mut self.said);
            self.tell(Some((&event, Some(&findings))));
        }
    }

    fn tell(&mut self, cause: Option<(&Event, Option<&Findings>)>) {
        for said in self.said.drain(..) {
            match said {
                Said::Alert(alert) => self.renderer.alert(&alert, cause, &mut self.lines),
                Said::Incident(incident) => self.renderer.incident(&incident, &mut self.lines),
            }
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.sensor.finish();
        self.hear();
        let stats = self.sensor.stats();
        assert_eq!((stats.flow.held_bytes, stats.smtp.held_bytes), (0, 0), "nothing is held at the end");
        assert_eq!((stats.flow.streams, stats.flow.active), (0, 0), "nothing is open at the end");
        self.correlator.finish(&mut self.said);
        self.tell(None);
        let mut report = self.correlator.report();
        report.inspect = self.inspected;
        let json = summary::json(&report, &Notes::default());
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "the summary is JSON: {json}");
        let text = summary::text(&report, &Notes::default(), Style::default());
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\n'),
            "text of the wire drives the terminal: {text:?}"
        );
        self.lines
    }
}
