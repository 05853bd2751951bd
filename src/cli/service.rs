//! The service manager: told when packets are read, when settings are read anew, when it ends; and, as long as the
//! pipeline moves, that it lives (sd_notify(3), systemd.service(5): `Type=notify`, `WatchdogSec=`).

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::pipeline::Pulse;

/// What tells systemd; without systemd it tells nobody.
#[derive(Debug)]
pub struct Service {
    watchdog: Option<Watchdog>,
    /// That it cannot be told was said.
    complained: bool,
}

/// When the watchdog is fed: twice in its period, and only when every source made a step since.
#[derive(Debug)]
struct Watchdog {
    pause: Duration,
    fed: Instant,
    seen: Vec<u64>,
}

impl Service {
    /// As the environment says: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    pub fn new() -> Self {
        let watchdog = sd_notify::watchdog_enabled().map(|period| Watchdog::new(period, Instant::now()));
        Self { watchdog, complained: false }
    }

    /// Packets are read, or settings have been read anew.
    pub fn ready(&mut self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Settings are being read anew.
    pub fn reloading(&mut self) {
        // The time is asked for by `Type=notify-reload`.
        let mut states = vec![NotifyState::Reloading];
        states.extend(NotifyState::monotonic_usec_now());
        self.tell(&states);
    }

    /// It ends; what is under way is finished first.
    pub fn stopping(&mut self) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status("finishing what is under way")]);
    }

    /// Called from the last stage of the pipeline, often: that it comes here shows that all stages before it move.
    pub fn feed(&mut self, pulse: &Pulse) {
        let due = self.watchdog.as_mut().is_some_and(|watchdog| watchdog.is_due(Instant::now(), pulse));
        if due {
            self.tell(&[NotifyState::Watchdog]);
        }
    }

    fn tell(&mut self, states: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(states)
            && !self.complained
        {
            self.complained = true;
            tracing::warn!("the service manager cannot be told of our state: {error}");
        }
    }
}

impl Watchdog {
    fn new(period: Duration, now: Instant) -> Self {
        Self { pause: period / 2, fed: now, seen: Vec::new() }
    }

    fn is_due(&mut self, now: Instant, pulse: &Pulse) -> bool {
        let due = now.duration_since(self.fed) >= self.pause && pulse.all_moved(&mut self.seen);
        if due {
            self.fed = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::capture::{CaptureError, Source, Step};
    use crate::config::{Config, Layer};
    use crate::correlator::Said;
    use crate::model::event::Event;
    use crate::model::mail::Findings;
    use crate::model::stats::CaptureStats;
    use crate::model::time::Timestamp;
    use crate::pipeline::{self, Audience, Pressure, SharedRules, View};
    use crate::rules::RuleSet;

    /// Two wires, on which nothing happens; one of them gets stuck after so many steps.
    struct Stuck<'a>(usize, &'a AtomicBool);

    impl Source for Stuck<'_> {
        fn next(&mut self) -> Result<Step<'_>, CaptureError> {
            while self.0 == 0 && !self.1.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(1));
            self.0 = self.0.saturating_sub(1);
            Ok(if self.1.load(Ordering::Relaxed) { Step::End } else { Step::Idle(Timestamp::default()) })
        }

        fn stats(&mut self) -> CaptureStats {
            CaptureStats::default()
        }
    }

    /// Pretends that a second passes between pauses; counts how often it fed, and pauses since.
    struct Feeder<'a> {
        watchdog: Watchdog,
        now: Instant,
        stop: &'a AtomicBool,
        fed: usize,
        starved: usize,
    }

    impl Audience for Feeder<'_> {
        fn hear(&mut self, _: &Event, _: Option<&Findings>, _: &[Said], _: &View<'_>) {}

        fn hear_said(&mut self, _: &[Said]) {}

        fn pause(&mut self, view: &View<'_>) {
            self.now += Duration::from_secs(1);
            if self.watchdog.is_due(self.now, view.pulse) {
                (self.fed, self.starved) = (self.fed + 1, 0);
            } else {
                self.starved += 1;
            }
            // More pauses than steps that move could leave unfed.
            self.stop.fetch_or(self.starved > 20 || self.fed > MANY, Ordering::Relaxed);
        }
    }

    #[test]
    fn one_source_that_is_stuck_starves_the_watchdog() {
        let stop = AtomicBool::new(false);
        let now = Instant::now();
        let watchdog = Watchdog::new(Duration::from_secs(2), now);
        let mut feeder = Feeder { watchdog, now, stop: &stop, fed: 0, starved: 0 };
        let plan = super::super::outputs::plan(&Config::new(Layer::default(), None, 2), None, Pressure::Shed);
        let sources = vec![Stuck(usize::MAX, &stop), Stuck(500, &stop)];
        pipeline::run(sources, plan, &SharedRules::new(RuleSet::builtin()), &stop, None, &mut feeder);
        // That it starved is what ended the run.
        assert!((1..MANY).contains(&feeder.fed), "{}", feeder.fed);
    }

    const MANY: usize = 5_000;
}
