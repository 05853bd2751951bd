//! Where others are told of alerts and incidents.

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
        match authority {
            Some(authority)
                if !authority.is_empty() && !text.contains(|c: char| c.is_whitespace() || "@?#".contains(c)) =>
            {
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
        // An IPv6 address stands in brackets when a port follows (RFC 3986, section 3.2.2).
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, SYSLOG_PORT),
            Some((host, port)) => (host, port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or_else(wrong)?),
            None => match place.split_once(':') {
                Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
                None => (place, SYSLOG_PORT),
            },
        };
        if host.is_empty() || port == 0 || host.contains(char::is_whitespace) {
            return Err(wrong());
        }
        Ok(Self::Udp(host.to_owned(), port))
    }
}

/// Where the system's log is listening (syslog(3)).
const DEV_LOG: &str = "/dev/log";
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
        for wrong in
            ["", "unix:log", "tcp://a:1", "udp://", "udp://a:b", "udp://a:0", "udp://[::1", "udp://2001:db8::1"]
        {
            assert!(wrong.parse::<SyslogTarget>().unwrap_err().contains("udp://192.0.2.1:514"), "{wrong}");
        }
    }
}
