//! A system that was booted as a container: systemd is its first process, and it has an interface that a test can send to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::netns::{PATIENCE, run, wait_until};

/// Gone when dropped, with all that runs in it; the folder stays.
pub struct Booted {
    /// `unshare`, which takes the system's first process along when it is killed.
    process: Child,
    init: String,
    group: PathBuf,
}

impl Booted {
    /// Boots the system in this folder, and waits until its systemd answers.
    pub fn start(root: &Path) -> Self {
        let group = format!("mailsnare-package-{}", std::process::id());
        let mounted = run("findmnt", &["--noheadings", "--first-only", "--types", "cgroup2", "--output", "TARGET"]);
        let path = Path::new(mounted.unwrap().trim()).join(&group);
        let log = fs::File::create(root.with_extension("log")).unwrap();
        let mut boot = Command::new("sh");
        boot.arg("tests/package/boot.sh").arg(root).arg(&group).stdin(Stdio::null());
        let process = boot.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let children = format!("/proc/{0}/task/{0}/children", process.id());
        let mut booted = Self { process, init: String::new(), group: path };
        let up = wait_until(PATIENCE, || {
            booted.init = fs::read_to_string(&children).unwrap_or_default().trim().to_owned();
            !booted.init.is_empty() && booted.try_run("systemctl is-active --quiet multi-user.target").is_ok()
        });
        let said = fs::read_to_string(root.with_extension("log")).unwrap_or_default();
        fs::remove_file(root.with_extension("log")).unwrap();
        assert!(up, "the system does not boot: {said}");
        booted
    }

    /// Runs a shell command in it; gives what it printed, or how it failed.
    pub fn try_run(&self, command: &str) -> Result<String, String> {
        let place = ["--target", &self.init, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"];
        let clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "sh", "-c", command];
        run("nsenter", &[&place[..], &clean[..]].concat())
    }

    /// The same for one that must succeed.
    pub fn run(&self, command: &str) -> String {
        self.try_run(command).unwrap_or_else(|why| panic!("{why}\n{}", self.journal()))
    }

    /// Runs a program of this machine in the system's network.
    pub fn in_network(&self, program: &str, args: &[&str]) -> Result<String, String> {
        run("nsenter", &[&["--target", &self.init, "--net", program], args].concat())
    }

    /// What systemd knows of the sensor, by the names of properties.
    pub fn unit<const N: usize>(&self, properties: [&str; N]) -> [String; N] {
        let value = |name| self.run(&format!("systemctl show --property={name} --value mailsnare")).trim().to_owned();
        properties.map(value)
    }

    /// What the sensor and systemd said of it.
    pub fn journal(&self) -> String {
        self.try_run("journalctl --no-pager --quiet --unit mailsnare").unwrap_or_default()
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // A group can only be removed once all that ran in it is gone.
        wait_until(PATIENCE, || {
            let _ = run("find", &[self.group.to_str().unwrap(), "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
            !self.group.exists()
        });
    }
}
