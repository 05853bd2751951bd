//! Who else is told of alerts and incidents as they come: syslog, Alertmanager.

use std::time::Duration;

use super::Failure;
use crate::config::Config;
use crate::model::alert::{Alert, Incident};
use crate::model::eve_type::{EventFilter, EventType};
use crate::model::event::Event;
use crate::model::mail::Findings;
use crate::output::eve::{Origin, Renderer};
use crate::output::metrics::Metrics;
use crate::output::notify::alertmanager::{Pager, Poster};
use crate::output::notify::syslog::{self, Syslog};
use crate::pipeline::courier::Courier;

/// Those who are told; nobody by default.
pub struct Told {
    syslog: Option<(Syslog, Renderer)>,
    courier: Option<Courier>,
}

impl Told {
    /// Opens what the configuration asks for.
    ///
    /// # Errors
    /// Syslog cannot be reached, or no thread can be had.
    pub fn open(config: &Config, origin: &Origin) -> Result<Self, Failure> {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let live = matches!(origin, Origin::Live(_));
        let patience = (!live).then_some(PATIENCE);
        let syslog = config.syslog.as_ref().map(|target| {
            let filter = EventFilter::NONE.with(EventType::Alert).with(EventType::Incident);
            let syslog = Syslog::open(target.clone(), &name, patience);
            syslog.map(|syslog| (syslog, Renderer::new(filter, origin.clone())))
        });
        let syslog = syslog.transpose().map_err(|error| Failure::Failed(error.to_string()))?;
        let courier = config.alertmanager.as_ref().filter(|_| live).map(|place| {
            let mut poster = Poster::new(&place.0);
            Courier::start(Pager::new(name.clone()), move |body| poster.post(body))
        });
        let courier = courier.transpose();
        let courier = courier.map_err(|error| Failure::Failed(format!("cannot start a thread: {error}")))?;
        Ok(Self { syslog, courier })
    }

    /// Tells an alert, with what it was raised on.
    pub fn alert(&mut self, alert: &Alert, cause: Option<(&Event, Option<&Findings>)>) {
        let Some((syslog, renderer)) = &mut self.syslog else { return };
        let (mut whole, mut bare) = (Vec::new(), Vec::new());
        renderer.alert(alert, cause, &mut whole);
        renderer.alert(alert, None, &mut bare);
        let sentence = alert.evidence.first().map_or(alert.title.as_str(), |evidence| evidence.text.as_str());
        let texts = [text(&whole), text(&bare), sentence, alert.title.as_str()];
        syslog.send(&syslog::alert(alert, texts.to_vec()));
    }

    /// Tells an incident. One that is closed only because the capture is over says nothing of its host, so Alertmanager
    /// is not told of that.
    pub fn incident(&mut self, incident: &Incident, capture_is_over: bool) {
        if let Some((syslog, renderer)) = &mut self.syslog {
            let mut whole = Vec::new();
            renderer.incident(incident, &mut whole);
            let brief = Incident { evidence: Vec::new(), timeline: Vec::new(), ..incident.clone() };
            let mut bare = Vec::new();
            renderer.incident(&brief, &mut bare);
            syslog.send(&syslog::incident(incident, vec![text(&whole), text(&bare)]));
        }
        if let Some(courier) = self.courier.as_ref().filter(|_| !capture_is_over) {
            courier.tell(incident);
        }
    }

    /// Brings the counters up to date.
    pub fn count(&self, metrics: &Metrics) {
        if let Some((syslog, _)) = &self.syslog {
            metrics.update_notifications("syslog", &syslog.stats());
        }
        if let Some(courier) = &self.courier {
            metrics.update_notifications(ALERTMANAGER, &courier.stats());
            metrics.set_queue(ALERTMANAGER, courier.waiting());
        }
    }

    /// Tells what is still to be told.
    pub fn finish(&mut self, metrics: &Metrics) {
        self.count(metrics);
        if let Some(courier) = self.courier.take() {
            let stats = courier.finish();
            metrics.update_notifications(ALERTMANAGER, &stats);
            metrics.set_queue(ALERTMANAGER, 0);
        }
    }
}

fn text(line: &[u8]) -> &str {
    std::str::from_utf8(line).unwrap_or_default()
}

/// How long a replay waits for a syslog that is busy.
const PATIENCE: Duration = Duration::from_secs(1);
const ALERTMANAGER: &str = "alertmanager";
