//! The Debian package, on a Debian of its own: it installs, works without anything else, keeps its configuration when it
//! is removed, and leaves nothing behind when it is purged.
//!
//! The system is made by debootstrap in a folder under `target/`, and used through chroot. What is packed is the test
//! build, so that no other is needed: `bash debian/build.sh` packs the release.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[test]
fn the_package_installs_works_and_goes_without_a_trace() {
    if let Some(why) = missing() {
        assert!(std::env::var_os("CI").is_none(), "{why}");
        eprintln!("skipped: {why}");
        return;
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
    assert!(fs::read_to_string(system.path("var/log/mailsnare/eve.json")).unwrap().lines().count() > 1_000);

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

#[test]
fn the_unit_is_hardened_and_understood() {
    let unit = "debian/mailsnare.service";
    let Ok(output) = Command::new("systemd-analyze")
        .args(["security", "--no-pager", "--offline=true", "--threshold=20", unit])
        .output()
    else {
        assert!(std::env::var_os("CI").is_none(), "no systemd-analyze");
        eprintln!("skipped: no systemd-analyze (package systemd)");
        return;
    };
    // It complains of settings that it does not know, and of a score above 2.0.
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Why the package cannot be tried here.
fn missing() -> Option<&'static str> {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let debootstrap = Path::new("/usr/sbin/debootstrap").exists();
    match (root, debootstrap) {
        (false, _) => Some("only root may make a system of its own (run as root)"),
        (_, false) => Some("debootstrap is not installed (bash tests/setup.sh --all)"),
        _ => None,
    }
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
        make.args(["--variant=minbase", "--include=adduser,libpcap0.8", name]).arg(folder.path()).arg(site);
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
