//! How a host conducts itself towards servers outside: what tells a mail server on its first day from a bot.
//!
//! Nobody has written to a new server yet, so its role cannot be learnt from what it is brought. Its manners can be
//! seen: it says one full name in every session (RFC 5321, section 2.3.5), speaks EHLO, waits for the greeting, and sends
//! in the name of the domain it stands in. A bot can do all of that; most do not, and none has a list of addresses as
//! clean as people's own. So manners buy patience for a while ([`crate::model::settings::Roles::patience`]), and the share of
//! recipients that do not exist ends it.

use std::hash::{BuildHasher, Hasher};

use crate::model::event::{Dialect, Envelope, SmtpEvent};
use crate::model::limits;

use super::name;

/// What was seen of a host as a client of servers outside, on port 25.
#[derive(Clone, Debug, Default)]
pub struct Conduct {
    /// Attempts to connect.
    pub contacts: u64,
    /// The first few names it gave, hashed, and how many those are.
    names: [u64; limits::CONDUCT_NAMES],
    named: u8,
    /// Transactions and sessions in which it gave a name; those in which it was not the first it ever gave; and those in
    /// which it was that, or none that a server would give, or the host spoke as servers do not. A capture that damages a few must not
    /// decide: one in ten is let pass.
    seen: u64,
    other_name: u64,
    odd: u64,
    /// It began a transaction, or a session whose content is hidden.
    mailed: bool,
    /// Sessions without a transaction in which the server bade it welcome and it left, and those it was turned away from.
    looked: u64,
    turned_away: u64,
    /// The last few recipients that were accepted, hashed, and which of them the next one replaces.
    recipients: [u64; limits::CONDUCT_KNOWN],
    next: u8,
    /// Sessions that were for none but those.
    repeats: u64,
    /// Messages of the null sender that were not held against its list.
    bounces: u64,
    /// Transactions in the name of its own domain, and in another's.
    own: u64,
    foreign: u64,
    /// Sessions that went to TLS: what was sent there is not seen.
    hidden: u64,
    /// The logarithm of the likelihood ratio of "its list is a bot's" to "it is people's".
    ratio: f64,
    /// The ratio said so, and has not gone back since.
    fails: bool,
}

/// What a host's manners come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// Nothing speaks for it.
    None,
    /// What was seen is as of a server, and what it sends is hidden by TLS.
    Hidden,
    /// It speaks as a server, and sends in its own name.
    Good,
}

impl Conduct {
    /// A connection was tried.
    pub fn contact(&mut self) {
        self.contacts = self.contacts.saturating_add(1);
    }

    /// A transaction, or a session without one, of a host that took `taken` messages before.
    pub fn see(&mut self, smtp: &SmtpEvent, taken: u64) {
        // Where the first event of a session has no name, its beginning was not captured.
        if let Some(helo) = smtp.helo.as_deref() {
            let name = hash(helo);
            self.name(name);
            let odd = !smtp.extended || !is_full(helo) || (smtp.dialect.0 & ODD != 0 && smtp.unseen == [false; 2]);
            self.seen = self.seen.saturating_add(1);
            let other = self.names[0] != name;
            self.other_name = self.other_name.saturating_add(u64::from(other));
            self.odd = self.odd.saturating_add(u64::from(odd || other));
        }
        self.mailed |= smtp.tls || smtp.envelope.is_some();
        let Some(envelope) = &smtp.envelope else {
            self.hidden = self.hidden.saturating_add(u64::from(smtp.tls));
            match &smtp.reply {
                _ if smtp.tls || smtp.helo.is_none() => {}
                Some(reply) if reply.code < 400 => self.looked = self.looked.saturating_add(1),
                _ => self.turned_away = self.turned_away.saturating_add(1),
            }
            return;
        };
        self.remember(envelope, smtp.tx_id);
        if let (Some(helo), Some((_, domain))) = (smtp.helo.as_deref(), envelope.mail_from.rsplit_once('@')) {
            let count = if name::related(helo, domain) { &mut self.own } else { &mut self.foreign };
            *count = count.saturating_add(1);
        }
        // Whom a bounce goes to was written by whoever sent what bounced (RFC 5321, section 6.1): no more of them are let pass
        // than there were messages that may have bounced.
        if envelope.mail_from.is_empty() && !envelope.mail_from_unseen && self.bounces < taken {
            self.bounces += 1;
            return;
        }
        let unknown = envelope.rcpt_rejected.iter().filter(|rejected| is_unknown(rejected.reply.code)).count();
        self.weigh(unknown.min(limits::CONDUCT_RECIPIENTS), FAILURE);
        self.weigh(envelope.rcpt_to.len().min(limits::CONDUCT_RECIPIENTS), SUCCESS);
    }

    /// A session took place that could not be read.
    pub fn unread(&mut self) {
        self.mailed = true;
    }

    /// Whether it ever did more than look who answers.
    pub fn has_mailed(&self) -> bool {
        self.mailed
    }

    /// Whether it never mailed, though it could have: where it was let in it left, as those do who only test servers. A bot
    /// that is let in goes on.
    pub fn leaves_when_welcome(&self) -> bool {
        !self.mailed && self.looked > 0 && self.turned_away.saturating_mul(9) <= self.looked
    }

    /// Attempts to connect, but those that were for nobody new. A bot has a list to work through; what mails the same few people
    /// over and over is an alarm, a camera, a report.
    pub fn new_contacts(&self) -> u64 {
        self.contacts.saturating_sub(self.repeats)
    }

    /// What its manners come to.
    pub fn manners(&self) -> Manners {
        // One in ten may be another's: forwarded mail.
        if self.named == 0 || self.is_ill() || self.fails || self.foreign.saturating_mul(9) > self.own {
            return Manners::None;
        }
        match (self.own, self.hidden) {
            (0, 0) => Manners::None,
            (own, hidden) if hidden > own => Manners::Hidden,
            _ => Manners::Good,
        }
    }

    /// Whether too many of its recipients do not exist for a list that people keep.
    pub fn fails(&self) -> bool {
        self.fails
    }

    /// How many names it gave; past [`limits::CONDUCT_NAMES`] they are not counted.
    pub fn names(&self) -> u32 {
        self.named.into()
    }

    /// Whether it gave other names than its first, and not just once in a while.
    pub fn is_fickle(&self) -> bool {
        self.other_name.saturating_mul(10) > self.seen
    }

    /// Whether it speaks as a server does not, and not just once in a while.
    pub fn is_ill(&self) -> bool {
        self.odd.saturating_mul(10) > self.seen
    }

    /// Adds what another address of the same host did.
    pub fn join(&mut self, other: Self) {
        self.contacts = self.contacts.saturating_add(other.contacts);
        self.seen = self.seen.saturating_add(other.seen);
        self.other_name = self.other_name.saturating_add(other.other_name);
        self.odd = self.odd.saturating_add(other.odd);
        other.names.into_iter().take(other.named.into()).for_each(|name| self.name(name));
        self.own = self.own.saturating_add(other.own);
        self.foreign = self.foreign.saturating_add(other.foreign);
        self.hidden = self.hidden.saturating_add(other.hidden);
        self.mailed |= other.mailed;
        self.looked = self.looked.saturating_add(other.looked);
        self.turned_away = self.turned_away.saturating_add(other.turned_away);
        self.repeats = self.repeats.saturating_add(other.repeats);
        self.bounces = self.bounces.saturating_add(other.bounces);
        self.ratio = self.ratio.max(other.ratio);
        self.fails |= other.fails;
    }

    fn name(&mut self, name: u64) {
        let known = usize::from(self.named);
        if !self.names.iter().take(known).any(|known| *known == name)
            && let Some(place) = self.names.get_mut(known)
        {
            *place = name;
            self.named += 1;
        }
    }

    /// Looks whether a transaction was for nobody new. One connection counts once: its first transaction takes it off, and any later
    /// one for somebody new puts it back.
    fn remember(&mut self, envelope: &Envelope, tx_id: u32) {
        let mut is_new = envelope.rcpt_to.is_empty()
            || envelope.rcpt_to.len() > limits::CONDUCT_RECIPIENTS
            || !envelope.rcpt_rejected.is_empty();
        for recipient in envelope.rcpt_to.iter().take(limits::CONDUCT_RECIPIENTS) {
            let recipient = hash(recipient);
            if self.recipients.contains(&recipient) {
                continue;
            }
            is_new = true;
            if let Some(place) = self.recipients.get_mut(usize::from(self.next)) {
                *place = recipient;
            }
            self.next = (self.next + 1) % limits::CONDUCT_KNOWN as u8;
        }
        match (is_new, tx_id) {
            (false, 0) => self.repeats = self.repeats.saturating_add(1),
            (true, 1..) => self.repeats = self.repeats.saturating_sub(1),
            _ => {}
        }
    }

    fn weigh(&mut self, times: usize, adds: f64) {
        // Bounded both ways: neither a long good life nor a long bad one lasts for ever.
        self.ratio = (self.ratio + times as f64 * adds).clamp(-DECIDES, 2.0 * DECIDES);
        self.fails = self.ratio >= DECIDES || (self.fails && self.ratio > 0.0);
    }
}

/// A name such as servers give: three labels or more, none of them all digits at the end.
fn is_full(helo: &str) -> bool {
    let mut labels = helo.trim_end_matches('.').rsplit('.');
    let top = labels.next().unwrap_or_default();
    labels.clone().count() >= 2
        && labels.all(|label| !label.is_empty())
        && !top.is_empty()
        && top.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !top.bytes().all(|byte| byte.is_ascii_digit())
}

/// Replies to RCPT that say the mailbox is not there (RFC 5321, section 4.2.3): 550, 551, 553. Others (452, 552, 554)
/// are about the server or the message.
const fn is_unknown(code: u16) -> bool {
    matches!(code, 550 | 551 | 553)
}

/// Compares names and addresses without keeping them. Keyed by nothing: two that collide change what is thought of their own
/// speaker alone.
fn hash(name: &str) -> u64 {
    let mut hasher = foldhash::fast::FixedState::with_seed(0).build_hasher();
    name.trim_end_matches('.').bytes().for_each(|byte| hasher.write_u8(byte.to_ascii_lowercase()));
    hasher.finish()
}

/// What servers do not show.
const ODD: u32 = Dialect::HELO_LOCALHOST
    | Dialect::HELO_BARE_WORD
    | Dialect::HELO_LITERAL
    | Dialect::LOWER_CASE
    | Dialect::BARE_LF
    | Dialect::EARLY_TALKER
    | Dialect::NO_BRACKETS;

/// A. Wald's test, as in [`super::recipient_fanout`], of 25 in 100 recipients unknown (what spam runs to old lists meet)
/// against 8 in 100 (a mailing list that is not looked after): an unknown one adds ln(0.25 / 0.08), another
/// ln(0.75 / 0.92), and ln(0.99 / 0.01) decides.
const FAILURE: f64 = 1.139_434_283_188_364_8;
const SUCCESS: f64 = -0.204_300_463_512_729_93;
const DECIDES: f64 = 4.595_119_850_134_59;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{Rejected, Reply};

    fn session(helo: &str, from: &str, accepted: usize, unknown: usize) -> SmtpEvent {
        let to = |number: usize| format!("r{number}@example.net");
        let rejected = |number| Rejected { address: to(number), reply: Reply { code: 550, text: String::new() } };
        let envelope = Envelope {
            mail_from: from.into(),
            rcpt_to: (0..accepted).map(to).collect(),
            rcpt_rejected: (0..unknown).map(rejected).collect(),
            ..Envelope::default()
        };
        SmtpEvent { helo: Some(helo.into()), extended: true, envelope: Some(envelope), ..SmtpEvent::default() }
    }

    fn seen(sessions: &[SmtpEvent]) -> Manners {
        let mut conduct = Conduct::default();
        sessions.iter().for_each(|session| conduct.see(session, 0));
        conduct.manners()
    }

    #[test]
    fn the_weights_are_walds() {
        for (weight, ratio) in [(FAILURE, 0.25_f64 / 0.08), (SUCCESS, 0.75 / 0.92), (DECIDES, 99.0)] {
            assert!((weight - ratio.ln()).abs() < 1e-9, "{weight}");
        }
    }

    #[test]
    fn one_full_name_and_its_own_sender_are_good_manners() {
        let good = session("mx.firm.example", "office@firm.example", 1, 0);
        assert_eq!(seen(&[]), Manners::None);
        assert_eq!(seen(&[good.clone(), good.clone()]), Manners::Good);
        assert_eq!(seen(&[good.clone(), session("MX.firm.example.", "a@news.firm.example", 1, 0)]), Manners::Good);
        for other in [
            session("mx2.firm.example", "office@firm.example", 1, 0),
            session("mx.firm.example", "james@elsewhere.example", 1, 0),
            SmtpEvent { extended: false, ..good.clone() },
            SmtpEvent { dialect: Dialect(Dialect::LOWER_CASE), ..good.clone() },
        ] {
            assert_eq!(seen(&[good.clone(), other.clone()]), Manners::None, "{other:?}");
        }
        for name in ["firm.example", "localhost", "[10.0.0.1]", "10.0.0.1", "mx..example", "desk.local.", ""] {
            assert_eq!(seen(&[session(name, "office@firm.example", 1, 0)]), Manners::None, "{name}");
        }
    }

    #[test]
    fn behind_tls_no_more_is_known_than_the_name() {
        let hidden =
            |helo: &str| SmtpEvent { helo: Some(helo.into()), extended: true, tls: true, ..SmtpEvent::default() };
        assert_eq!(seen(&[hidden("mx.firm.example"), hidden("mx.firm.example")]), Manners::Hidden);
        assert_eq!(seen(&[hidden("mx.firm.example"), hidden("mx2.firm.example")]), Manners::None);
    }

    #[test]
    fn names_are_counted_once_each() {
        let mut conduct = Conduct::default();
        for (name, names) in
            [("a.b.example", 1), ("A.b.example.", 1), ("c", 2), ("a.b.example", 2), ("d", 3), ("e", 4), ("f", 4)]
        {
            conduct.see(&session(name, "x@b.example", 1, 0), 0);
            assert_eq!(conduct.names(), names, "{name}");
        }
        assert!(conduct.is_fickle());
        let mut damaged = Conduct::default();
        (0..9).for_each(|_| damaged.see(&session("mx.b.example", "x@b.example", 1, 0), 0));
        damaged.see(&session("mx.b.exa?ple", "x@b.example", 1, 0), 0);
        assert_eq!((damaged.manners(), damaged.is_fickle()), (Manners::Good, false), "one in ten");
        damaged.see(&session("mx.b.exampl", "x@b.example", 1, 0), 0);
        assert_eq!(damaged.manners(), Manners::None);
        let mut joined = Conduct::default();
        joined.see(&session("c", "x@b.example", 1, 0), 0);
        joined.join(conduct);
        assert_eq!(joined.names(), 4);
    }

    /// By hand: eight in thirty reach 8 x 1.139 - 22 x 0.204 = 4.62; six do not.
    #[test]
    fn a_bad_list_ends_patience() {
        let runs = |unknown: usize, sent: usize| {
            let mut conduct = Conduct::default();
            (0..sent).for_each(|number| {
                let bad = usize::from(number < unknown);
                conduct.see(&session("mx.firm.example", "office@firm.example", 1 - bad, bad), 0);
            });
            conduct
        };
        assert!(runs(5, 5).fails() && !runs(4, 4).fails());
        let mut mixed = Conduct::default();
        for number in 0..30 {
            let bad = usize::from(number % 4 == 3 || number == 29);
            mixed.see(&session("mx.firm.example", "office@firm.example", 1 - bad, bad), 0);
        }
        assert!(mixed.fails() && mixed.manners() == Manners::None, "{mixed:?}");
        assert!(!runs(2, 30).fails());
        let recovered = runs(5, 60);
        assert!(!recovered.fails(), "what came since is clean: {recovered:?}");
    }

    #[test]
    fn the_same_few_people_are_no_list() {
        let to = |recipients: &[&str], tx_id: u32| SmtpEvent {
            tx_id,
            helo: Some("watch.firm.example".into()),
            envelope: Some(Envelope {
                rcpt_to: recipients.iter().map(ToString::to_string).collect(),
                ..Envelope::default()
            }),
            ..SmtpEvent::default()
        };
        let run = |sessions: &[&[&[&str]]]| {
            let mut conduct = Conduct::default();
            for session in sessions {
                conduct.contact();
                (0..).zip(*session).for_each(|(tx_id, recipients)| conduct.see(&to(recipients, tx_id), 0));
            }
            conduct.new_contacts()
        };
        let (a, b, ab): (&[&str], &[&str], &[&str]) =
            (&["a@one.example"], &["B@two.example"], &["a@one.example", "b@two.example"]);
        assert_eq!(run(&[&[a], &[b], &[a], &[ab], &[ab]]), 2);
        assert_eq!(
            run(&[&[a], &[a, b], &[a, &["c@x.example"], &["d@x.example"]]]),
            3,
            "hidden behind one that is known"
        );
        assert_eq!(run(&[&[a], &[], &[&[]], &[&[]]]), 4, "who it was for is not known");
        let many: Vec<String> = (0..3 * limits::CONDUCT_KNOWN).map(|n| format!("r{n}@x.example")).collect();
        let mut conduct = Conduct::default();
        for recipient in many.iter().chain(&many) {
            conduct.contact();
            conduct.see(&to(&[recipient], 0), 0);
        }
        assert_eq!(conduct.new_contacts(), 2 * many.len() as u64, "a list gone through twice is a list");
    }

    #[test]
    fn bounces_are_of_what_came_in() {
        let mut conduct = Conduct::default();
        (0..100).for_each(|_| conduct.see(&session("mx.firm.example", "", 0, 1), 100));
        assert!(!conduct.fails());
        (0..5).for_each(|_| conduct.see(&session("mx.firm.example", "", 0, 1), 100));
        assert!(conduct.fails(), "more of them than were taken");
        let mut unseen = session("mx.firm.example", "", 0, 5);
        unseen.envelope.as_mut().unwrap().mail_from_unseen = true;
        let mut conduct = Conduct::default();
        conduct.see(&unseen, 100);
        assert!(conduct.fails(), "no null sender, but one that was not seen");
    }

    #[test]
    fn who_is_let_in_and_leaves_only_looks() {
        let look = |code: u16| SmtpEvent {
            helo: Some("scanner.firm.example".into()),
            reply: Some(Reply { code, text: String::new() }),
            ..SmtpEvent::default()
        };
        let run = |codes: &[u16]| {
            let mut conduct = Conduct::default();
            codes.iter().for_each(|code| conduct.see(&look(*code), 0));
            conduct
        };
        assert!(!run(&[]).leaves_when_welcome() && !run(&[554]).leaves_when_welcome());
        assert!(run(&[221]).leaves_when_welcome() && !run(&[221, 554]).leaves_when_welcome());
        let mut later = run(&[250, 250]);
        later.see(&session("scanner.firm.example", "a@firm.example", 1, 0), 0);
        assert!(!later.leaves_when_welcome());
    }

    /// By hand: the ratio is kept within -4.595 and 9.190; 9.190 / 0.2043 = 44.98 accepted recipients undo the worst,
    /// and 9.190 / 1.1394 = 8.07 unknown ones the best.
    #[test]
    fn neither_a_long_good_life_nor_a_long_bad_one_lasts_for_ever() {
        let (good, bad) = (session("mx.b.example", "a@b.example", 1, 0), session("mx.b.example", "a@b.example", 0, 1));
        let mut conduct = Conduct::default();
        (0..1_000).for_each(|_| conduct.see(&bad, 0));
        (0..44).for_each(|_| conduct.see(&good, 0));
        assert!(conduct.fails());
        conduct.see(&good, 0);
        assert!(!conduct.fails());
        (0..1_000).for_each(|_| conduct.see(&good, 0));
        (0..8).for_each(|_| conduct.see(&bad, 0));
        assert!(!conduct.fails());
        conduct.see(&bad, 0);
        assert!(conduct.fails());
    }

    #[test]
    fn who_leaves_when_welcome_only_looks() {
        let looked = |code: u16| SmtpEvent {
            helo: Some("probe.example".into()),
            reply: Some(Reply { code, text: String::new() }),
            ..SmtpEvent::default()
        };
        let leaves = |events: &[SmtpEvent]| {
            let mut conduct = Conduct::default();
            events.iter().for_each(|event| conduct.see(event, 0));
            conduct.leaves_when_welcome()
        };
        assert!(!leaves(&[]) && leaves(&[looked(250)]) && !leaves(&[looked(554)]));
        let mut many = vec![looked(250); 9];
        many.push(looked(554));
        assert!(leaves(&many), "turned away once in ten times");
        many.push(looked(554));
        assert!(!leaves(&many));
        assert!(!leaves(&[SmtpEvent { helo: None, ..looked(250) }]), "how it began was not seen");
        assert!(!leaves(&[looked(250), session("probe.example", "a@b.example", 1, 0)]), "it mailed");
        let mut unread = Conduct::default();
        unread.see(&looked(250), 0);
        unread.unread();
        assert!(unread.has_mailed() && !unread.leaves_when_welcome(), "it may have mailed");
    }
}
