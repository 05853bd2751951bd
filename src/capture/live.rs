//! Live capture on one interface, through libpcap: one ring of it ([`LiveSource`]).
//!
//! [`fanout`] shares an interface among several rings; [`steady`] outlives the interface.

mod fanout;
mod steady;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use pcap::{Active, Capture, Device, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

pub use fanout::Fanout;
pub use steady::SteadySource;

use super::error::CaptureError;
use super::{Packet, Source, Step, bpf, link};
use crate::model::limits;
use crate::model::stats::CaptureStats;
use crate::model::time::Timestamp;

/// How to listen.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Only packets that pass this filter (pcap-filter(7)); applied by the kernel.
    pub bpf: Option<String>,
    /// Bytes kept of each packet.
    pub snaplen: u32,
    /// See also frames for others: what a mirror port needs. Never asked of `any`, which cannot.
    pub promiscuous: bool,
    /// Size of the kernel's ring, which must hold what comes while the sensor is busy.
    pub ring_bytes: u32,
    /// The rings that share the interface's packets with this one, if any do.
    pub fanout: Option<Arc<Fanout>>,
    /// Hand over each packet at once, at the cost of a slower kind of ring. For tests and very quiet links.
    pub immediate: bool,
    /// Set it, from any thread or signal handler, to end the capture: what the ring holds then is still given.
    pub stop: Arc<AtomicBool>,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            bpf: None,
            snaplen: limits::CAPTURE_PACKET,
            promiscuous: true,
            ring_bytes: 64 << 20,
            fanout: None,
            immediate: false,
            stop: Arc::default(),
        }
    }
}

/// Packets from an interface, as they come.
///
/// When none come, [`Source::next`] returns [`Step::Idle`] every [`LiveSource::WAIT`] with a time that no packet given
/// later is older than: the wall clock's, less what the kernel may hold packets back.
pub struct LiveSource {
    interface: String,
    capture: Capture<Active>,
    /// LINKTYPE_ value.
    link: u32,
    stop: Arc<AtomicBool>,
    draining: Option<Drain>,
    /// More packets than the ring can hold.
    most_left: u64,
    /// The ring was empty when last looked into.
    empty: bool,
    packets: u64,
    /// Packets before this are not given: they came before this ring had its share of them, and others gave them.
    since: Timestamp,
    /// Which group of rings it belongs to.
    group: u64,
    /// Packet time so far.
    now: Timestamp,
    kernel_drops: Widened,
    interface_drops: Widened,
}

/// The end of a capture: what is in the ring is given, what comes after the stop is not.
struct Drain {
    stopped: Timestamp,
    deadline: Instant,
    left: u64,
}

impl LiveSource {
    /// How long a call of [`Source::next`] waits for a packet, and how soon a stop is noticed.
    pub const WAIT: Duration = Duration::from_millis(20);

    /// Starts to listen on `interface`.
    ///
    /// # Errors
    /// No such interface (those that exist are named), no permission, interface down, bad filter.
    pub fn open(interface: &str, options: &LiveOptions) -> Result<Self, CaptureError> {
        let promiscuous = options.promiscuous && interface != "any";
        let mut capture = match activate(interface, options, promiscuous) {
            Ok(capture) => capture,
            Err(error) => match classify(interface, &error) {
                // The crate takes libpcap's warnings for errors; "promiscuous mode not supported" is one.
                CaptureError::CaptureFailed { message, .. } if promiscuous => {
                    tracing::warn!(interface, message, "no promiscuous mode; capturing without it");
                    activate(interface, options, false).map_err(|error| classify(interface, &error))?
                }
                other => return Err(other),
            },
        };
        if let Some(filter) = &options.bpf {
            capture
                .filter(filter, true)
                .map_err(|error| CaptureError::BadFilter { filter: filter.clone(), message: bpf::message(&error) })?;
        }
        // With blocking reads libpcap would wait past its time-out on a silent interface, and never see the stop.
        let capture = capture.setnonblock().map_err(|error| classify(interface, &error))?;
        let (mut since, mut group) = (Timestamp::default(), 0);
        if let Some(fanout) = &options.fanout {
            group = fanout.join(capture.as_fd()).map_err(|error| CaptureError::CaptureFailed {
                interface: interface.to_owned(),
                message: format!("its packets cannot be shared among threads: {error}"),
            })?;
            since = wall_clock();
        }
        Ok(Self {
            interface: interface.to_owned(),
            since,
            group,
            link: link::from_dlt(capture.get_datalink().0),
            capture,
            stop: Arc::clone(&options.stop),
            draining: None,
            most_left: u64::from(options.ring_bytes) / limits::RING_PACKET,
            empty: true,
            packets: 0,
            now: before(wall_clock(), HELD_BACK),
            kernel_drops: Widened::default(),
            interface_drops: Widened::default(),
        })
    }

    fn notice_stop(&mut self) {
        if self.draining.is_none() && self.stop.load(Ordering::Relaxed) {
            self.draining =
                Some(Drain { stopped: wall_clock(), deadline: Instant::now() + 3 * HELD_BACK, left: self.most_left });
        }
    }

    /// Waits until there may be something to read; false when nothing came.
    fn wait(&self) -> Result<bool, CaptureError> {
        let patience = match &self.draining {
            Some(drain) => drain.deadline.saturating_duration_since(Instant::now()).min(2 * HELD_BACK),
            None => Self::WAIT,
        };
        let patience = Timespec::try_from(patience).ok();
        let mut ready = [PollFd::from_borrowed_fd(self.capture.as_fd(), PollFlags::IN)];
        match poll(&mut ready, patience.as_ref()) {
            // Also an error: the interface went down. libpcap goes on, since it may come up again, and reports an error
            // only when the interface is gone.
            Ok(count) => Ok(count > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => {
                Err(CaptureError::CaptureFailed { interface: self.interface.clone(), message: error.to_string() })
            }
        }
    }
}

impl Source for LiveSource {
    fn next(&mut self) -> Result<Step<'_>, CaptureError> {
        self.notice_stop();
        let asked = if self.empty { wall_clock() } else { self.now };
        let quiet = self.empty && !self.wait()?;
        if let Some(drain) = &mut self.draining {
            if quiet || drain.left == 0 || self.empty && Instant::now() >= drain.deadline {
                return Ok(Step::End);
            }
            drain.left -= 1;
        }
        // Also after a quiet wait: libpcap looks only then whether the interface is still there.
        match self.capture.next_packet() {
            Ok(packet) => {
                self.empty = false;
                let header = packet.header;
                // With the precision asked for, `tv_usec` holds nanoseconds.
                let time = Timestamp::from_parts(header.ts.tv_sec, header.ts.tv_usec);
                if self.draining.as_ref().is_some_and(|drain| time > drain.stopped) {
                    return Ok(Step::End);
                }
                if time < self.since {
                    return Ok(Step::Idle(self.now));
                }
                self.packets += 1;
                self.now = time;
                Ok(Step::Packet(Packet {
                    time,
                    link: self.link,
                    data: packet.data,
                    wire_len: header.len.max(header.caplen),
                    number: self.packets,
                    file: 0,
                }))
            }
            Err(pcap::Error::TimeoutExpired) => {
                self.empty = true;
                // Without a quiet wait before it this is not yet silence: the time stays, and the next call waits.
                if quiet {
                    self.now = later(self.now, before(asked, HELD_BACK));
                }
                Ok(Step::Idle(self.now))
            }
            Err(pcap::Error::NoMorePackets) => Ok(Step::End),
            Err(error) => Err(lost(&self.interface, &error)),
        }
    }

    fn stats(&mut self) -> CaptureStats {
        if let Ok(stat) = self.capture.stats() {
            self.kernel_drops.see(stat.dropped);
            self.interface_drops.see(stat.if_dropped);
        }
        CaptureStats {
            kernel_drops: self.kernel_drops.total,
            interface_drops: self.interface_drops.total,
            ..CaptureStats::default()
        }
    }
}

/// A 32-bit counter that wraps, made one that does not.
#[derive(Clone, Copy, Debug, Default)]
struct Widened {
    last: u32,
    total: u64,
}

impl Widened {
    /// Takes a new reading. One that seems to have gone ahead by half its range went back instead (a driver that was
    /// reset), and adds nothing.
    fn see(&mut self, reading: u32) {
        let step = reading.wrapping_sub(self.last);
        self.last = reading;
        if step < 1 << 31 {
            self.total += u64::from(step);
        }
    }
}

fn activate(interface: &str, options: &LiveOptions, promiscuous: bool) -> Result<Capture<Active>, pcap::Error> {
    Capture::from_device(interface)?
        .promisc(promiscuous)
        .snaplen(clamp(options.snaplen))
        .buffer_size(clamp(options.ring_bytes))
        .immediate_mode(options.immediate)
        .precision(Precision::Nano)
        .timeout(i32::try_from(HELD_BACK.as_millis()).unwrap_or(i32::MAX))
        .open()
}

/// Why an interface could not be opened. libpcap's codes do not come through the crate, so its words must do; but
/// which interfaces exist is known.
fn classify(interface: &str, error: &pcap::Error) -> CaptureError {
    let interface = interface.to_owned();
    let message = bpf::message(error);
    let available: Vec<String> = Device::list().unwrap_or_default().into_iter().map(|device| device.name).collect();
    let says = |words: &[&str]| words.iter().any(|word| message.to_ascii_lowercase().contains(word));
    if !available.is_empty() && !available.contains(&interface) || says(&["no such device"]) {
        CaptureError::NoSuchInterface { interface, available }
    } else if says(&["permission", "not permitted", "cap_net_raw"]) {
        CaptureError::NoCapturePermission { interface }
    } else if says(&["not up", "is down"]) {
        CaptureError::InterfaceDown { interface }
    } else {
        CaptureError::CaptureFailed { interface, message }
    }
}

/// Why a capture that ran cannot go on.
fn lost(interface: &str, error: &pcap::Error) -> CaptureError {
    let message = bpf::message(error);
    let interface = interface.to_owned();
    if ["disappeared", "went down", "is down", "no such device"]
        .iter()
        .any(|w| message.to_ascii_lowercase().contains(w))
    {
        CaptureError::InterfaceLost { interface }
    } else {
        CaptureError::CaptureFailed { interface, message }
    }
}

fn clamp(size: u32) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}

/// The only place in this program's packet path that reads a clock.
fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().plus(since)
}

fn before(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_nanos(time.as_nanos().saturating_sub(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)))
}

/// The time of an idle wire: it does not go back, but with the clock itself, where that was set.
fn later(now: Timestamp, wall: Timestamp) -> Timestamp {
    if now.since(wall) > SET_BACK { wall } else { now.max(wall) }
}

/// The kernel's times and the wall clock are one clock: when it is so much behind the last packet, it was set.
const SET_BACK: Duration = Duration::from_secs(1);

/// How long the kernel may hold a packet before it hands over a part-filled block of the ring. Shorter, alerts come sooner on
/// a quiet link; but every block handed over takes a place in the ring, which at 64 MiB has 256 and so still outlasts a
/// stall of five seconds.
const HELD_BACK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn wrapped_counters_go_on_and_reset_ones_do_not_jump() {
        let mut counter = Widened::default();
        for reading in [10, u32::MAX - 1, 4] {
            counter.see(reading);
        }
        // The step to just below the wrap is too far ahead to be believed; the one over it is six.
        assert_eq!(counter.total, 16);
        counter.see(0);
        counter.see(3);
        assert_eq!(counter.total, 19);
    }

    #[test]
    fn the_time_of_an_idle_wire_goes_back_only_with_the_clock() {
        let at = |millis: i64| Timestamp::from_nanos(millis * 1_000_000);
        for (now, wall, expected) in [(5_000, 5_100, 5_100), (5_000, 4_500, 5_000), (3_605_000, 5_000, 5_000)] {
            assert_eq!(later(at(now), at(wall)), at(expected));
        }
    }

    #[test]
    fn an_interface_that_does_not_exist_is_named_with_those_that_do() {
        let error = LiveSource::open("nosuch0", &LiveOptions::default()).map(|_| ()).unwrap_err();
        assert!(matches!(error, CaptureError::NoSuchInterface { .. }), "{error}");
        assert!(error.to_string().contains("nosuch0"), "{error}");
    }

    /// Loopback capture with a filter for one port, or none where that is not allowed.
    fn loopback(port: u16) -> Option<LiveSource> {
        let bpf = Some(format!("udp dst port {port}"));
        match LiveSource::open("lo", &LiveOptions { bpf, ..LiveOptions::default() }) {
            Ok(source) => Some(source),
            Err(error) => {
                println!("skipped: {error}");
                None
            }
        }
    }

    #[test]
    fn packets_on_loopback_are_given_also_those_still_in_the_ring_at_the_stop() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let Some(mut source) = loopback(port) else { return };
        let stop = Arc::clone(&source.stop);
        let began = wall_clock();
        for n in 0..50_u8 {
            socket.send_to(&[b'#', n], ("127.0.0.1", port)).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        let mut seen = Vec::new();
        let ended = Instant::now();
        loop {
            match source.next().unwrap() {
                Step::Packet(packet) => {
                    assert!(packet.time.since(began) < Duration::from_secs(5) && packet.time >= began);
                    assert_eq!((packet.link, packet.wire_len as usize), (1, packet.data.len()));
                    seen.push(packet.data.last().copied().unwrap());
                }
                Step::Idle(_) => {}
                Step::End => break,
            }
        }
        assert!(ended.elapsed() < Duration::from_secs(1));
        assert_eq!(seen, (0..50).collect::<Vec<u8>>());
        assert_eq!(source.stats().kernel_drops, 0);
    }

    #[test]
    fn silence_is_idle_with_a_clock_and_a_stop_ends_it() {
        let Some(mut source) = loopback(9) else { return };
        let began = wall_clock();
        let mut idles = Vec::new();
        while idles.len() < 4 {
            if let Step::Idle(now) = source.next().unwrap() {
                idles.push(now);
            }
        }
        assert!(idles.is_sorted());
        assert!(idles[3] > began, "the clock stands still: {idles:?}");
        source.stop.store(true, Ordering::Relaxed);
        while !matches!(source.next().unwrap(), Step::End) {}
    }

    #[test]
    fn a_bad_filter_is_told_apart() {
        if loopback(9).is_none() {
            return;
        }
        let options = LiveOptions { bpf: Some("port smtpp".to_owned()), ..LiveOptions::default() };
        let error = LiveSource::open("lo", &options).map(|_| ()).unwrap_err();
        assert!(matches!(error, CaptureError::BadFilter { .. }), "{error}");
    }
}
