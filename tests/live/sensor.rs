//! A sensor running on a wire of the test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;

use crate::lines;
use crate::netns::{PATIENCE, Wire, run, wait_until};

/// A sensor listening at the receiver's end.
pub struct Sensor<'a> {
    wire: &'a Wire,
    process: Child,
    pub eve: PathBuf,
}

impl<'a> Sensor<'a> {
    /// Starts it on the wire, and waits until it says that it is ready.
    pub fn start(wire: &'a Wire, options: &[&str]) -> Self {
        Self::start_as(wire, Path::new(env!("CARGO_BIN_EXE_mailsnare")), options, |command| command)
    }

    /// The same for another program file, and with whatever `prepare` makes of the command.
    pub fn start_as(
        wire: &'a Wire,
        program: &Path,
        options: &[&str],
        prepare: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let mut sensor = Self::begin(wire, program, options, prepare);
        let ready = wait_until(PATIENCE, || sensor.get("/readyz").is_some() || sensor.ended().is_some());
        assert!(ready && sensor.ended().is_none(), "the sensor does not start: {}", sensor.log());
        sensor
    }

    /// Starts it and does not wait. Without `--eve` or `--config` among the options EVE lines go to `eve.json`.
    pub fn begin(
        wire: &'a Wire,
        program: &Path,
        options: &[&str],
        prepare: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let eve = wire.dir().join("eve.json");
        let mut command = wire.receiver.command(program.to_str().unwrap());
        command.args(["live", "--interface", &wire.receiver.interface, "--metrics", METRICS]);
        if !options.contains(&"--eve") {
            command.arg("--eve").arg(&eve);
        }
        command.args(options).stdin(Stdio::null()).stdout(Stdio::null());
        let log = fs::File::create(wire.dir().join("sensor.log")).unwrap();
        let process = prepare(&mut command).stderr(log).spawn().unwrap();
        Self { wire, process, eve }
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().unwrap()
    }

    /// Its process; `ip netns exec` has become it.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn signal(&self, name: &str) {
        run("kill", &[&format!("-{name}"), &self.pid().to_string()]).unwrap();
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.wire.dir().join("sensor.log")).unwrap_or_default()
    }

    /// Waits until its log says this, and then so often.
    pub fn wait_for_log(&self, what: &str, times: usize) {
        let said = wait_until(PATIENCE, || self.log().matches(what).count() >= times);
        assert!(said, "'{what}' is not said {times} times:\n{}", self.log());
    }

    /// Asks its HTTP server; none when it does not answer with success.
    pub fn get(&self, path: &str) -> Option<String> {
        let url = format!("http://{METRICS}{path}");
        let output = self.wire.receiver.command("curl").args(["-sf", "--max-time", "5", &url]).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// Waits until its HTTP server answers so: what stands in the answer, with the status at its end.
    pub fn wait_for_answer(&self, path: &str, status: &str, what: &str) {
        let url = format!("http://{METRICS}{path}");
        let mut last = String::new();
        // What it waits for takes as long as a test does otherwise.
        let answered = wait_until(2 * PATIENCE, || {
            let mut curl = self.wire.receiver.command("curl");
            let output = curl.args(["-s", "--max-time", "5", "--write-out", "%{http_code}", &url]).output().unwrap();
            last = String::from_utf8(output.stdout).unwrap();
            last.ends_with(status) && last.contains(what)
        });
        assert!(answered, "{path} says {last}: {}", self.log());
    }

    pub fn metrics(&self) -> String {
        self.get("/metrics").unwrap_or_else(|| panic!("no metrics: {}", self.log()))
    }

    /// Waits until its metrics are as they should be.
    pub fn wait_for_metrics(&self, are: impl Fn(&str) -> bool) {
        let mut last = String::new();
        let done = wait_until(PATIENCE, || {
            last = self.metrics();
            are(&last)
        });
        assert!(done, "{last}\n{}", self.log());
    }

    /// Waits for its end, and gives the exit code.
    pub fn end(&mut self) -> Option<i32> {
        let mut status = None;
        wait_until(PATIENCE, || {
            status = self.ended();
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// Ends it as a service manager would; it must drain, exit with 0, and leave whole lines behind.
    pub fn stop(mut self) -> Vec<Value> {
        self.signal("TERM");
        assert_eq!(self.end(), Some(0), "after SIGTERM: {}", self.log());
        lines(&fs::read_to_string(&self.eve).unwrap())
    }
}

impl Drop for Sensor<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where the sensor serves metrics, within its namespace.
const METRICS: &str = "127.0.0.1:9847";
