//! Where EVE lines go, tried.

use std::fs;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;

#[test]
fn a_replay_begins_anew_and_a_live_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("eve.json");
    for (open, expected) in
        [(EveWriter::append as fn(&Path) -> _, "{}\n"), (EveWriter::append, "{}\n{}\n"), (EveWriter::create, "{}\n")]
    {
        let mut writer = open(&path).unwrap();
        writer.write(b"{}\n").unwrap();
        drop(writer);
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    }
}

#[test]
fn a_line_cut_off_by_a_crash_is_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("eve.json");
    let long = format!("{{\"a\":1}}\n{{\"b\":\"{}", "x".repeat(3 * EVE_BUFFER));
    for (before, after, cut) in [
        ("{\"a\":1}\n{\"b\":", "{\"a\":1}\n{}\n", 5),
        ("{\"b\":", "{}\n", 5),
        ("{\"a\":1}\n\0\0\0", "{\"a\":1}\n{}\n", 3),
        ("{\"a\":1}\n", "{\"a\":1}\n{}\n", 0),
        ("", "{}\n", 0),
        ("root:x:0:0", "root:x:0:0\n{}\n", 0),
        (&long, "{\"a\":1}\n{}\n", 6 + 3 * EVE_BUFFER as u64),
    ] {
        fs::write(&path, before).unwrap();
        let mut writer = EveWriter::append(&path).unwrap();
        assert_eq!(writer.repaired_bytes(), cut, "{before:?}");
        writer.write(b"{}\n").unwrap();
        drop(writer);
        assert_eq!(fs::read_to_string(&path).unwrap(), after);
    }
}

#[test]
fn a_full_device_is_told_once_and_every_line_counted() {
    let mut writer = EveWriter::append(Path::new("/dev/full")).unwrap();
    writer.write(b"{}\n{}\n").unwrap();
    let error = writer.flush().unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot write to the EVE file /dev/full: No space left on device (os error 28); free space there, or \
         choose another place with --eve"
    );
    writer.write(b"{}\n").unwrap();
    writer.flush().unwrap();
    assert_eq!(writer.lost_lines(), 3);
    assert_eq!(writer.first_error(), Some(error.as_str()));
}

/// A file system of 64 KiB, where this test may mount one.
#[test]
fn a_disk_that_fills_keeps_whole_lines_and_takes_more_once_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let mount =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(dir.path()).output();
    if !mount.is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: a tmpfs cannot be mounted here");
        return;
    }
    let path = dir.path().join("eve.json");
    let mut writer = EveWriter::create(&path).unwrap();
    let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(990));
    let errors = (0..100).filter(|_| writer.write(line.as_bytes()).is_err()).count();
    let last = writer.flush().is_err();
    assert_eq!((errors, last), (1, false), "told once");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.lines().all(|found| found == line.trim_end()), "whole lines only");
    assert_eq!(text.lines().count() as u64 + writer.lost_lines(), 100);
    fs::write(&path, "").unwrap();
    writer.write(line.as_bytes()).unwrap();
    writer.flush().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), line);
    drop(writer);
    let _ = std::process::Command::new("umount").arg(dir.path()).status();
}

#[test]
fn bytes_taken_back_leave_no_hole_in_a_redirected_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"abc").unwrap();
    assert!(file.take_back(2).unwrap());
    file.write_all(b"d").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"ad");
}

#[test]
fn after_a_rotation_lines_go_to_the_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("eve.json"), dir.path().join("eve.json.1"));
    let mut writer = EveWriter::append(&path).unwrap();
    writer.write(b"{\"a\":1}\n").unwrap();
    fs::rename(&path, &old).unwrap();
    writer.reopen().unwrap();
    writer.write(b"{\"b\":2}\n").unwrap();
    writer.flush().unwrap();
    assert_eq!(fs::read_to_string(&old).unwrap(), "{\"a\":1}\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"b\":2}\n");
}

#[test]
fn a_failed_reopening_keeps_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let (inner, moved) = (dir.path().join("log"), dir.path().join("moved"));
    fs::create_dir(&inner).unwrap();
    let mut writer = EveWriter::append(&inner.join("eve.json")).unwrap();
    fs::rename(&inner, &moved).unwrap();
    assert!(writer.reopen().unwrap_err().to_string().contains("cannot open the EVE file"));
    writer.write(b"{}\n").unwrap();
    writer.flush().unwrap();
    assert_eq!(fs::read_to_string(moved.join("eve.json")).unwrap(), "{}\n");
}

/// After SIGHUP, with the sensor's last stage waiting for nobody.
#[test]
fn a_pipe_that_nobody_reads_is_not_waited_for_when_it_is_opened_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let reader = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&path).unwrap();
    let mut writer = EveWriter::append(&path).unwrap();
    writer.write(b"{}\n").unwrap();
    writer.reopen().unwrap();
    let mut lines = [0; 9];
    assert_eq!((&reader).read(&mut lines).unwrap(), 3);
    drop(reader);
    let error = writer.reopen().unwrap_err().to_string();
    assert!(error.starts_with("cannot open the EVE file ") && error.contains("; start its reader, or "), "{error}");
    // Whoever reads it next gets what comes then.
    let reader = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&path).unwrap();
    writer.write(b"{\"a\":1}\n").unwrap();
    writer.flush().unwrap();
    assert_eq!((&reader).read(&mut lines).unwrap(), 8);
}

#[test]
fn a_file_that_is_deleted_is_told_from_one_that_was_moved_away() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("eve.json"), dir.path().join("eve.json.1"));
    let mut writer = EveWriter::append(&path).unwrap();
    fs::rename(&path, &old).unwrap();
    assert!(!writer.is_deleted());
    fs::remove_file(&old).unwrap();
    assert!(writer.is_deleted());
    writer.reopen().unwrap();
    writer.write(b"{}\n").unwrap();
    writer.flush().unwrap();
    assert!(!writer.is_deleted());
    assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
}

#[test]
fn a_missing_folder_is_told_by_name() {
    let error = EveWriter::create(Path::new("/nonexistent/eve.json")).unwrap_err().to_string();
    assert!(error.starts_with("cannot open the EVE file /nonexistent/eve.json: No such file"), "{error}");
}

/// A writer to a standard output that nobody reads any more.
fn unread(reader_may_leave: bool) -> EveWriter {
    let (reader, pipe) = io::pipe().unwrap();
    drop(reader);
    let sink = File::from(std::os::fd::OwnedFd::from(pipe));
    let mut writer = EveWriter::new(Target::Stdout, Box::new(sink), 0);
    writer.reader_may_leave = reader_may_leave;
    writer
}

#[test]
fn a_reader_that_may_leave_is_no_error() {
    let mut writer = unread(true);
    writer.write(b"{}\n").unwrap();
    writer.flush().unwrap();
    assert!(writer.is_closed());
    assert_eq!((writer.lost_lines(), writer.first_error()), (0, None));
}

#[test]
fn lines_of_a_sensor_that_goes_on_without_its_reader_are_lost_and_that_is_told_once() {
    let mut writer = unread(false);
    writer.write(b"{}\n").unwrap();
    let error = writer.flush().unwrap_err().to_string();
    assert!(error.starts_with("cannot write to standard output: Broken pipe"), "{error}");
    writer.write(b"{}\n{}\n").unwrap();
    writer.flush().unwrap();
    assert_eq!((writer.lost_lines(), writer.is_closed(), writer.first_error()), (3, false, Some(error.as_str())));
}

/// A log shipper that reads a named pipe is started anew: what it missed is lost and counted, and it is told the rest.
#[test]
fn the_reader_of_a_named_pipe_may_go_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("eve.pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    // Read and write, so that neither end waits for the other.
    let reader = || OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let first = reader();
    let mut writer = EveWriter::append(&path).unwrap();
    writer.write(b"{\"a\":1}\n").unwrap();
    writer.flush().unwrap();
    drop(first);
    writer.write(b"{\"b\":2}\n").unwrap();
    let error = writer.flush().unwrap_err().to_string();
    assert!(error.contains("Broken pipe"), "{error}");
    assert_eq!((writer.lost_lines(), writer.is_closed()), (1, false));
    let mut second = reader();
    writer.write(b"{\"c\":3}\n").unwrap();
    writer.flush().unwrap();
    let mut read = [0; 64];
    let count = second.read(&mut read).unwrap();
    assert!(read[..count].ends_with(b"{\"c\":3}\n"), "{}", String::from_utf8_lossy(&read[..count]));
}

#[test]
fn a_pipe_finishes_the_line_it_began() {
    let pipe = Faulty { room: vec![9, 0, 1_000], ..Faulty::default() };
    let out = pipe.out.clone();
    let mut writer = EveWriter::new(Target::Stdout, Box::new(pipe), 0);
    writer.write(b"{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n").unwrap();
    writer.flush().unwrap_err();
    assert_eq!(*out.lock().unwrap(), b"{\"a\":1}\n{");
    writer.write(b"{\"d\":4}\n").unwrap();
    writer.flush().unwrap();
    writer.write(b"{\"e\":5}\n").unwrap();
    writer.flush().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.lock().unwrap()), "{\"a\":1}\n{\"b\":2}\n{\"d\":4}\n{\"e\":5}\n");
    assert_eq!(writer.lost_lines(), 1);
}

proptest! {
    /// However a sink fails, what is in it is whole lines but for one that is still owed, and every line is
    /// either there or counted.
    #[test]
    fn every_line_is_written_whole_or_counted(
        room in prop::collection::vec(0_usize..40, 0..12),
        sizes in prop::collection::vec(0_usize..30, 1..12),
        can_take_back: bool,
    ) {
        let sink = Faulty { room: room.into_iter().rev().collect(), can_take_back, ..Faulty::default() };
        let out = sink.out.clone();
        let mut writer = EveWriter::new(Target::Stdout, Box::new(sink), 0);
        for (index, size) in sizes.iter().enumerate() {
            let line = format!("{index}:{}\n", "x".repeat(*size));
            let _ = writer.write(line.as_bytes());
            let _ = writer.flush();
        }
        let _ = writer.flush();
        let text = String::from_utf8(out.lock().unwrap().clone()).unwrap();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        for line in whole.clone() {
            let (index, rest) = line.split_once(':').unwrap();
            prop_assert_eq!(rest.len() - 1, sizes[index.parse::<usize>().unwrap()]);
        }
        let owed = usize::from(!writer.owed.is_empty());
        prop_assert_eq!(whole.count() + owed + writer.lost_lines() as usize, sizes.len());
        prop_assert!(!can_take_back || owed == 0);
    }
}

/// A sink that takes as many bytes as its last figure says, a figure a call, and fails when that is zero.
/// With no figures left it takes everything.
#[derive(Debug, Default)]
struct Faulty {
    room: Vec<usize>,
    out: Arc<Mutex<Vec<u8>>>,
    can_take_back: bool,
}

impl Write for Faulty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = if self.room.is_empty() { usize::MAX } else { self.room.remove(0) };
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = room.min(bytes.len());
        self.out.lock().unwrap().extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Faulty {
    fn take_back(&mut self, bytes: u64) -> io::Result<bool> {
        let mut out = self.out.lock().unwrap();
        let left = out.len() - usize::try_from(bytes).unwrap();
        if self.can_take_back {
            out.truncate(left);
        }
        Ok(self.can_take_back)
    }
}
