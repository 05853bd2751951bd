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
