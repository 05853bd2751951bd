//! Why no packets can be had.

use std::io;

use crate::model::limits;

/// Why no packets can be had. Each says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error("no capture given; name files or folders, or - for standard input")]
    NothingGiven,

    #[error("{path}: no such file or folder; check the path")]
    NotFound { path: String },

    #[error("{path}: no permission to read it; run as a user who may, or grant it (chmod, chown)")]
    NoPermission { path: String },

    #[error("{path}: could not be read: {cause}")]
    Unreadable { path: String, cause: io::Error },

    /// `what` is a verb phrase: what it is instead, and what to do where something particular helps.
    #[error("{path}: {what}; give a pcap or pcapng file, plain or compressed with gzip or zstd")]
    NotACapture { path: String, what: String },

    #[error(
        "{path}: no capture in this folder (files looked at: {looked_at}); give one that holds pcap or pcapng files"
    )]
    NoCaptureInFolder { path: String, looked_at: usize },

    #[error("{path}: more than {} files in one replay; replay it in parts", limits::CAPTURE_FILES)]
    TooManyFiles { path: String },

    #[error("standard input (-) was given twice; it can be read only once")]
    StandardInputTwice,

    /// `message` is libpcap's.
    #[error("filter '{filter}' cannot be used: {message}; its language is described in pcap-filter(7)")]
    BadFilter { filter: String, message: String },

    #[error("no interface named '{interface}'; {}", interfaces(.available))]
    NoSuchInterface { interface: String, available: Vec<String> },

    #[error(
        "no permission to capture on '{interface}'; run with sudo, or grant it once: \
         sudo setcap cap_net_raw=ep PATH_OF_MAILSNARE"
    )]
    NoCapturePermission { interface: String },

    #[error("interface '{interface}' is down; bring it up: sudo ip link set {interface} up")]
    InterfaceDown { interface: String },

    #[error("interface '{interface}' disappeared while capturing; bring it back and start again")]
    InterfaceLost { interface: String },

    /// `message` is libpcap's or the kernel's.
    #[error("capture on '{interface}' failed: {message}; check the interface with 'ip link' and the kernel log")]
    CaptureFailed { interface: String, message: String },
}

impl CaptureError {
    /// The error for a path that could not be opened or examined.
    pub(super) fn from_io(path: String, cause: io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            io::ErrorKind::PermissionDenied => Self::NoPermission { path },
            _ => Self::Unreadable { path, cause },
        }
    }
}

fn interfaces(available: &[String]) -> String {
    if available.is_empty() {
        "none can be seen here; list them with 'ip link'".to_owned()
    } else {
        format!("there are {}", available.join(", "))
    }
}
