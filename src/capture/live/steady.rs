//! A live source that outlives its interface.

use std::fs;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::net::netdevice::name_to_index;

use super::{HELD_BACK, LiveOptions, LiveSource, before, wall_clock};
use crate::capture::{CaptureError, Source, Step};
use crate::model::limits;
use crate::model::stats::CaptureStats;

/// Packets from an interface that may go down, be renamed or deleted, and come back: until it does, the wire is idle.
///
/// What happens to it is logged and counted. It is found by its name: a renamed interface is gone, and another one that
/// takes the name is the one to listen to. It is looked for after a second, then after two more, then four, and so on
/// up to [`limits::REOPEN_PAUSE`].
pub struct SteadySource {
    interface: String,
    options: LiveOptions,
    /// None while the interface is away.
    live: Option<LiveSource>,
    /// The kernel's number of the interface; 0 where there is none ("any").
    index: u32,
    /// Whether the interface was up when last looked at.
    up: bool,
    /// Why the capture cannot go on; seen to in the next call.
    lost: Option<CaptureError>,
    retry: Retry,
    /// Ends when the interface is lost, in place of looking for it.
    mortal: bool,
    /// Tells what happens, and counts it: one of the rings that share an interface.
    spokesman: bool,
    outages: u64,
    packets: u64,
    /// Drops, by the kernel and by the interface, in the captures before this one.
    drops_before: [u64; 2],
}

#[derive(Debug)]
struct Retry {
    at: Instant,
    pause: Duration,
    /// What was complained of last: the same is not logged twice.
    complaint: String,
}

impl SteadySource {
    /// Starts to listen on `interface`.
    ///
    /// # Errors
    /// As [`LiveSource::open`]: at the start the interface must be there.
    pub fn open(interface: &str, options: &LiveOptions) -> Result<Self, CaptureError> {
        let live = LiveSource::open(interface, options)?;
        let mut source = Self {
            interface: interface.to_owned(),
            options: options.clone(),
            live: Some(live),
            index: 0,
            up: true,
            lost: None,
            retry: Retry::after(Duration::ZERO),
            mortal: false,
            spokesman: true,
            outages: 0,
            packets: 0,
            drops_before: [0, 0],
        };
        source.index = source.current_index();
        Ok(source)
    }

    /// The same, ending with an error when the interface is lost: what is right where it cannot be opened again for want
    /// of the right to.
    #[must_use]
    pub fn mortal(self) -> Self {
        Self { mortal: true, ..self }
    }

    /// The same for a further ring of an interface whose fate another one tells and counts.
    #[must_use]
    pub fn silent(self) -> Self {
        Self { spokesman: false, ..self }
    }

    /// The interface's name.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The number that the interface of this name has now; 0 when there is none.
    fn current_index(&self) -> u32 {
        let Some(live) = &self.live else { return 0 };
        name_to_index(live.capture.as_fd(), &self.interface).unwrap_or_default()
    }

    /// Looks at the interface, once a second: libpcap goes on listening to one that was renamed, and does not say when
    /// one is down.
    fn look(&mut self) {
        if self.live.is_none() || self.lost.is_some() || self.interface == "any" {
            return;
        }
        if self.current_index() != self.index {
            self.lost = Some(CaptureError::InterfaceLost { interface: self.interface.clone() });
            return;
        }
        let (interface, up) = (self.interface.as_str(), is_up(&self.interface));
        if up != self.up && self.spokesman {
            if up {
                tracing::info!(interface, "interface is up again");
            } else {
                self.outages += 1;
                tracing::warn!(interface, "interface is down; nothing is captured until it is up again");
            }
        }
        self.up = up;
    }

    /// Lets go of a capture that cannot go on, and takes up one that can.
    fn see_to_it(&mut self) -> Result<(), CaptureError> {
        if let Some(error) = self.lost.take() {
            // One that went down before it went away is one outage.
            self.outages += u64::from(self.spokesman && self.up);
            self.let_go(RETRY_FIRST);
            if self.mortal {
                return Err(error);
            }
            if self.spokesman {
                let interface = self.interface.as_str();
                match error {
                    // That it is gone, and what to do where nobody looks for it, is all that this one says.
                    CaptureError::InterfaceLost { .. } => {
                        tracing::warn!(interface, "interface is lost; looking for it until it is back");
                    }
                    error => tracing::warn!(interface, %error, "interface is lost; looking for it until it is back"),
                }
            }
        } else if self.is_left_alone() {
            self.let_go(Duration::ZERO);
        }
        if self.live.is_none() && Instant::now() >= self.retry.at && !self.is_stopped() {
            self.try_again();
        }
        Ok(())
    }

    /// Whether the other rings of the interface have gone over to a new group.
    fn is_left_alone(&self) -> bool {
        match (&self.live, &self.options.fanout) {
            (Some(live), Some(fanout)) => !fanout.is_current(live.group),
            _ => false,
        }
    }

    fn let_go(&mut self, pause: Duration) {
        let Some(mut live) = self.live.take() else { return };
        let last = live.stats();
        self.drops_before[0] += last.kernel_drops;
        self.drops_before[1] += last.interface_drops;
        self.packets = live.packets;
        self.up = false;
        self.retry = Retry::after(pause);
        if let Some(fanout) = &self.options.fanout {
            fanout.give_up(live.group);
        }
    }

    fn try_again(&mut self) {
        let interface = self.interface.as_str();
        match LiveSource::open(interface, &self.options) {
            Ok(mut live) => {
                live.packets = self.packets;
                self.live = Some(live);
                self.index = self.current_index();
                self.up = is_up(&self.interface);
                if self.spokesman {
                    tracing::info!(interface = self.interface, "interface is back; listening again");
                }
            }
            Err(error) => {
                let complaint = error.to_string();
                let expected = matches!(error, CaptureError::NoSuchInterface { .. });
                if complaint != self.retry.complaint && !expected {
                    tracing::warn!(interface, "not listening yet: {complaint}");
                }
                let pause = self.retry.pause.max(RETRY_FIRST);
                let next = (2 * pause).min(limits::REOPEN_PAUSE);
                self.retry = Retry { at: Instant::now() + pause, pause: next, complaint };
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.options.stop.load(Ordering::Relaxed)
    }
}

impl Retry {
    fn after(pause: Duration) -> Self {
        Self { at: Instant::now() + pause, pause: 2 * pause, complaint: String::new() }
    }
}

impl Source for SteadySource {
    fn next(&mut self) -> Result<Step<'_>, CaptureError> {
        // Asked at every packet, so the answer that is nearly always no is cheap.
        if self.lost.is_some() || self.live.is_none() || self.is_left_alone() {
            self.see_to_it()?;
        }
        let stopped = self.is_stopped();
        let Some(live) = &mut self.live else {
            if stopped {
                return Ok(Step::End);
            }
            std::thread::sleep(LiveSource::WAIT);
            return Ok(Step::Idle(before(wall_clock(), HELD_BACK)));
        };
        let now = live.now;
        match live.next() {
            Ok(step) => Ok(step),
            Err(error) => {
                self.lost = Some(error);
                Ok(Step::Idle(now))
            }
        }
    }

    fn stats(&mut self) -> CaptureStats {
        self.look();
        let now = self.live.as_mut().map(LiveSource::stats).unwrap_or_default();
        let [kernel_before, interface_before] = self.drops_before;
        CaptureStats {
            kernel_drops: kernel_before + now.kernel_drops,
            // Those of the interface are the same for all its rings.
            interface_drops: if self.spokesman { interface_before + now.interface_drops } else { 0 },
            outages: self.outages,
            rings: 1,
            rings_up: u64::from(self.live.is_some() && self.up),
            ..CaptureStats::default()
        }
    }
}

/// Whether an interface is up and has a carrier. Where sysfs does not say, it is taken to be: whether packets come shows
/// soon enough.
fn is_up(interface: &str) -> bool {
    let read = |what: &str| fs::read_to_string(format!("/sys/class/net/{interface}/{what}"));
    let Ok(flags) = read("flags") else { return true };
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or(IFF_UP);
    // The carrier of an interface that is down cannot be read.
    flags & IFF_UP != 0 && read("carrier").is_ok_and(|carrier| carrier.trim() != "0")
}

/// From linux/if.h.
const IFF_UP: u32 = 1;
/// A driver that is loaded anew, or an interface that is made anew, takes about as long.
const RETRY_FIRST: Duration = Duration::from_secs(1);
