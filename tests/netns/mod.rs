//! A wire of our own: two network namespaces joined by a virtual cable, a real Postfix at one end.
//!
//! Needs root and the programs that `tests/setup.sh --all` installs. Nothing leaves the namespaces: they have no
//! route but their own subnet, and Postfix discards what it takes.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

pub use space::{Namespace, PATIENCE, require, run, skip, wait_until};

mod space;

/// Two namespaces and the cable between them; gone when dropped.
pub struct Wire {
    /// Where mail and replayed packets come from.
    pub sender: Namespace,
    /// Where Postfix serves and the sensor listens.
    pub receiver: Namespace,
    dir: tempfile::TempDir,
}

impl Wire {
    /// Lays the cable; or says why that cannot be done here.
    pub fn lay() -> Result<Self, String> {
        require(&["ip", "swaks", "postfix", "tcpreplay", "curl", "zip", "sha256sum"])?;
        static WIRES: AtomicU32 = AtomicU32::new(0);
        let tag = format!("{}-{}", std::process::id(), WIRES.fetch_add(1, Ordering::Relaxed));
        let end = |name: &str, last| {
            // Interface names are bounded by 15 bytes (IFNAMSIZ).
            let interface = format!("ms{name}{}", tag.replace('-', "")).chars().take(15).collect();
            Namespace::make(format!("mailsnare-{name}-{tag}"), interface, Ipv4Addr::new(10, 77, 0, last))
        };
        let dir = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        // Postfix gives up root and must still reach its queue.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).map_err(|error| error.to_string())?;
        let wire = Self { sender: end("a", 1)?, receiver: end("b", 2)?, dir };
        wire.connect()?;
        Ok(wire)
    }

    fn connect(&self) -> Result<(), String> {
        let (a, b) = (&self.sender, &self.receiver);
        let cable = ["link", "add", &a.interface, "netns", &a.name, "type", "veth", "peer", "name", &b.interface];
        run("ip", &[&cable[..], &["netns", &b.name]].concat())?;
        a.up()?;
        b.up()
    }

    /// A folder for this wire's files, readable by all.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts Postfix at the receiver and waits until it greets.
    pub fn start_postfix(&self) -> Postfix<'_> {
        let (conf, queue, data) = (self.dir().join("conf"), self.dir().join("queue"), self.dir().join("data"));
        for dir in [&conf, &queue, &data] {
            fs::create_dir(dir).unwrap();
        }
        run("chown", &["postfix", data.to_str().unwrap()]).unwrap();
        let (queue, data, address) = (queue.display(), data.display(), self.receiver.address);
        let main =
            format!("queue_directory = {queue}\ndata_directory = {data}\ninet_interfaces = {address}\n{POSTFIX_MAIN}");
        fs::write(conf.join("main.cf"), main).unwrap();
        fs::write(conf.join("master.cf"), POSTFIX_MASTER).unwrap();
        let log = fs::File::create(self.dir().join("maillog")).unwrap();
        let mut start = self.receiver.command("postfix");
        start.arg("-c").arg(&conf).arg("start-fg").stdin(Stdio::null());
        start.stdout(log.try_clone().unwrap()).stderr(log);
        let postfix = Postfix { wire: self, conf, master: start.spawn().unwrap() };
        let listening = wait_until(PATIENCE, || self.receiver.output("ss", &["-Hltn"]).contains(":25 "));
        assert!(listening, "Postfix does not listen:\n{}", postfix.log());
        postfix
    }
}

/// A running Postfix; stopped when dropped.
pub struct Postfix<'a> {
    wire: &'a Wire,
    conf: PathBuf,
    master: Child,
}

impl Postfix<'_> {
    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.wire.dir().join("maillog")).unwrap_or_default()
    }
}

impl Drop for Postfix<'_> {
    fn drop(&mut self) {
        let _ = self.wire.receiver.command("postfix").arg("-c").arg(&self.conf).arg("stop").output();
        if !wait_until(PATIENCE, || matches!(self.master.try_wait(), Ok(Some(_)))) {
            let _ = self.master.kill();
            let _ = self.master.wait();
        }
    }
}

/// Takes mail for one domain and throws it away; sends none anywhere.
const POSTFIX_MAIN: &str = "\
compatibility_level = 3.6
mail_owner = postfix
setgid_group = postdrop
maillog_file = /dev/stdout
inet_protocols = ipv4
myhostname = mx.mailsnare.test
mydestination = mailsnare.test
mynetworks = 10.77.0.0/24
local_recipient_maps =
alias_maps =
local_transport = discard
default_transport = discard
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_tls_security_level = none
message_size_limit = 10485760
";

const POSTFIX_MASTER: &str = "\
smtp      inet       n - n - 4 smtpd
cleanup   unix       n - n - 0 cleanup
qmgr      unix       n - n 300 1 qmgr
rewrite   unix       - - n - - trivial-rewrite
bounce    unix       - - n - 0 bounce
defer     unix       - - n - 0 bounce
discard   unix       - - n - - discard
anvil     unix       - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
";
