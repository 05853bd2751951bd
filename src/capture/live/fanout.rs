//! One interface's packets shared among several rings by the kernel (`PACKET_FANOUT`, packet(7)).
//!
//! Each packet goes to one ring, chosen by a hash over addresses, ports and protocol that is the same for both directions
//! of a flow (symmetric since Linux 4.2), so that one sensor sees all of a conversation. The kernel puts fragments of
//! IPv4 together first, since all but the first lack ports. Two things it cannot know. Fragments of IPv6 go by their
//! addresses alone: all to one ring, but not always to that of their flow. And the hash does not look into tunnels over
//! UDP (VXLAN, Geneve, GTP-U, Teredo), whose two directions may be hashed apart. On such links one ring is right.

use std::ffi::c_int;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The rings of one interface.
///
/// When one of them loses the interface, the group is given up, and all of them open it anew: a ring left in an old
/// group would be given packets that those of the new one are given as well.
#[derive(Debug, Default)]
pub struct Fanout {
    /// The kernel's number of the group; none before its first ring.
    id: Mutex<Option<u16>>,
    generation: AtomicU64,
}

impl Fanout {
    /// Makes the ring of this packet socket, which must be bound to the interface already, one of the group; gives
    /// which group that is, for [`Fanout::is_current`].
    pub(super) fn join(&self, socket: BorrowedFd<'_>) -> io::Result<u64> {
        let mut id = self.id.lock().unwrap_or_else(PoisonError::into_inner);
        match *id {
            Some(known) => set(socket, HASH | c_int::from(known))?,
            None => {
                // The kernel picks a number that no other program uses, so that nothing is shared with a stranger.
                set(socket, HASH | FLAG_UNIQUE << 16)?;
                *id = u16::try_from(get(socket)? & 0xffff).ok();
            }
        }
        Ok(self.generation.load(Ordering::Relaxed))
    }

    /// Gives up a group, when it is still the one in use.
    pub(super) fn give_up(&self, group: u64) {
        let mut id = self.id.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_current(group) {
            *id = None;
            self.generation.store(group + 1, Ordering::Relaxed);
        }
    }

    /// Whether a group is the one in use.
    pub(super) fn is_current(&self, group: u64) -> bool {
        self.generation.load(Ordering::Relaxed) == group
    }
}

/// By symmetric hash, with fragments of IPv4 put together before.
const HASH: c_int = (PACKET_FANOUT_HASH | FLAG_DEFRAG) << 16;
// From linux/if_packet.h.
const PACKET_FANOUT_HASH: c_int = 0;
const FLAG_DEFRAG: c_int = 0x8000;
const FLAG_UNIQUE: c_int = 0x2000;

#[expect(unsafe_code, reason = "no crate wraps PACKET_FANOUT")]
fn set(socket: BorrowedFd<'_>, value: c_int) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed and so open, and the kernel reads one `int` from `value`, which outlives the
    // call. No crate wraps this option.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_FANOUT,
            (&raw const value).cast(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[expect(unsafe_code, reason = "no crate wraps PACKET_FANOUT")]
fn get(socket: BorrowedFd<'_>) -> io::Result<c_int> {
    let mut value: c_int = 0;
    let mut size = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: as above; the kernel writes at most `size` bytes, which is what `value` has.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_FANOUT,
            (&raw mut value).cast(),
            &raw mut size,
        )
    };
    if done == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}
