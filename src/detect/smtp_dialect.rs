//! `smtp-dialect`: a host speaks SMTP to the world as bots do.
//!
//! G. Stringhini and others, "B@bel: Leveraging Email Delivery for Spam Mitigation" (USENIX Security 2012): bots carry
//! SMTP engines of their own, which can be told by how they speak. Three marks are theirs: to talk before the server's
//! greeting (RFC 5321, section 4.3.1 forbids it); the name `ylmf-pc` in EHLO, which Cutwail gives on every machine; and
//! another name in every other session, where a machine has one (RFC 5321, section 4.1.1.1). Others are odd and also found in old scripts: they are told as low, and weigh nothing.

use crate::model::alert::{Evidence, Figure, Severity};
use crate::model::event::{Dialect, EventKind, SmtpEvent};
use crate::model::limits;
use crate::model::net::{Direction, Side};
use crate::model::settings::{self, DetectSettings};
use crate::model::time::Timestamp;

use super::host::Facts;
use super::pace::{self, Pace};
use super::{Bearing, Behaviour, Detector, Scene, Signal, Signals};

/// The detector. Only what an ordinary host says on port 25 outside counts; scanners and copiers speak oddly to the
/// relay in the house.
#[derive(Debug)]
pub struct SmtpDialect {
    settings: settings::SmtpDialect,
}

/// Nothing for a host that never spoke oddly.
#[derive(Debug, Default)]
pub struct State(Option<Box<Manners>>);

#[derive(Debug, Default)]
struct Manners {
    early: u64,
    named: u64,
    odd: u64,
    traits: Dialect,
    names: u32,
    fickle: bool,
    since: Timestamp,
    /// When each severity was last told: low, medium.
    told: [Pace; 2],
}

impl Detector for SmtpDialect {
    type State = State;
    const NAME: &'static str = "smtp-dialect";

    fn new(settings: &DetectSettings) -> Self {
        Self { settings: settings.smtp_dialect.clone() }
    }

    fn see(&self, host: &Facts, state: &mut State, scene: &Scene<'_>, signals: &mut Signals) {
        let EventKind::Smtp(smtp) = scene.kind else { return };
        let outside = scene.direction == Direction::Outbound && scene.flow.server.port() == PORT;
        if scene.part == Side::Server || !outside || host.role.is_mail_server() || smtp.tx_id > 0 {
            return;
        }
        // Where a side was not captured, who spoke first is not known.
        let early = smtp.dialect.has(Dialect::EARLY_TALKER) && smtp.unseen == [false; 2];
        let named = smtp.helo.as_ref().is_some_and(|helo| helo.eq_ignore_ascii_case(CUTWAIL));
        let odd = (smtp.dialect.0 & ODD).count_ones() >= self.settings.odd_traits.max(1);
        // A capture may damage a name now and then.
        let many = host.role.is_fickle();
        let fickle = many && host.role.names() >= self.settings.names.clamp(2, limits::CONDUCT_NAMES as u32);
        if !early && !named && !odd && !fickle {
            return;
        }
        let manners = state.0.get_or_insert_with(|| Box::new(Manners { since: scene.time, ..Manners::default() }));
        manners.early = manners.early.saturating_add(u64::from(early));
        manners.named = manners.named.saturating_add(u64::from(named));
        manners.odd = manners.odd.saturating_add(u64::from(odd));
        manners.traits.add(smtp.dialect.0);
        manners.names = host.role.names();
        manners.fickle = fickle;
        self.tell(host, manners, smtp, scene, signals);
    }

    fn calm(state: &mut State) {
        state.0 = None;
    }
}

impl SmtpDialect {
    fn tell(&self, host: &Facts, manners: &mut Manners, smtp: &SmtpEvent, scene: &Scene<'_>, signals: &mut Signals) {
        // One greeting may have been lost by the capture.
        let early = manners.early >= u64::from(self.settings.early_sessions.max(1));
        let plain = if early || manners.named > 0 || manners.fickle { Severity::Medium } else { Severity::Low };
        let (severity, ground) = host.temper(plain, Self::NAME);
        let level = usize::from(severity == Severity::Medium);
        if pace::repeats(&mut manners.told, level, scene.time) {
            signals.again.push(Self::NAME);
            return;
        }
        let alert = ABOUT.alert(scene.time, severity, host, evidence(manners, smtp));
        let since = manners.since;
        signals.raised.push(Signal { alert, detector: Self::NAME, bearing: Bearing::Behaviour, since, ground });
    }
}

fn evidence(manners: &Manners, smtp: &SmtpEvent) -> Evidence {
    let traits: Vec<String> = manners.traits.names().map(String::from).collect();
    let helo: String = smtp.helo.iter().flat_map(|helo| helo.chars()).take(limits::EVIDENCE_TEXT).collect();
    let text = format!(
        "on port 25 outside: spoke before the greeting in {} sessions, called itself {CUTWAIL} in {}, spoke oddly in {}{}; \
         last name \"{helo}\", traits {}",
        manners.early,
        manners.named,
        manners.odd,
        if manners.fickle { ", gave itself several names" } else { "" },
        traits.join(", ")
    );
    let figures = vec![
        ("early_sessions", Figure::Count(manners.early)),
        ("ylmf_pc_sessions", Figure::Count(manners.named)),
        ("odd_sessions", Figure::Count(manners.odd)),
        ("names", Figure::Count(manners.names.into())),
        ("helo", Figure::Text(helo)),
        ("traits", Figure::List(traits)),
        ("dialect_hash", Figure::Text(smtp.dialect_hash.clone().unwrap_or_default())),
    ];
    Evidence { source: SmtpDialect::NAME.into(), text, figures }
}

const PORT: u16 = 25;
const CUTWAIL: &str = "ylmf-pc";
/// Traits that current programs do not show.
const ODD: u32 = Dialect::HELO_LOCALHOST | Dialect::LOWER_CASE | Dialect::BARE_LF | Dialect::NO_BRACKETS;
const ABOUT: Behaviour = Behaviour {
    name: SmtpDialect::NAME,
    sid: SID,
    title: "Host speaks SMTP as bots do",
    remediation: REMEDIATION,
    references: &[REFERENCE],
};
const SID: u32 = 9_000_106;
const REMEDIATION: &str = "Find out which program mails from this host; if nobody meant it to, take the host off the network \
                           and scan it for a bot.";
const REFERENCE: &str = "Stringhini, Egele, Zarras, Holz, Kruegel, Vigna: B@bel: Leveraging Email Delivery for Spam Mitigation, USENIX Security 2012";
