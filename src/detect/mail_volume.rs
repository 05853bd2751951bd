//! `mail-volume`, the bandwidth monitor: messages, recipients, bytes and connections per host against ceilings.
//!
//! A. Gupta and R. Sekar, "An Approach for Detecting Self-Propagating Email Using Anomaly Detection" (RAID 2003): a
//! mass mailer cannot hide its rate, whatever it sends and however it encrypts it.

use std::time::Duration;

use crate::model::alert::{Alert, Evidence, Figure, Severity};
use crate::model::net::Side;
use crate::model::settings::{self, DetectSettings};
use crate::model::time::Timestamp;

use super::host::{Facts, Tally};
use super::pace::Pace;
use super::{Bearing, Detector, Scene, Signal, Signals};

/// The detector. All mail ports count: a thief of accounts submits to a provider (587, 465).
#[derive(Debug)]
pub struct MailVolume {
    ceilings: settings::MailVolume,
    window: Duration,
}

/// Nothing for a host that never mailed.
#[derive(Debug, Default)]
pub struct State(Option<Box<Window>>);

/// A window that slides in tenths: it covers between nine tenths of the window and all of it, never more.
#[derive(Debug, Default)]
struct Window {
    /// The number, from the epoch, of the slice being filled; its place in `slices` is its remainder.
    current: i64,
    slices: [Slice; SLICES as usize],
    told: Pace,
}

/// What was sent in a tenth of the window.
#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    messages: u32,
    recipients: u32,
    connections: u32,
    bytes: u64,
}

impl Detector for MailVolume {
    type State = State;
    const NAME: &'static str = "mail-volume";

    fn new(settings: &DetectSettings) -> Self {
        let ceilings = settings.mail_volume.clone();
        let window = Duration::from_secs(ceilings.window_seconds.max(1));
        Self { ceilings, window }
    }

    fn see(&self, host: &Facts, state: &mut State, scene: &Scene<'_>, signals: &mut Signals) {
        let adds = &scene.load.adds;
        if scene.part == Side::Server || !scene.load.mail || *adds == Tally::default() {
            return;
        }
        let window = state.0.get_or_insert_default();
        window.add(adds, self.slice_of(scene.time));
        let sum = window.sum();
        let over = self.over(&sum, host.role.is_mail_server());
        if over.iter().flatten().next().is_none() {
            return;
        }
        if !window.told.is_due(scene.time, self.window) {
            signals.again.push(Self::NAME);
            return;
        }
        window.told.mark(scene.time);
        let evidence = self.evidence(host, &sum, &over, scene.captured);
        signals.raised.push(self.signal(host, evidence, scene.time));
    }
}

/// A ceiling that was passed: what, how much, of how much.
type Over = Option<(&'static str, u64, u64)>;

impl MailVolume {
    fn slice_of(&self, now: Timestamp) -> i64 {
        let slice = i64::try_from(self.window.as_nanos() / SLICES as u128).unwrap_or(i64::MAX);
        now.as_nanos().div_euclid(slice)
    }

    fn over(&self, sum: &Tally, is_server: bool) -> [Over; 4] {
        let factor = if is_server { self.ceilings.server_factor } else { 1 };
        [
            ("messages", sum.messages, self.ceilings.messages),
            ("recipients", sum.recipients, self.ceilings.recipients),
            ("bytes", sum.bytes, self.ceilings.bytes),
            ("connections", sum.connections, self.ceilings.connections),
        ]
        .map(|(what, sent, ceiling)| {
            let ceiling = ceiling.saturating_mul(factor);
            (sent > ceiling).then_some((what, sent, ceiling))
        })
    }

    fn evidence(&self, host: &Facts, sum: &Tally, over: &[Over; 4], captured: u64) -> Evidence {
        let passed: Vec<String> =
            over.iter().flatten().map(|(what, sent, ceiling)| format!("{sent} {what} (ceiling {ceiling})")).collect();
        let (window, share) = (self.window.as_secs(), host.share_of_link(captured));
        let text = format!(
            "{} within {window} s; {} bytes lost to mail so far, {:.1} % of all bytes captured since its first mail",
            passed.join(", "),
            host.tally.bytes,
            share * 100.0
        );
        let figures = vec![
            ("messages", Figure::Count(sum.messages)),
            ("recipients", Figure::Count(sum.recipients)),
            ("bytes", Figure::Count(sum.bytes)),
            ("connections", Figure::Count(sum.connections)),
            ("window_seconds", Figure::Count(window)),
            ("passed", Figure::List(passed)),
            ("bytes_in_all", Figure::Count(host.tally.bytes)),
            ("share_of_link", Figure::Real(share)),
        ];
        Evidence { source: Self::NAME.into(), text, figures }
    }

    fn signal(&self, host: &Facts, evidence: Evidence, now: Timestamp) -> Signal {
        let (severity, ground) = host.temper(Severity::Medium, Self::NAME, now);
        let alert = Alert {
            time: now,
            rule: Self::NAME.into(),
            sid: SID,
            rev: 1,
            title: "Host mails more than its ceiling".into(),
            category: "behaviour".into(),
            severity,
            host: Some(host.addr),
            evidence: vec![evidence],
            remediation: REMEDIATION.into(),
            references: vec![REFERENCE.into()],
        };
        let window = now.minus(self.window);
        let since = host.first_mail.as_ref().map_or(window, |(first, _)| window.max(*first));
        Signal { alert, detector: Self::NAME, bearing: Bearing::Behaviour, since, ground }
    }
}

impl Window {
    fn add(&mut self, adds: &Tally, slice: i64) {
        self.slide(slice);
        let place = self.current.rem_euclid(SLICES) as usize;
        let filled = &mut self.slices[place];
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        filled.messages = filled.messages.saturating_add(narrow(adds.messages));
        filled.recipients = filled.recipients.saturating_add(narrow(adds.recipients));
        filled.connections = filled.connections.saturating_add(narrow(adds.connections));
        filled.bytes = filled.bytes.saturating_add(adds.bytes);
    }

    /// Empties what the window has left behind. A step back within the window counts to the current slice; a greater
    /// one is a clock set anew, and the window with it.
    fn slide(&mut self, slice: i64) {
        let ahead = slice.saturating_sub(self.current);
        if !(-SLICES..SLICES).contains(&ahead) {
            self.slices = Default::default();
            self.current = slice;
            return;
        }
        for _ in 0..ahead {
            self.current += 1;
            self.slices[self.current.rem_euclid(SLICES) as usize] = Slice::default();
        }
    }

    fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        for slice in &self.slices {
            sum.add(&Tally {
                messages: slice.messages.into(),
                recipients: slice.recipients.into(),
                connections: slice.connections.into(),
                bytes: slice.bytes,
                mx_lookups: 0,
            });
        }
        sum
    }
}

const SLICES: i64 = 10;
const SID: u32 = 9_000_102;
const REMEDIATION: &str = "Find out what mails on this host; if nobody meant it to, take it off the network and scan it. A \
                           mail server is told with --mail-server, another ceiling under [detect.mail-volume].";
const REFERENCE: &str =
    "Gupta, Sekar: An Approach for Detecting Self-Propagating Email Using Anomaly Detection, RAID 2003";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one() -> Tally {
        Tally { messages: 1, ..Tally::default() }
    }

    #[test]
    fn a_clock_that_jumped_ahead_and_came_back_does_not_stop_the_window() {
        let mut window = Window::default();
        for slice in [5, i64::MAX, 6, i64::MIN, 7, 100, 107] {
            window.add(&one(), slice);
        }
        assert_eq!(window.sum().messages, 2, "slices 100 and 107");
        window.add(&one(), 103);
        assert_eq!(window.sum().messages, 3, "a step back within the window is late, not lost");
        window.add(&one(), 117);
        assert_eq!(window.sum().messages, 1);
    }

    proptest! {
        /// Against a sum over all that was sent, for a clock that only goes forward.
        #[test]
        fn sums_the_last_ten_slices(steps in prop::collection::vec(0_i64..25, 1..100)) {
            let mut window = Window::default();
            let (mut now, mut sent) = (0, Vec::new());
            for step in steps {
                now += step;
                sent.push(now);
                window.add(&one(), now);
                let expected = sent.iter().filter(|at| now - **at < SLICES).count();
                prop_assert_eq!(window.sum().messages, expected as u64);
            }
        }
    }
}
