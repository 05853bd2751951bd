//! A thread that looks up a name, however long that takes: nothing in the pipeline waits for it.

use std::io;
use std::net::SocketAddr;
use std::thread;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

/// The near end: asks, and takes what was found when it is there.
#[derive(Debug)]
pub struct Lookup {
    asks: Sender<()>,
    found: Receiver<io::Result<Vec<SocketAddr>>>,
    asked: bool,
}

impl Lookup {
    /// Starts the thread, which looks up by `find` each time it is asked, and ends with the near end.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(find: impl Fn() -> io::Result<Vec<SocketAddr>> + Send + 'static) -> io::Result<Self> {
        let (asks, asked) = bounded(1);
        let (tells, found) = bounded(1);
        thread::Builder::new()
            .name("lookup".into())
            .spawn(move || while asked.recv().is_ok() && tells.send(find()).is_ok() {})?;
        Ok(Self { asks, found, asked: false })
    }

    /// What was found, or why nothing was; none while that is still to come. Asks where nobody has.
    pub fn poll(&mut self) -> Option<io::Result<Vec<SocketAddr>>> {
        if !self.asked {
            self.asked = self.asks.try_send(()).is_ok();
        }
        match self.found.try_recv() {
            Ok(found) => {
                self.asked = false;
                Some(found)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(io::Error::other("the thread that looks it up has ended"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn each_question_is_answered_once_and_nobody_waits_for_it() {
        let (gate, asked) = (Arc::new(Barrier::new(2)), Arc::new(AtomicUsize::new(0)));
        let (theirs, count) = (Arc::clone(&gate), Arc::clone(&asked));
        let mut lookup = Lookup::start(move || {
            theirs.wait();
            match count.fetch_add(1, Ordering::Relaxed) {
                0 => Err(io::Error::other("not yet")),
                _ => Ok(vec![([192, 0, 2, 1], 514).into()]),
            }
        })
        .unwrap();
        for _ in 0..10 {
            assert!(lookup.poll().is_none());
        }
        gate.wait();
        assert_eq!(wait(&mut lookup).unwrap_err().to_string(), "not yet");
        assert!(lookup.poll().is_none());
        gate.wait();
        assert_eq!(wait(&mut lookup).unwrap(), [SocketAddr::from(([192, 0, 2, 1], 514))]);
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn the_thread_ends_with_the_near_end() {
        struct Flag(Arc<AtomicBool>);
        impl Drop for Flag {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let ended = Arc::new(AtomicBool::new(false));
        let flag = Flag(Arc::clone(&ended));
        drop(Lookup::start(move || {
            let _ = &flag;
            Ok(Vec::new())
        }));
        let began = Instant::now();
        while !ended.load(Ordering::Relaxed) {
            assert!(began.elapsed() < Duration::from_secs(10));
            thread::yield_now();
        }
    }

    fn wait(lookup: &mut Lookup) -> io::Result<Vec<SocketAddr>> {
        let began = Instant::now();
        loop {
            if let Some(found) = lookup.poll() {
                return found;
            }
            assert!(began.elapsed() < Duration::from_secs(10));
            thread::yield_now();
        }
    }
}
