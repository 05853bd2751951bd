//! A pipe that may fall silent: waiting for it must not outlast a stop.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Reads a pipe, terminal or socket until its end or until `stop` is set: then it ends as if its writer had gone.
pub(super) struct Stoppable {
    stream: File,
    stop: Arc<AtomicBool>,
}

impl Stoppable {
    pub(super) fn new(stream: impl Into<OwnedFd>, stop: Arc<AtomicBool>) -> Self {
        Self { stream: File::from(stream.into()), stop }
    }
}

impl Read for Stoppable {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while !self.stop.load(Ordering::Relaxed) {
            let mut ready = [PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::IN)];
            match poll(&mut ready, Some(&WAIT)) {
                Ok(0) | Err(Errno::INTR) => {}
                // What is ready, an end or an error is for the read to say.
                Ok(_) | Err(_) => return self.stream.read(buf),
            }
        }
        Ok(0)
    }
}

/// How soon a stop is noticed.
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_comes_is_read_and_silence_ends_with_the_stop() {
        let (reader, mut writer) = io::pipe().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut stream = Stoppable::new(reader, Arc::clone(&stop));
        let stopper = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            stop.store(true, Ordering::Relaxed);
        });
        writer.write_all(b"so far").unwrap();
        let mut text = String::new();
        // The writer is still there: without the stop this would wait for ever.
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "so far");
        stopper.join().unwrap();
        drop(writer);
    }

    #[test]
    fn the_end_of_the_pipe_is_the_end() {
        let (reader, writer) = io::pipe().unwrap();
        drop(writer);
        assert_eq!(Stoppable::new(reader, Arc::default()).read(&mut [0; 8]).unwrap(), 0);
    }
}
