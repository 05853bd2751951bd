//! Who else is told of alerts and incidents as they come: syslog, Alertmanager.

use std::time::Duration;

use super::Failure;
use super::stop::no_thread;
use crate::config::{Alertmanager, Config};
use crate::model::alert::{Alert, Incident};
use crate::model::eve_type::{EventFilter, EventType};
use crate::model::event::Event;
use crate::model::mail::Findings;
use crate::output::eve::{Origin, Renderer};
use crate::output::metrics::Metrics;
use crate::output::notify::alertmanager::{Pager, Poster};
use crate::output::notify::syslog::{self, Syslog};
use crate::pipeline::courier::Courier;
use crate::pipeline::lookup::Lookup;

/// Those who are told; nobody by default.
pub struct Told {
    syslog: Option<(Syslog, Renderer)>,
    courier: Option<Courier>,
    /// Where Alertmanager is, until [`Told::begin`].
    alertmanager: Option<Alertmanager>,
    sensor: String,
}

impl Told {
    /// Opens what the configuration asks for. Live, nobody has to be there yet: a sensor is started with its machine, and
    /// must not be the one that is missing because a log or a name server came up later.
    ///
    /// # Errors
    /// A replay's syslog cannot be reached.
    pub fn open(config: &Config, origin: &Origin) -> Result<Self, Failure> {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let live = matches!(origin, Origin::Live(_));
        let syslog = config.syslog.as_ref().map(|target| {
            let filter = EventFilter::NONE.with(EventType::Alert).with(EventType::Incident);
            let syslog = match live {
                true => Ok(Syslog::later(target.clone(), &name)),
                false => Syslog::open(target.clone(), &name, PATIENCE),
            };
            syslog.map(|syslog| (syslog, Renderer::new(filter, origin.clone())))
        });
        let syslog = syslog.transpose().map_err(|error| Failure::Failed(error.to_string()))?;
        let alertmanager = config.alertmanager.clone().filter(|_| live);
        Ok(Self { syslog, courier: None, alertmanager, sensor: name })
    }

    /// Starts the threads of a live sensor. To be called once it is confined: Landlock binds the thread that asks for it
    /// and those it starts later.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn begin(&mut self) -> Result<(), Failure> {
        if let Some(place) = self.alertmanager.take() {
            let mut poster = Poster::new(&place.0);
            let pager = Pager::new(self.sensor.clone());
            self.courier = Some(Courier::start(pager, move |body| poster.post(body)).map_err(no_thread)?);
        }
        if let Some((syslog, _)) = &mut self.syslog {
            if let Some(name) = syslog.name() {
                let mut lookup = Lookup::start(move || name.find()).map_err(no_thread)?;
                syslog.find_by(Box::new(move || lookup.poll()));
            }
            syslog.tend();
        }
        Ok(())
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

    /// Sees to it that those who were away are reached again, and brings the counters up to date.
    pub fn tend(&mut self, metrics: &Metrics) {
        if let Some((syslog, _)) = &mut self.syslog {
            syslog.tend();
            metrics.update_notifications("syslog", &syslog.stats());
        }
        if let Some(courier) = &self.courier {
            metrics.update_notifications(ALERTMANAGER, &courier.stats());
            metrics.set_queue(ALERTMANAGER, courier.waiting());
        }
    }

    /// Tells what is still to be told; gives how much was not, in all.
    pub fn finish(&mut self, metrics: &Metrics) -> u64 {
        self.tend(metrics);
        let mut untold = self.syslog.as_ref().map_or(0, |(syslog, _)| syslog.stats().dropped);
        if let Some(courier) = self.courier.take() {
            let stats = courier.finish();
            metrics.update_notifications(ALERTMANAGER, &stats);
            metrics.set_queue(ALERTMANAGER, 0);
            untold += stats.dropped;
        }
        untold
    }

    /// That syslog did not take all it was to be told, as a sentence.
    pub fn failure(&self) -> Option<String> {
        let (syslog, _) = self.syslog.as_ref().filter(|(syslog, _)| syslog.stats().dropped > 0)?;
        let (target, stats) = (syslog.target(), syslog.stats());
        let all = stats.sent + stats.dropped;
        Some(format!(
            "syslog at {target} did not take {} of {all} messages; see that it listens there, and reads them in time",
            stats.dropped
        ))
    }
}

fn text(line: &[u8]) -> &str {
    std::str::from_utf8(line).unwrap_or_default()
}

/// How long a replay waits for a syslog that is busy.
const PATIENCE: Duration = Duration::from_secs(1);
const ALERTMANAGER: &str = "alertmanager";
