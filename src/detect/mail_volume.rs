//! `mail-volume`, the bandwidth monitor: messages, recipients, bytes and connections per host against ceilings, and
//! against what is usual for the host itself ([`super::baseline`]).
//!
//! A. Gupta and R. Sekar, "An Approach for Detecting Self-Propagating Email Using Anomaly Detection" (RAID 2003): a
//! mass mailer cannot hide its rate, whatever it sends and however it encrypts it.

use std::time::Duration;

use crate::model::alert::{Evidence, Figure, Severity};
use crate::model::limits;
use crate::model::net::{Direction, Side};
use crate::model::settings::{self, DetectSettings};
use crate::model::time::Timestamp;

use super::baseline::{Baseline, Usual};
use super::host::{Facts, Tally};
use super::pace::Pace;
use super::{Bearing, Behaviour, Detector, Scene, Signal, Signals, weight_of};

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
    /// The window of fixed begin that is being filled for the baseline, by its number, and whether it is out of the
    /// usual: such a window is not learnt from.
    block: i64,
    filling: Slice,
    unusual: bool,
    usual: Baseline<4>,
    /// The last slice in which it mailed otherwise than through a submission port in the house.
    otherwise: Option<i64>,
    /// When each severity was last told: low, medium.
    told: [Pace; 2],
}

/// What was sent in a tenth of the window.
#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    messages: u32,
    recipients: u32,
    connections: u32,
    bytes: u64,
}

impl Slice {
    fn add(&mut self, adds: &Tally) {
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        self.messages = self.messages.saturating_add(narrow(adds.messages));
        self.recipients = self.recipients.saturating_add(narrow(adds.recipients));
        self.connections = self.connections.saturating_add(narrow(adds.connections));
        self.bytes = self.bytes.saturating_add(adds.bytes);
    }
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
        let slice = self.slice_of(scene.time);
        window.add(adds, slice, self.learn());
        if scene.direction != Direction::Internal || !SUBMISSION.contains(&scene.flow.server.port()) {
            window.otherwise = Some(slice);
        }
        let sum = window.sum();
        let factor = host.role.ceilings(self.ceilings.server_factor);
        let over = self.over(&sum, &window.usual, factor);
        if over.iter().flatten().next().is_none() {
            return;
        }
        window.unusual = true;
        let beyond_ceiling = over.iter().flatten().any(|over| over.usual.is_none());
        let submitted = window.otherwise.is_none_or(|last| slice.saturating_sub(last) >= SLICES);
        let merge = submitted && !self.is_over(&sum, self.ceilings.submission_factor.max(1));
        // Of a learnt server more than its correspondents suggest, but no more than a server may.
        let within = !beyond_ceiling || !self.is_over(&sum, self.ceilings.server_factor.max(1));
        let is_mild = merge || (host.role.is_mail_server() && within);
        let (severity, ground) = self.severity(host, &sum, is_mild);
        let level = usize::from(severity != Severity::Low);
        if window.told.iter().skip(level).any(|told| !told.is_due(scene.time, self.window)) {
            signals.again.push(Self::NAME);
            return;
        }
        window.told[level].mark(scene.time);
        let evidence = self.evidence(host, &sum, &over, scene.captured);
        let alert = ABOUT.alert(scene.time, severity, host, evidence);
        let begin = scene.time.minus(self.window);
        let since = host.first_mail.as_ref().map_or(begin, |(first, _)| begin.max(*first));
        signals.raised.push(Signal { alert, detector: Self::NAME, bearing: Bearing::Behaviour, since, ground });
    }

    fn calm(state: &mut State) {
        if let Some(window) = &mut state.0 {
            window.told = Default::default();
        }
    }

    fn entries(state: &State) -> usize {
        state.0.as_ref().map_or(0, |window| window.usual.len() / 4 + weight_of::<Window>())
    }
}

/// A bound that was passed: of what, how much was sent, and how much was to be expected.
#[derive(Clone, Copy, Debug)]
struct Over {
    what: &'static str,
    sent: u64,
    bound: u64,
    /// The bound comes from what is usual for the host, none for a ceiling.
    usual: Option<Usual>,
}

impl Over {
    fn text(&self) -> String {
        let Self { what, sent, bound, usual } = self;
        match usual {
            None => format!("{sent} {what} (ceiling {bound})"),
            Some(Usual { median, deviation, windows }) => format!(
                "{sent} {what} (bound {bound}: usual for this host are {median}, deviation {deviation:.1}, over {windows} windows)"
            ),
        }
    }
}

impl MailVolume {
    fn slice_of(&self, now: Timestamp) -> i64 {
        let slice = i64::try_from(self.window.as_nanos() / SLICES as u128).unwrap_or(i64::MAX);
        now.as_nanos().div_euclid(slice)
    }

    fn learn(&self) -> usize {
        (self.ceilings.baseline_windows.max(2) as usize).min(limits::BASELINE_WINDOWS)
    }

    /// Whether anything passes so many times its ceiling.
    fn is_over(&self, sum: &Tally, factor: u64) -> bool {
        let bounds = &self.ceilings;
        let sent = [
            (sum.messages, bounds.messages),
            (sum.recipients, bounds.recipients),
            (sum.bytes, bounds.bytes),
            (sum.connections, bounds.connections),
        ];
        sent.iter().any(|(sent, ceiling)| *sent > ceiling.saturating_mul(factor))
    }

    fn over(&self, sum: &Tally, baseline: &Baseline<4>, factor: u64) -> [Option<Over>; 4] {
        let sent = [
            ("messages", sum.messages, self.ceilings.messages),
            ("recipients", sum.recipients, self.ceilings.recipients),
            ("bytes", sum.bytes, self.ceilings.bytes),
            ("connections", sum.connections, self.ceilings.connections),
        ];
        let mut at = 0..;
        sent.map(|(what, sent, ceiling)| {
            let at = at.next().unwrap_or_default();
            let bound = ceiling.saturating_mul(factor);
            if sent > bound {
                return Some(Over { what, sent, bound, usual: None });
            }
            // Small hosts double what they send every other day.
            let floor = ceiling.saturating_mul(factor.min(SERVER_FLOOR)) as f64 * self.ceilings.baseline_floor;
            if sent as f64 <= floor {
                return None;
            }
            let usual = baseline.usual(at, self.learn())?;
            let bound = (usual.median as f64 + self.ceilings.baseline_deviations.max(1.0) * usual.deviation).max(floor);
            (sent as f64 > bound).then_some(Over { what, sent, bound: bound as u64, usual: Some(usual) })
        })
    }

    fn evidence(&self, host: &Facts, sum: &Tally, over: &[Option<Over>; 4], captured: u64) -> Evidence {
        let passed: Vec<String> = over.iter().flatten().map(Over::text).collect();
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

    /// Mild: a mail server has its busy days, and so has who writes to many with a password. Manners alone do not excuse
    /// any number of messages: they could all be to one victim.
    fn severity(&self, host: &Facts, sum: &Tally, is_mild: bool) -> (Severity, &'static str) {
        let plain = if is_mild { Severity::Low } else { Severity::Medium };
        let (tempered, ground) = host.temper(plain, Self::NAME);
        let is_flood = !host.role.has_greeted() && self.is_over(sum, self.ceilings.submission_factor.max(1));
        (if is_flood { plain } else { tempered }, ground)
    }
}

impl Window {
    fn add(&mut self, adds: &Tally, slice: i64, learn: usize) {
        self.slide(slice);
        self.pass(slice.div_euclid(SLICES), learn);
        self.filling.add(adds);
        let place = self.current.rem_euclid(SLICES) as usize;
        let filled = &mut self.slices[place];
        filled.add(adds);
    }

    /// Learns from the window that was filled, once another has begun. Windows without mail are not waited for, so they
    /// are not learnt from either: what is usual is how much a host mails when it does.
    fn pass(&mut self, block: i64, learn: usize) {
        if block == self.block {
            return;
        }
        let Slice { messages, recipients, connections, bytes } = std::mem::take(&mut self.filling);
        let figures = [messages.into(), recipients.into(), bytes, connections.into()];
        if figures != [0; 4] && !std::mem::take(&mut self.unusual) {
            self.usual.learn(figures, learn, limits::BASELINE_WINDOWS);
        }
        self.block = block;
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
/// RFC 6409 and RFC 8314.
const SUBMISSION: [u16; 2] = [465, 587];
/// A mail server's floor for the baseline is this many times an ordinary host's, where its ceilings are higher still.
const SERVER_FLOOR: u64 = 10;
const ABOUT: Behaviour = Behaviour {
    name: MailVolume::NAME,
    sid: SID,
    title: "Host mails more than its ceiling, or than is usual for it",
    remediation: REMEDIATION,
    references: &[REFERENCE],
};
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
            window.add(&one(), slice, 12);
        }
        assert_eq!(window.sum().messages, 2, "slices 100 and 107");
        window.add(&one(), 103, 12);
        assert_eq!(window.sum().messages, 3, "a step back within the window is late, not lost");
        window.add(&one(), 117, 12);
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
                window.add(&one(), now, 12);
                let expected = sent.iter().filter(|at| now - **at < SLICES).count();
                prop_assert_eq!(window.sum().messages, expected as u64);
            }
        }
    }
}
