//! Which files the process can still open, by Landlock (landlock(7)); and that no TCP port can be opened by it.

use std::fs;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

/// Files that stay within reach: those named, and what is beneath them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    connect: bool,
}

impl Grants {
    /// What a sensor needs whatever its settings: interfaces as sysfs tells of them, its own state in procfs for the
    /// process metrics, and what libpcap looks up names in when a filter is compiled anew.
    pub fn system() -> Self {
        let read = SYSTEM.iter().map(PathBuf::from).collect();
        Self { read, write: Vec::new(), connect: false }
    }

    /// A file that is to be read again later: in place, or, since a file is often replaced by another of its name, in its
    /// folder. A folder that much else is in, as /etc, is not opened for it: see [`Grants::is_bound_to_file`].
    pub fn read_file(&mut self, path: &Path) {
        for path in [Some(path.to_owned()), linked(path)].into_iter().flatten() {
            if !Self::is_bound_to_file(&path) {
                self.read.push(folder(&path));
            }
            self.read.push(path);
        }
    }

    /// A folder that is to be read again later, and what links in it lead to.
    pub fn read_folder(&mut self, path: &Path) {
        self.read.push(path.to_owned());
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let links: Vec<_> = entries.filter_map(|entry| linked(&entry.path())).collect();
        links.iter().for_each(|link| self.read_file(link));
    }

    /// A file that is to be written, and made anew when it was moved away; or a device or pipe, for itself alone.
    pub fn write_file(&mut self, path: &Path) {
        let special = fs::metadata(path).is_ok_and(|meta| !meta.is_file());
        if special {
            return self.write.push(path.to_owned());
        }
        self.write.extend([Some(path.to_owned()), linked(path)].into_iter().flatten().map(|path| folder(&path)));
    }

    /// A folder in which files are made.
    pub fn write_folder(&mut self, path: &Path) {
        self.write.push(path.to_owned());
    }

    /// Connections to TCP ports elsewhere, which are refused otherwise.
    pub fn connect(&mut self) {
        self.connect = true;
    }

    /// Whether only the very file can be read again, not another one put in its place.
    pub fn is_bound_to_file(path: &Path) -> bool {
        let folder = fs::canonicalize(folder(path)).unwrap_or_else(|_| folder(path));
        COMMON.iter().any(|common| folder == Path::new(common))
    }
}

/// Leaves the process what is in `grants`; says how far that went.
pub(super) fn restrict(grants: &Grants) -> Result<String, String> {
    let status = apply(grants).map_err(|error| error.to_string())?;
    let ports = if grants.connect { "no TCP port to listen on" } else { "no TCP port" };
    let how = format!("{} to read, {} to write, {ports}", grants.read.len(), grants.write.len());
    match status {
        RulesetStatus::FullyEnforced => Ok(format!("Landlock ({how})")),
        RulesetStatus::PartiallyEnforced => Ok(format!("Landlock, as far as this kernel has it ({how})")),
        RulesetStatus::NotEnforced => Err("this kernel has no Landlock, or it is switched off".to_owned()),
    }
}

fn apply(grants: &Grants) -> Result<RulesetStatus, RulesetError> {
    let ports = if grants.connect { AccessNet::BindTcp.into() } else { AccessNet::from_all(KNOWN) };
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(ports)?
        .scope(Scope::Signal)?
        .create()?;
    for path in &grants.read {
        ruleset = allow(ruleset, path, AccessFs::ReadFile | AccessFs::ReadDir)?;
    }
    for path in &grants.write {
        let own = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::WriteFile | AccessFs::Truncate;
        ruleset = allow(ruleset, path, own | AccessFs::MakeReg | AccessFs::RemoveFile)?;
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

fn allow(ruleset: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    // What is not there is not granted: it may be a part of the system that this machine lacks.
    let Ok(opened) = PathFd::new(path) else { return Ok(ruleset) };
    let is_folder = fs::metadata(path).is_ok_and(|meta| meta.is_dir());
    let access = if is_folder { access } else { access & AccessFs::from_file(KNOWN) };
    ruleset.add_rule(PathBeneath::new(opened, access))
}

/// Where a link to a file leads, if it is one: Landlock goes by the files themselves, not by the names they are reached
/// under, and a file that is made anew behind a link is made in the folder that it leads to.
fn linked(path: &Path) -> Option<PathBuf> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
    is_link.then(|| fs::canonicalize(path).ok())?
}

/// The folder a file is in.
fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => PathBuf::from("/"),
    }
}

/// The newest rights that are asked for; the kernel grants what it knows of them (Linux 6.12 all).
const KNOWN: ABI = ABI::V6;
/// Libraries, since the C library loads some when a name is looked up.
const SYSTEM: [&str; 16] = [
    "/sys/class/net",
    "/sys/devices",
    "/proc/self",
    "/proc/stat",
    "/proc/sys/net",
    "/etc/services",
    "/etc/protocols",
    "/etc/networks",
    "/etc/ethers",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/ld.so.cache",
    "/lib",
    "/lib64",
    "/usr/lib",
];
/// Folders of the whole machine.
const COMMON: [&str; 8] = ["/", "/etc", "/usr", "/var", "/root", "/home", "/opt", "/srv"];

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn only_what_was_granted_can_be_opened() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["etc", "log", "other"] {
            fs::create_dir(at(folder)).unwrap();
        }
        fs::write(at("etc/rules.toml"), "old").unwrap();
        fs::write(at("other/file"), "x").unwrap();
        let open = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut grants = Grants::system();
        grants.read_file(&at("etc/rules.toml"));
        grants.write_file(&at("log/eve.json"));
        // Landlock holds for the thread that asked for it.
        let confined = std::thread::scope(|scope| {
            let work = || {
                let Ok(status) = apply(&grants) else { return false };
                if status == RulesetStatus::NotEnforced {
                    return false;
                }
                let denied =
                    |done: std::io::Result<()>| assert_eq!(done.unwrap_err().kind(), ErrorKind::PermissionDenied);
                // Rotation: moved away, and made anew.
                fs::write(at("log/eve.json"), "{}\n").unwrap();
                fs::rename(at("log/eve.json"), at("log/eve.json.1")).unwrap();
                fs::write(at("log/eve.json"), "{}\n").unwrap();
                assert_eq!(fs::read_to_string(at("etc/rules.toml")).unwrap(), "old");
                denied(fs::write(at("etc/rules.toml"), "new"));
                denied(fs::read(at("other/file")).map(|_| ()));
                denied(fs::write(at("other/new"), ""));
                for secret in ["/etc/shadow", "/etc/passwd", "/root/.ssh", "/home"] {
                    let path = Path::new(secret);
                    if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
                        denied(fs::read_dir(path).map(|_| ()));
                    } else if path.exists() {
                        denied(fs::read(path).map(|_| ()));
                    }
                }
                fs::read_to_string("/sys/class/net/lo/flags").unwrap();
                fs::read_to_string("/proc/self/stat").unwrap();
                true
            };
            scope.spawn(work).join().unwrap()
        });
        assert!(confined || !has_landlock(), "not confined");
        drop(open);
    }

    #[test]
    fn ports_are_closed_unless_connections_are_granted() {
        let there = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = there.local_addr().unwrap();
        for granted in [false, true] {
            let mut grants = Grants::system();
            if granted {
                grants.connect();
            }
            let done = std::thread::spawn(move || {
                let status = apply(&grants).map_err(|error| error.to_string());
                (status, TcpStream::connect(address).is_ok(), TcpListener::bind("127.0.0.1:0").is_ok())
            });
            let (status, connected, bound) = done.join().unwrap();
            if status == Ok(RulesetStatus::FullyEnforced) {
                assert_eq!((connected, bound), (granted, false));
            }
        }
    }

    #[test]
    fn a_folder_of_the_whole_machine_is_not_opened_for_one_file() {
        let mut grants = Grants::default();
        grants.read_file(Path::new("/etc/mailsnare.toml"));
        grants.read_file(Path::new("/etc/mailsnare/mailsnare.toml"));
        grants.read_file(Path::new("mine.toml"));
        let read = ["/etc/mailsnare.toml", "/etc/mailsnare", "/etc/mailsnare/mailsnare.toml", ".", "mine.toml"];
        assert_eq!(grants.read, read.map(PathBuf::from));
        grants.write_file(Path::new("/dev/null"));
        grants.write_file(Path::new("/var/log/mailsnare/eve.json"));
        assert_eq!(grants.write, ["/dev/null", "/var/log/mailsnare"].map(PathBuf::from));
    }

    #[test]
    fn links_are_granted_with_what_they_lead_to() {
        let dir = tempfile::tempdir().unwrap();
        let dir = fs::canonicalize(dir.path()).unwrap();
        for name in ["etc", "there", "rules", "shared", "log", "disk"] {
            fs::create_dir(dir.join(name)).unwrap();
        }
        for (link, to) in [
            ("etc/mailsnare.toml", "there/ours.toml"),
            ("rules/a.toml", "shared/b.toml"),
            ("log/eve.json", "disk/eve.json"),
        ] {
            fs::write(dir.join(to), "").unwrap();
            std::os::unix::fs::symlink(dir.join(to), dir.join(link)).unwrap();
        }
        let mut grants = Grants::default();
        grants.read_file(&dir.join("etc/mailsnare.toml"));
        grants.read_folder(&dir.join("rules"));
        grants.write_file(&dir.join("log/eve.json"));
        let read = ["etc", "etc/mailsnare.toml", "there", "there/ours.toml", "rules", "shared", "shared/b.toml"];
        assert_eq!(grants.read, read.map(|name| dir.join(name)));
        assert_eq!(grants.write, ["log", "disk"].map(|name| dir.join(name)));
    }

    fn has_landlock() -> bool {
        fs::read_to_string("/sys/kernel/security/lsm").map_or(true, |lsm| lsm.contains("landlock"))
    }
}
