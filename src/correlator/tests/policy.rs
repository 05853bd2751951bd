//! Settings changed while events come in.

use std::sync::Arc;

use super::wire::*;
use crate::correlator::CorrelatorSettings;
use crate::model::alert::{Severity, Verdict};
use crate::model::settings::{DetectSettings, DirectToMx, Ignore};

#[test]
fn a_host_declared_later_is_a_mail_server_from_then_on() {
    let mut wire = Wire::new();
    wire.deliver(HOST, OUTSIDE_RESOLVER, 1, false);
    let mail_servers = vec![format!("{HOST}/32").parse().unwrap()];
    wire.correlator.set_settings(&CorrelatorSettings { mail_servers, ..CorrelatorSettings::default() });
    (2..=9).for_each(|n| drop(wire.deliver(HOST, OUTSIDE_RESOLVER, n, false)));
    assert_eq!(wire.short(), [alert("direct-to-mx", Severity::Low, HOST)]);
    // And no longer, once the declaration is taken back: what it did meanwhile stays forgiven.
    wire.correlator.set_settings(&CorrelatorSettings::default());
    (10..=19).for_each(|n| drop(wire.deliver(HOST, OUTSIDE_RESOLVER, n, false)));
    assert_eq!(wire.short().last(), Some(&alert("direct-to-mx", Severity::High, HOST)));
}

#[test]
fn another_threshold_holds_for_what_comes_and_keeps_what_is_known() {
    let mut wire = Wire::new();
    (1..=2).for_each(|n| drop(wire.deliver(HOST, OUTSIDE_RESOLVER, n, false)));
    assert_eq!(wire.short(), [alert("direct-to-mx", Severity::Low, HOST)]);
    let direct_to_mx = DirectToMx { domains: 9, ..DirectToMx::default() };
    let detect = DetectSettings { direct_to_mx, ..DetectSettings::default() };
    wire.correlator.set_settings(&CorrelatorSettings { detect, ..CorrelatorSettings::default() });
    (3..=8).for_each(|n| drop(wire.deliver(HOST, OUTSIDE_RESOLVER, n, false)));
    assert_eq!(wire.short().len(), 1, "the default would have told it at the third");
    wire.deliver(HOST, OUTSIDE_RESOLVER, 9, false);
    assert_eq!(wire.short().last(), Some(&alert("direct-to-mx", Severity::High, HOST)), "the first two count");
}

#[test]
fn a_home_network_named_later_is_judged_from_then_on() {
    let elsewhere = CorrelatorSettings {
        home: crate::model::net::HomeNet::new(vec!["192.0.2.0/24".parse().unwrap()]),
        ..CorrelatorSettings::default()
    };
    let mut wire = Wire::with(elsewhere, Arc::new(Book));
    (1..=5).for_each(|n| drop(wire.deliver(HOST, OUTSIDE_RESOLVER, n, false)));
    assert_eq!(wire.short(), []);
    wire.correlator.set_settings(&CorrelatorSettings::default());
    (6..=9).for_each(|n| drop(wire.deliver(HOST, OUTSIDE_RESOLVER, n, false)));
    assert_eq!(wire.verdict(HOST), Verdict::Suspicious);
}

#[test]
fn what_was_counted_of_a_wish_that_stays_goes_on() {
    let wish = |detector: &str, host: &str| Ignore {
        detector: detector.into(),
        host: host.parse().unwrap(),
        reason: "known".into(),
    };
    let (stays, goes, comes) =
        (wish("direct-to-mx", "10.0.0.0/24"), wish("mail-volume", "::/0"), wish("mimail-c", "10.0.0.0/24"));
    let with = |ignore| CorrelatorSettings { ignore, ..CorrelatorSettings::default() };
    let mut wire = Wire::with(with(vec![goes, stays.clone()]), Arc::new(Book));
    wire.deliver(HOST, OUTSIDE_RESOLVER, 1, false);
    let before = wire.correlator.report().ignored[1].times;
    assert!(before > 0);
    wire.correlator.set_settings(&with(vec![stays.clone(), comes]));
    let told = wire.correlator.report().ignored;
    assert_eq!((&told[0].wish, told[0].times, told[1].times), (&stays, before, 0));
    wire.wait(7_200);
    wire.deliver(HOST, OUTSIDE_RESOLVER, 2, false);
    assert!(wire.correlator.report().ignored[0].times > before);
}

#[test]
fn another_rule_set_holds_for_what_comes() {
    let mut wire = Wire::with(CorrelatorSettings::default(), Arc::new(crate::model::rulebook::NoRules));
    let flow = wire.connect(HOST, OUTSIDE, 25);
    wire.message(&flow, 1, vec![hit(WORM)]);
    assert_eq!(wire.verdict(HOST), Verdict::Clean, "a hit that no rule describes");
    wire.correlator.set_rules(Arc::new(Book));
    wire.message(&flow, 1, vec![hit(WORM)]);
    assert_eq!(wire.verdict(HOST), Verdict::Infected);
}
