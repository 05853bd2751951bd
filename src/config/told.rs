//! Where others are told of alerts and incidents.

use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::model::settings::SyslogTarget;

/// The base address of an Alertmanager, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alertmanager(pub String);

impl FromStr for Alertmanager {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") {
            return Err(format!(
                "'{text}' asks for TLS, which is not spoken to Alertmanager; use http:// to one on this machine, or to a \
                 proxy here that speaks TLS to it"
            ));
        }
        let authority = text.strip_prefix("http://").map(|rest| rest.split('/').next().unwrap_or_default());
        match authority.and_then(|authority| host_and_port(authority, HTTP_PORT)) {
            Some(_) if !text.contains(|c: char| c.is_whitespace() || "@?#".contains(c)) => {
                Ok(Self(text.trim_end_matches('/').to_owned()))
            }
            _ => Err(format!("'{text}' is no address of an Alertmanager; write it as http://127.0.0.1:9093")),
        }
    }
}

impl FromStr for SyslogTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("'{text}' is no place for syslog; write it as unix, unix:/path/to/socket, or udp://192.0.2.1:514")
        };
        if text == "unix" {
            return Ok(Self::Unix(DEV_LOG.into()));
        }
        if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            return Ok(Self::Unix(path.into()));
        }
        let place = text.strip_prefix("udp://").ok_or_else(wrong)?.trim_end_matches('/');
        let (host, port) = host_and_port(place, SYSLOG_PORT).ok_or_else(wrong)?;
        Ok(Self::Udp(host.to_owned(), port))
    }
}

/// Reads `host`, `host:port`, `[IPv6 address]` or `[IPv6 address]:port` (RFC 3986, section 3.2). Whether the name has an
/// address is seen later: a name server may come up after the sensor.
fn host_and_port(text: &str, default: u16) -> Option<(&str, u16)> {
    let read = |port: &str| port.parse().ok().filter(|port| *port != 0);
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            let bare = address.split('%').next().unwrap_or_default();
            bare.parse::<Ipv6Addr>().ok()?;
            (address, port)
        }
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            let is_part = |c: char| c.is_alphanumeric() || "-._".contains(c);
            if host.is_empty() || !host.chars().all(is_part) {
                return None;
            }
            (host, port)
        }
    };
    match port.strip_prefix(':') {
        Some(port) => Some((host, read(port)?)),
        None => port.is_empty().then_some((host, default)),
    }
}

/// Where the system's log is listening (syslog(3)).
const DEV_LOG: &str = "/dev/log";
const HTTP_PORT: u16 = 80;
/// RFC 5426, section 3.3.
const SYSLOG_PORT: u16 = 514;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alertmanager_is_named_by_its_base_address() {
        let read = |text: &str| text.parse::<Alertmanager>().map(|url| url.0);
        assert_eq!(read("http://127.0.0.1:9093/"), Ok("http://127.0.0.1:9093".into()));
        assert_eq!(read("http://am.example/prefix"), Ok("http://am.example/prefix".into()));
        for wrong in ["127.0.0.1:9093", "http://", "http:///x", "http://a b", "http://u:p@am.example", ""] {
            assert!(read(wrong).unwrap_err().contains("http://127.0.0.1:9093"), "{wrong}");
        }
        assert_eq!(read("http://[2001:db8::1]:9093"), Ok("http://[2001:db8::1]:9093".into()));
        for wrong in ["http://am.example:port", "http://am.example:0", "http://:9093", "http://[am]", "http://a,b"] {
            assert!(read(wrong).unwrap_err().contains("is no address of an Alertmanager"), "{wrong}");
        }
        assert!(read("https://am.example").unwrap_err().contains("proxy"));
    }

    #[test]
    fn syslog_goes_to_a_socket_or_over_udp() {
        let udp = |host: &str, port| Ok(SyslogTarget::Udp(host.to_owned(), port));
        for (text, place) in [
            ("unix", Ok(SyslogTarget::Unix("/dev/log".into()))),
            ("unix:/run/log.sock", Ok(SyslogTarget::Unix("/run/log.sock".into()))),
            ("unix:///run/log.sock", Ok(SyslogTarget::Unix("///run/log.sock".into()))),
            ("udp://192.0.2.1", udp("192.0.2.1", 514)),
            ("udp://log.example:1514/", udp("log.example", 1514)),
            ("udp://[2001:db8::1]:99", udp("2001:db8::1", 99)),
            ("udp://[2001:db8::1]", udp("2001:db8::1", 514)),
        ] {
            assert_eq!(text.parse::<SyslogTarget>(), place, "{text}");
        }
        for wrong in [
            "",
            "unix:log",
            "tcp://a:1",
            "udp://",
            "udp://a:b",
            "udp://a:0",
            "udp://[::1",
            "udp://2001:db8::1",
            "udp://a/b",
            "udp://a b",
            "udp://[a]:1",
            "udp://a:70000",
            "udp://[::1]1",
        ] {
            assert!(wrong.parse::<SyslogTarget>().unwrap_err().contains("udp://192.0.2.1:514"), "{wrong}");
        }
    }
}
