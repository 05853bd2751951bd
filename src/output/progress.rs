//! How far a replay has come, on standard error: a bar on a terminal, nothing elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// A progress bar, or a quiet stand-in for one.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    packets: Arc<AtomicU64>,
}

impl Progress {
    /// Over `total` bytes of captures; none when it is not known, as for standard input.
    ///
    /// Draws only when standard error is a terminal. Starts no thread: the bar moves when it is told.
    pub fn new(total: Option<u64>) -> Self {
        // The target checks for a terminal itself, and limits how often it draws.
        Self::on(total, ProgressDrawTarget::stderr())
    }

    /// One that never draws (`--quiet`).
    pub fn silent() -> Self {
        Self::on(None, ProgressDrawTarget::hidden())
    }

    /// Says how many bytes and packets have been read by now.
    pub fn tick(&self, bytes: u64, packets: u64) {
        self.packets.store(packets, Ordering::Relaxed);
        self.bar.set_position(bytes);
    }

    /// Runs `print` with the bar out of the way, so that log lines do not run into it.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Takes the bar away; the summary speaks from here on.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn on(total: Option<u64>, target: ProgressDrawTarget) -> Self {
        let packets = Arc::new(AtomicU64::new(0));
        let bar = ProgressBar::with_draw_target(total, target);
        let template = if total.is_some() { KNOWN } else { UNKNOWN };
        let shown = Arc::clone(&packets);
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).with_key(
            "packets",
            move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{}", HumanCount(shown.load(Ordering::Relaxed)));
            },
        );
        bar.set_style(style.progress_chars("=> "));
        Self { bar, packets }
    }
}

const KNOWN: &str = "[{bar:30}] {percent:>3}%  {decimal_bytes} of {decimal_total_bytes}, {packets} packets, \
                     {decimal_bytes_per_sec}, {eta} to go";
const UNKNOWN: &str = "{decimal_bytes}, {packets} packets, {decimal_bytes_per_sec}, {elapsed}";

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use indicatif::TermLike;

    use super::*;

    #[test]
    fn a_bar_tells_bytes_packets_and_share() {
        let (screen, progress) = drawn(Some(2_000_000));
        progress.tick(500_000, 12_345);
        progress.bar.force_draw();
        let text = screen.lock().unwrap().clone();
        assert!(text.contains(" 25%  500.00 kB of 2.00 MB, 12,345 packets, "), "{text}");
        assert!(text.contains("[=======>"), "{text}");
        assert!(!text.contains('\u{1b}'), "no colours");
    }

    #[test]
    fn without_a_total_there_is_no_share() {
        let (screen, progress) = drawn(None);
        progress.tick(1_500, 3);
        progress.bar.force_draw();
        let text = screen.lock().unwrap().clone();
        assert!(text.contains("1.50 kB, 3 packets, ") && !text.contains('%'), "{text}");
    }

    #[test]
    fn elsewhere_it_is_silent() {
        let progress = Progress::silent();
        progress.tick(1, 1);
        progress.finish();
        assert!(progress.bar.is_hidden());
    }

    fn drawn(total: Option<u64>) -> (Arc<Mutex<String>>, Progress) {
        let screen = Arc::new(Mutex::new(String::new()));
        let target = ProgressDrawTarget::term_like(Box::new(Screen(Arc::clone(&screen))));
        (screen, Progress::on(total, target))
    }

    #[derive(Debug)]
    struct Screen(Arc<Mutex<String>>);

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            120
        }
        fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> std::io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> std::io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> std::io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
