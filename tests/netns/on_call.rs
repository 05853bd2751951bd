//! The programs between a sensor and who is paged.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A program that runs until it is dropped, with its log beside the test's other files.
pub struct Program(pub Child);

impl Program {
    pub fn start(mut command: Command, dir: &Path, name: &str) -> Self {
        let file = fs::File::create(log(dir, name)).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Self(command.spawn().unwrap())
    }

    /// Starts the real Alertmanager by `command`, to listen at this address and to post its pages to this URL.
    pub fn alertmanager(mut command: Command, dir: &Path, listen: &str, webhook: &str) -> Self {
        let config = dir.join("alertmanager.yml");
        fs::write(&config, ALERTMANAGER.replace("WEBHOOK", webhook)).unwrap();
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.path={}", dir.join("alertmanager").display()));
        command.args([&format!("--web.listen-address={listen}"), "--cluster.listen-address="]);
        Self::start(command, dir, "alertmanager")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a program said so far.
pub fn said(dir: &Path, name: &str) -> String {
    fs::read_to_string(log(dir, name)).unwrap_or_default()
}

fn log(dir: &Path, name: &str) -> std::path::PathBuf {
    dir.join(format!("{name}.log"))
}

/// In a hurry, and one page a host.
const ALERTMANAGER: &str = "\
global: { resolve_timeout: 5s }
route: { receiver: pager, group_by: [alertname, host], group_wait: 0s, group_interval: 1s, repeat_interval: 1h }
receivers:
  - name: pager
    webhook_configs: [{ url: 'WEBHOOK', send_resolved: true }]
";
