//! Network namespaces and the programs in them.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

pub use run::{PATIENCE, require, run, skip, wait_until};

#[path = "run.rs"]
mod run;

/// A network namespace with one interface; gone when dropped, with all that runs in it.
pub struct Namespace {
    pub name: String,
    pub interface: String,
    pub address: Ipv4Addr,
}

impl Namespace {
    /// Makes a namespace, still without its interface.
    pub fn make(name: String, interface: String, address: Ipv4Addr) -> Result<Self, String> {
        run("ip", &["netns", "add", &name])?;
        let space = Self { name, interface, address };
        run("ip", &["-n", &space.name, "link", "set", "lo", "up"])?;
        Ok(space)
    }

    /// Gives its interface, which is there by now, the address.
    pub fn up(&self) -> Result<(), String> {
        run("ip", &["-n", &self.name, "addr", "add", &format!("{}/24", self.address), "dev", &self.interface])?;
        run("ip", &["-n", &self.name, "link", "set", &self.interface, "up"])?;
        Ok(())
    }

    /// A command that will run here.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs a program here and returns its standard output.
    pub fn output(&self, program: &str, args: &[&str]) -> String {
        let output = self.command(program).args(args).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{program} {args:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What still runs there would keep the namespace alive.
        for pid in run("ip", &["netns", "pids", &self.name]).unwrap_or_default().lines() {
            let _ = run("kill", &["-KILL", pid]);
        }
        let _ = run("ip", &["netns", "del", &self.name]);
    }
}
