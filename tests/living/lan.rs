//! A network of our own: three mail servers and a client behind a switch in user space, and a mirror port.
//!
//! Everything is in namespaces that have no route but their own subnet. All of it ends with the [`Lan`].

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::space::{Namespace, PATIENCE, require, run, wait_until};

/// The network. Its parts are dropped in the order of the fields: what listens before what carries.
pub struct Lan {
    client: Namespace,
    servers: Vec<Namespace>,
    /// The servers' first processes.
    masters: Vec<Child>,
    /// The switch, and beside it whoever listens at its mirror port.
    switch: Child,
    hub: Namespace,
    dir: tempfile::TempDir,
}

/// A process that listens at the mirror port.
pub struct Listener {
    process: Child,
    log: PathBuf,
}

impl Lan {
    /// Lays the network, still without servers; or says why that cannot be done here.
    pub fn lay() -> Result<Self, String> {
        require(&["ip", "ss", "postfix", "swaks", "msmtp", "tcpdump", "openssl", "python3"])?;
        let packages = packages();
        for program in ["exim4", "smtpd"] {
            if !packages.join("usr/sbin").join(program).exists() {
                return Err(format!("{program} is not unpacked; 'bash tests/setup.sh --all' does it"));
            }
        }
        if !Path::new("/dev/net/tun").exists() {
            return Err("there is no /dev/net/tun; 'modprobe tun' makes it".to_owned());
        }
        let overlays = fs::read_to_string("/proc/filesystems").unwrap_or_default().contains("overlay");
        if !overlays && run("modprobe", &["overlay"]).is_err() {
            return Err("the kernel has no overlay file system, through which the unpacked servers run".to_owned());
        }
        let dir = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        // The servers give up root and must still reach their mail.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).map_err(|error| error.to_string())?;

        let space = |interface: &str, last| {
            let name = format!("mailsnare-living-{interface}-{}", std::process::id());
            Namespace::make(name, interface.to_owned(), [10, 78, 0, last].into())
        };
        let (hub, client) = (space("mirror", 2)?, space("client", 1)?);
        let servers = SERVERS.iter().map(|(name, last)| space(name, *last)).collect::<Result<Vec<_>, _>>()?;
        let mut switch = hub.command("python3");
        switch.arg(script("wire.py")).args(["mirror", "client", "postfix", "exim", "open"]);
        let switch = switch.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
        let mut lan = Self { client, servers, masters: Vec::new(), switch, hub, dir };
        lan.plug()?;
        Ok(lan)
    }

    fn plug(&mut self) -> Result<(), String> {
        let mut ready = String::new();
        if let Some(said) = self.switch.stdout.as_mut() {
            let _ = BufReader::new(said).read_line(&mut ready);
        }
        if ready != "ready\n" {
            return Err("the switch in user space does not start".to_owned());
        }
        run("ip", &["-n", &self.hub.name, "link", "set", "mirror", "up"])?;
        for end in self.servers.iter().chain([&self.client]) {
            run("ip", &["-n", &self.hub.name, "link", "set", &end.interface, "netns", &end.name])?;
            end.up()?;
        }
        Ok(())
    }

    /// Starts the mail servers and waits until all of them listen.
    pub fn serve(&mut self) {
        let path = |name: &str| self.dir().join(name).to_str().unwrap().to_owned();
        let (key, certificate) = (path("key.pem"), path("cert.pem"));
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
        let names = ["-subj", "/CN=mx.living.test", "-keyout", &key, "-out", &certificate];
        run("openssl", &[&["req", "-x509"][..], &curve, &names].concat()).unwrap();
        for server in &self.servers {
            let dir = self.dir().join(&server.interface);
            fs::create_dir_all(dir.join("mail")).unwrap();
            let log = fs::File::create(dir.join("log.txt")).unwrap();
            let mut start = server.command("bash");
            start.arg(script(&format!("{}.sh", server.interface))).arg(packages()).arg(&dir).stdin(Stdio::null());
            self.masters.push(start.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        }
        for server in &self.servers {
            let listens = wait_until(PATIENCE, || server.output("ss", &["-Hltn"]).contains(":25 "));
            assert!(listens, "{} does not listen:\n{}", server.interface, self.log(server));
        }
    }

    /// From now on the switch loses, reorders and doubles frames.
    pub fn let_faults_in(&self) {
        run("kill", &["-USR1", &self.switch.id().to_string()]).unwrap();
    }

    /// Sends a round of letters by all clients to all servers.
    pub fn send(&self, round: u32) {
        let mut command = self.client.command("timeout");
        command.args(["--kill-after=5", "100", "python3"]).arg(script("send.py")).arg(round.to_string());
        let output = command.arg(self.dir()).stdin(Stdio::null()).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "round {round} does not end well: {complaint}\n{}", self.logs());
    }

    /// Waits until the servers have passed on all that they will, and says what they stored.
    pub fn settle(&self) -> String {
        let count = || -> usize {
            let entries = |server: &Namespace| fs::read_dir(self.dir().join(&server.interface).join("mail/new"));
            self.servers.iter().filter_map(|server| entries(server).ok()).map(Iterator::count).sum()
        };
        let (mut before, mut quiet) = (0, 0);
        let settled = wait_until(PATIENCE, || {
            std::thread::sleep(Duration::from_millis(450));
            let now = count();
            quiet = if now == before { quiet + 1 } else { 0 };
            before = now;
            quiet >= QUIET
        });
        assert!(settled, "the servers do not come to rest:\n{}", self.logs());
        run("python3", &[&script("stored.py"), self.dir().to_str().unwrap()]).unwrap()
    }

    /// Starts a program at the mirror port and waits until it says `ready` on standard error.
    pub fn listen(&self, program: &str, args: &[&str], ready: &str) -> Listener {
        let log = self.dir().join(format!("{}.log", program.rsplit('/').next().unwrap()));
        let mut command = self.hub.command(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let listener = Listener { process: command.spawn().unwrap(), log };
        assert!(wait_until(PATIENCE, || listener.log().contains(ready)), "{program}: {}", listener.log());
        listener
    }

    /// Where this network's files are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The client's address.
    pub fn client(&self) -> String {
        self.client.address.to_string()
    }

    fn log(&self, server: &Namespace) -> String {
        let mut log = Vec::new();
        if let Ok(mut file) = fs::File::open(self.dir().join(&server.interface).join("log.txt")) {
            let _ = file.read_to_end(&mut log);
        }
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn logs(&self) -> String {
        self.servers.iter().map(|server| format!("{}:\n{}\n", server.interface, self.log(server))).collect()
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        // What these started ends with its namespace.
        for process in self.masters.iter_mut().chain([&mut self.switch]) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Listener {
    /// Ends it as a person at a terminal would, and returns what it said; it must end well.
    pub fn stop(mut self) -> String {
        run("kill", &["-INT", &self.process.id().to_string()]).unwrap();
        let mut status = None;
        wait_until(PATIENCE, || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.and_then(|status| status.code()), Some(0), "{}", self.log());
        self.log()
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where `tests/setup.sh` unpacks the servers that cannot be installed beside Postfix.
fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mail-servers")
}

fn script(name: &str) -> String {
    format!("{}/tests/living/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Each server's name and the last byte of its address.
const SERVERS: [(&str, u8); 3] = [("postfix", 25), ("exim", 26), ("open", 27)];

/// Looks, half a second apart, without a new message until the servers are taken to be done. Their retries are two
/// seconds apart.
const QUIET: u32 = 10;
