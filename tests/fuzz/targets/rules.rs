//! A rule file; what compiles is held against a worm's mail, an empty one, and names asked for.

use std::time::Duration;

use mailsnare::inspector::Inspector;
use mailsnare::model::event::{Envelope, Message, SmtpEvent};
use mailsnare::model::net::{Direction, HomeNet};
use mailsnare::model::settings::InspectSettings;
use mailsnare::rules::RuleSet;

use super::guard::Guard;

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let guard = Guard::start();
    let set = match RuleSet::from_sources(&[("fuzz.toml".to_owned(), text.to_owned())]) {
        Ok(set) => set,
        Err(errors) => {
            guard.check(COMPILE_TIME);
            assert!(!errors.is_empty(), "refused without a reason");
            for error in errors {
                assert_eq!(error.file, "fuzz.toml");
                assert!(error.line <= text.split('\n').count(), "{error}: there is no such line");
                assert!(!error.message.is_empty(), "refused without a reason");
            }
            return;
        }
    };
    guard.check(COMPILE_TIME);
    let guard = Guard::start();
    let inspector = Inspector::new(HomeNet::default(), InspectSettings::default());
    for (event, direction) in [(worm(), Direction::Outbound), (SmtpEvent::default(), Direction::Inbound)] {
        let mut event = event;
        let findings = inspector.inspect_mail(&set, &mut event, direction);
        assert!(findings.hits.windows(2).all(|pair| pair[0].rule < pair[1].rule), "hits in the order of the rules");
        assert!(findings.hits.iter().all(|hit| set.rules().get(hit.rule).is_some_and(|rule| !rule.asks_dns)));
    }
    for name in ["darkprofits.com", "www.google.com", "", "."] {
        let hits = set.evaluate_dns(name, Direction::Outbound);
        assert!(hits.iter().all(|hit| set.rules().get(hit.rule).is_some_and(|rule| rule.asks_dns)));
        assert!(set.wants_dns() || hits.is_empty());
    }
    for test in set.tests() {
        let mut event = test.smtp.clone();
        let hits = match &test.dns {
            Some(name) => set.evaluate_dns(name, test.direction),
            None => inspector.inspect_mail(&set, &mut event, test.direction).hits,
        };
        let _ = test.faults(&set, &hits);
    }
    guard.check(MATCH_TIME);
}

fn worm() -> SmtpEvent {
    let bytes = b"From: james@example.com\r\nTo: <someone@example.com>\r\n\
        Subject: Re[2]: our private photos        abcdef\r\nX-Mailer: The Bat! (v1.62)\r\n\
        Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\n\r\nHello Dear! http://www.example.com/\r\n\
        --b\r\nContent-Type: application/x-zip-compressed; name=\"photos.zip\"\r\n\r\nPK\r\n--b--\r\n"
        .to_vec();
    SmtpEvent {
        helo: Some("localhost".to_owned()),
        envelope: Some(Envelope {
            mail_from: "james@example.com".to_owned(),
            rcpt_to: vec!["someone@example.com".to_owned()],
            ..Envelope::default()
        }),
        message: Some(Message { size: bytes.len() as u64, bytes, truncated: false, gaps: 0 }),
        ..SmtpEvent::default()
    }
}

/// A rule file is its owner's own; still, a slip in it must not hang the sensor that is told to read it again.
const COMPILE_TIME: Duration = Duration::from_secs(10);
const MATCH_TIME: Duration = Duration::from_secs(4);
