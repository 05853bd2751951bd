//! The Debian package, on a Debian of its own: it installs, works without anything else, runs as a service under a real
//! systemd, keeps its configuration when it is removed, and leaves nothing behind when it is purged.
//!
//! The system is made by debootstrap in a folder under `target/`, used through chroot, and booted as a container for the
//! service. What is packed is the test build, so that no other is needed: `bash debian/build.sh` packs the release.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use booted::Booted;
use netns::{PATIENCE, require, skip, wait_until};

mod booted;
#[path = "../netns/run.rs"]
mod netns;

#[test]
fn the_package_installs_works_and_goes_without_a_trace() {
    if let Some(why) = missing() {
        return skip(&why);
    }
    let system = System::new();
    let mut build = Command::new("bash");
    build
        .args(["debian/build.sh", env!("CARGO_BIN_EXE_mailsnare")])
        .arg(system.path("tmp/mailsnare.deb"))
        .arg("--fast");
    run(&mut build);

    system.run("dpkg --install /tmp/mailsnare.deb");
    let version = format!("mailsnare {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(system.run("mailsnare --version"), version);
    // A user that owns what the sensor writes, and nothing else.
    let user = system.line_of("etc/passwd").expect("a user");
    assert!(user.ends_with(":/nonexistent:/usr/sbin/nologin"), "{user}");
    let id: u32 = user.split(':').nth(2).unwrap().parse().unwrap();
    for folder in ["var/log/mailsnare", "var/lib/mailsnare"] {
        let meta = fs::metadata(system.path(folder)).unwrap();
        assert_eq!((meta.uid(), meta.permissions().mode() & 0o777), (id, 0o750), "{folder}");
    }
    // It is not started: nobody has said where to listen.
    assert!(!system.path("etc/systemd/system/multi-user.target.wants/mailsnare.service").exists());

    let checked = system.run("mailsnare rules check /usr/share/mailsnare/rules");
    assert!(checked.contains(" tests"), "{checked}");
    let page = system.run("zcat /usr/share/man/man1/mailsnare.1.gz");
    assert!(page.contains(".TH mailsnare 1") && page.contains("replay"), "{page}");
    assert!(system.run("bash -n /usr/share/bash-completion/completions/mailsnare").is_empty());
    // The main job, as the user it runs as, with the configuration that was installed but for the interface.
    fs::copy("pcaps/mimail-c-outbreak/trace.pcap", system.path("tmp/trace.pcap")).unwrap();
    let found = system.run(
        "setpriv --reuid mailsnare --regid mailsnare --clear-groups mailsnare replay \
         --config /etc/mailsnare/mailsnare.toml --metrics off /tmp/trace.pcap",
    );
    assert!(found.starts_with("1 host is infected: 10.20.1.26 (mimail-c)"), "{found}");
    let eve = system.path("var/log/mailsnare/eve.json");
    assert!(fs::read_to_string(&eve).unwrap().lines().count() > 1_000);
    fs::remove_file(eve).unwrap();
    // What other programs load, and every page that another one links to.
    assert!(system.path("usr/share/mailsnare/prometheus/mailsnare.rules.yml").exists());
    assert!(system.path("usr/share/mailsnare/grafana/mailsnare.json").exists());
    pages_lead_somewhere(&system.path("usr/share/doc/mailsnare"));

    the_service_runs(&system);

    let configuration = system.path("etc/mailsnare/mailsnare.toml");
    fs::write(&configuration, "interface = [\"mirror0\"]\n").unwrap();
    system.run("dpkg --remove mailsnare");
    assert_eq!(fs::read_to_string(&configuration).unwrap(), "interface = [\"mirror0\"]\n");
    assert!(!system.path("usr/bin/mailsnare").exists());

    system.run("dpkg --purge mailsnare");
    fs::remove_file(system.path("tmp/mailsnare.deb")).unwrap();
    assert_eq!(system.run("find / -xdev -name *mailsnare*"), "");
    assert_eq!((system.line_of("etc/passwd"), system.line_of("etc/group")), (None, None));
}

/// The unit as it was installed, under systemd, with all its confinement: it becomes ready, hears the outbreak, keeps
/// evidence, is told to reload, is started anew when it hangs and when it is killed, and stops in order.
fn the_service_runs(system: &System) {
    let configuration = system.path("etc/mailsnare/mailsnare.toml");
    let text = fs::read_to_string(&configuration).unwrap();
    let text = text.replace("# evidence = ", "evidence = ").replace("# extract = ", "extract = ");
    fs::write(&configuration, text + "syslog = \"unix\"\n").unwrap();
    let drop_in = system.path("etc/systemd/system/mailsnare.service.d");
    fs::create_dir(&drop_in).unwrap();
    // The watchdog is for hours of quiet: here it must not take long.
    fs::write(drop_in.join("quick.conf"), "[Service]\nWatchdogSec=8\n").unwrap();
    let booted = Booted::start(system.0.path());
    booted.in_network("ip", &["link", "add", "wire0", "type", "veth", "peer", "name", "eth1"]).unwrap();
    for end in ["wire0", "eth1"] {
        booted.in_network("ip", &["link", "set", end, "up"]).unwrap();
    }

    // systemctl comes back when the sensor has said that it is ready.
    booted.run("systemctl start mailsnare");
    let told = booted.unit(["ActiveState", "StatusText", "NRestarts"]);
    assert_eq!(told, ["active", "listening on eth1", "0"]);
    let journal = booted.journal();
    assert!(journal.contains("confined: capabilities: CAP_NET_RAW") && !journal.contains("not confined"), "{journal}");
    let ready = booted.in_network("curl", &["-sf", "--max-time", "5", "http://127.0.0.1:9847/readyz"]);
    assert_eq!(ready.as_deref(), Ok("ok\n"));
    booted.in_network("tcpreplay", &["--intf1=wire0", "--pps=5000", "pcaps/mimail-c-outbreak/trace.pcap"]).unwrap();
    let count = |folder: &str| fs::read_dir(system.path(folder)).map_or(0, Iterator::count);
    let kept = || count("var/lib/mailsnare/evidence") == 1 && count("var/lib/mailsnare/files") > 0;
    assert!(wait_until(PATIENCE, kept), "{}", booted.journal());
    let told = |what: &str, times: usize| wait_until(PATIENCE, || booted.journal().matches(what).count() >= times);
    assert!(told("[mailsnare@32473 rule=\"mimail-c\"", 100), "syslog: {}", booted.journal());
    booted.run("systemctl reload mailsnare");
    assert!(told("rules read anew", 1), "{}", booted.journal());
    assert_eq!(booted.unit(["ActiveState", "NRestarts"]), ["active", "0"]);

    for (times, (signal, result)) in [("STOP", "result 'watchdog'"), ("KILL", "result 'signal'")].iter().enumerate() {
        booted.run(&format!("systemctl kill --signal={signal} mailsnare"));
        let again = ["active".to_owned(), (times + 1).to_string()];
        let restarted = wait_until(PATIENCE, || booted.unit(["ActiveState", "NRestarts"]) == again);
        assert!(restarted && booted.journal().contains(result), "{signal}: {}", booted.journal());
    }
    booted.run("systemctl stop mailsnare");
    let ended = booted.unit(["Result", "ExecMainStatus", "ActiveState"]);
    assert_eq!(ended, ["success", "0", "inactive"]);
    let eve = fs::read_to_string(system.path("var/log/mailsnare/eve.json")).unwrap();
    let whole = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
    assert!(eve.ends_with('\n') && eve.lines().all(whole));
    assert!(eve.contains("\"verdict\":\"infected\""), "{}", booted.journal());
    drop(booted);
    fs::remove_dir_all(drop_in).unwrap();
    // Its journal has its name in it.
    fs::remove_dir_all(system.path("var/log/journal")).unwrap_or_default();
}

/// Every relative link of the pages in this folder.
fn pages_lead_somewhere(folder: &Path) {
    let link = regex::Regex::new(r"\]\(([^)#:]+)(?:#[^)]*)?\)").unwrap();
    let pages = ["README.md", "docs/alerting.md", "docs/deployment.md", "docs/live.md", "docs/VERDICT.md"];
    for page in pages {
        let text = fs::read_to_string(folder.join(page)).unwrap();
        for target in link.captures_iter(&text).map(|found| found[1].to_owned()) {
            let there = folder.join(page).parent().unwrap().join(&target).exists();
            assert!(there, "{page} links to {target}, which the package has not");
        }
    }
}

#[test]
fn the_unit_is_hardened_and_understood() {
    let unit = "debian/mailsnare.service";
    let Ok(output) = Command::new("systemd-analyze")
        .args(["security", "--no-pager", "--offline=true", "--threshold=20", unit])
        .output()
    else {
        return skip("no systemd-analyze (package systemd)");
    };
    // It complains of settings that it does not know, and of a score above 2.0.
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Why the package cannot be tried here.
fn missing() -> Option<String> {
    if let Err(why) = require(&["debootstrap", "findmnt", "nsenter", "unshare", "ip", "tcpreplay", "curl"]) {
        return Some(why);
    }
    let mounted = fs::read_to_string("/proc/self/mounts").unwrap();
    let groups = mounted.lines().any(|line| line.split(' ').nth(2) == Some("cgroup2"));
    (!groups).then(|| "no control groups of the second kind are mounted, which systemd needs".to_owned())
}

/// A small Debian, removed when done.
struct System(tempfile::TempDir);

impl System {
    /// Of the release that this machine runs, from the mirror that it uses.
    fn new() -> Self {
        let release = fs::read_to_string("/etc/os-release").unwrap();
        let name = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap();
        let of_release = format!("Codename: {name}");
        let mut targets = Command::new("apt-get");
        targets.args(["indextargets", "--format", "$(SITE)", "Identifier: Packages", &of_release]);
        let sites = run(&mut targets);
        let site = sites.lines().next().expect("a Debian mirror in apt's sources");
        let folder = tempfile::tempdir_in("target").unwrap();
        let mut make = Command::new("debootstrap");
        make.args(["--variant=minbase", "--include=adduser,libpcap0.8,systemd", name]).arg(folder.path()).arg(site);
        run(&mut make);
        Self(folder)
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.0.path().join(inner)
    }

    /// Runs a command in it; gives what it printed.
    fn run(&self, command: &str) -> String {
        run(Command::new("chroot").arg(self.0.path()).args(command.split_whitespace()))
    }

    /// The user's line in a file such as `etc/passwd`.
    fn line_of(&self, file: &str) -> Option<String> {
        let text = fs::read_to_string(self.path(file)).unwrap();
        text.lines().find(|line| line.starts_with("mailsnare:")).map(str::to_owned)
    }
}

/// Runs a command that must succeed; gives what it printed.
fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.env("LC_ALL", "C").output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}
