//! Running programs, and waiting for what they do.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Whether namespaces can be made here, and these programs are there; or why not.
pub fn require(programs: &[&str]) -> Result<(), String> {
    if run("id", &["-u"])? != "0\n" {
        return Err("network namespaces need root".to_owned());
    }
    for program in programs {
        run("sh", &["-c", &format!("command -v {program}")])
            .map_err(|_| format!("{program} is not installed; 'bash tests/setup.sh --all' installs it"))?;
    }
    Ok(())
}

/// Waits until `done`, at most so long; says whether it came to that.
pub fn wait_until(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !done() {
        if started.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// Says that a test was skipped, past the test harness's capture of output. Where `CI` is true nothing may be skipped.
pub fn skip(why: &str) {
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "nothing is skipped in CI: {why}");
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Runs a program to its end and returns its standard output, or what it complained of.
pub fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program} does not start: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(format!("{program} {args:?}: {}", text(&output.stderr).trim_end())),
    }
}

/// Longest wait for anything that a test does: slow machines get there as well.
pub const PATIENCE: Duration = Duration::from_secs(30);
