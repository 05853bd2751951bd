//! Capture filters (pcap-filter(7)) on packets from files, judged by libpcap's own compiler and machine.

use pcap::{BpfProgram, Capture, Linktype};

use super::error::CaptureError;
use super::link;
use crate::model::limits;

/// A filter, compiled for each link type it meets.
///
/// Two things it cannot know of a packet from a file: `less`, `greater` and `len` see the bytes captured, not the
/// length on the wire, where a capture was cut; and direction (`inbound`) is not recorded.
pub(super) struct Filter {
    text: String,
    programs: Vec<(u32, Option<BpfProgram>)>,
    /// That there are more link types than programs was told.
    told_of_more: bool,
}

impl Filter {
    /// Checks the filter's language. One that is right for some common link type passes: what it says of the others
    /// is found when they come.
    pub(super) fn new(text: &str) -> Result<Self, CaptureError> {
        let mut filter = Self { text: text.to_owned(), programs: Vec::new(), told_of_more: false };
        match compile(text, ETHERNET) {
            Ok(program) => filter.programs.push((ETHERNET, Some(program))),
            Err(message) => {
                if OTHER_LINKS.iter().all(|&link| compile(text, link).is_err()) {
                    return Err(CaptureError::BadFilter { filter: filter.text, message });
                }
            }
        }
        Ok(filter)
    }

    /// Whether the filter lets a packet through. The error comes once for each link type for which the filter makes
    /// no sense, and says why; packets of such a link type do not pass.
    pub(super) fn passes(&mut self, link: u32, data: &[u8]) -> Result<bool, String> {
        match self.programs.iter().find(|(known, _)| *known == link) {
            Some((_, program)) => Ok(program.as_ref().is_some_and(|p| p.filter(data))),
            None => self.meet(link, data),
        }
    }

    #[cold]
    fn meet(&mut self, link: u32, data: &[u8]) -> Result<bool, String> {
        if self.programs.len() >= limits::FILTER_LINK_TYPES {
            if std::mem::replace(&mut self.told_of_more, true) {
                return Ok(false);
            }
            return Err(format!(
                "packets of more than {} link types, too many for filter '{}'; those of others are left out",
                limits::FILTER_LINK_TYPES,
                self.text
            ));
        }
        match compile(&self.text, link) {
            Ok(program) => {
                let passes = program.filter(data);
                self.programs.push((link, Some(program)));
                Ok(passes)
            }
            Err(message) => {
                self.programs.push((link, None));
                let text = &self.text;
                Err(format!("filter '{text}' cannot judge packets of link type {link} ({message}); they are left out"))
            }
        }
    }
}

fn compile(text: &str, link: u32) -> Result<BpfProgram, String> {
    let capture = Capture::dead(Linktype(link::to_dlt(link))).map_err(|e| e.to_string())?;
    capture.compile(text, true).map_err(|error| message(&error))
}

/// libpcap's own words.
pub(super) fn message(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(message) => message.clone(),
        pcap::Error::InvalidInputString => "it contains a zero byte".to_owned(),
        other => other.to_string(),
    }
}

const ETHERNET: u32 = 1;
/// Raw IP, IEEE 802.11, Linux cooked, radiotap, NFLOG: each has words of its own in the filter language.
const OTHER_LINKS: &[u32] = &[101, 105, 113, 127, 239];

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 header and the ports of a TCP segment from 1025 to `port`, behind `front`.
    fn tcp_to(port: u16, front: &[u8]) -> Vec<u8> {
        let mut bytes = front.to_vec();
        bytes.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 4, 1]);
        bytes.extend(port.to_be_bytes());
        bytes.extend([0; 16]);
        bytes
    }

    #[test]
    fn one_filter_judges_packets_of_several_link_types() {
        let mut filter = Filter::new("tcp port 25").unwrap();
        let ethernet = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0];
        assert_eq!(filter.passes(1, &tcp_to(25, &ethernet)), Ok(true));
        assert_eq!(filter.passes(1, &tcp_to(80, &ethernet)), Ok(false));
        assert_eq!(filter.passes(101, &tcp_to(25, &[])), Ok(true));
        assert_eq!(filter.passes(101, &tcp_to(80, &[])), Ok(false));
        assert_eq!(filter.passes(1, &[]), Ok(false));
    }

    #[test]
    fn a_link_type_it_cannot_judge_is_told_once() {
        let mut filter = Filter::new("tcp port 25").unwrap();
        let said = filter.passes(147, &tcp_to(25, &[])).unwrap_err();
        assert!(said.contains("link type 147") && said.contains("left out"), "{said}");
        assert_eq!(filter.passes(147, &tcp_to(25, &[])), Ok(false));
    }

    #[test]
    fn a_filter_for_another_link_type_than_ethernet_is_no_error() {
        let mut filter = Filter::new("wlan type mgt").unwrap();
        assert!(filter.passes(1, &[0; 60]).is_err());
        assert!(Filter::new("").unwrap().passes(1, &[0; 60]).unwrap());
    }

    #[test]
    fn a_bad_filter_is_refused_with_libpcaps_words() {
        for text in ["tcp prot 25", "host", "port 99999", "((", "a\0b"] {
            let error = Filter::new(text).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("pcap-filter"), "{error}");
        }
    }

    #[test]
    fn link_types_past_the_bound_do_not_pass() {
        let mut filter = Filter::new("ip").unwrap();
        let told = (1_000..1_200).filter_map(|link| filter.passes(link, &[0; 60]).err()).collect::<Vec<_>>();
        assert_eq!(told.iter().filter(|said| said.contains("more than 64 link types")).count(), 1);
        assert!(filter.programs.len() <= limits::FILTER_LINK_TYPES);
        assert_eq!(filter.passes(101, &tcp_to(25, &[])), Ok(false));
    }
}
