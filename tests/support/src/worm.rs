//! What Mimail.C did on the wire in October 2003, as published by advisories and anti-virus vendors, for a capture
//! file only. Its payload is the shape alone: `MZ`, then zeros.

use crate::clock::{MICRO, MILLI, Nanos, SECOND};
use crate::dns;
use crate::host::Host;
use crate::internet::Internet;
use crate::mail::{Attachment, Builder, Message};
use crate::prng::{HEX, LETTERS, Rng};
use crate::smtp::{Client, Leave, Transaction};
use crate::stage::{Ask, Mailing, Route, Stage};
use crate::wire::{self, SYN, Tcp};

/// The published subject; spaces and random letters follow it.
pub const SUBJECT: &str = "Re[2]: our private photos";
pub const ATTACHMENT: &str = "photos.zip";
pub const MEMBER: &str = "photos.jpg.exe";
/// Size of the member, in bytes.
pub const MEMBER_SIZE: usize = 12_832;
/// Size of the archive, in bytes: the member stored, with 126 bytes of headers.
pub const ARCHIVE_SIZE: usize = 12_958;
/// Where it sent what it had read from windows.
pub const MAILBOXES: [&str; 4] = ["omnibbb@gmx.net", "drbz@mail15.com", "omnibcd@gmx.net", "kxva@mail15.com"];
/// What it attacked.
pub const TARGET: &str = "www.darkprofits.com";
/// What it looked up to see whether there is a network.
pub const GATE: &str = "www.google.com";

/// Messages in the making at once: six sessions of some 16 seconds give 22 messages a minute.
const THREADS: usize = 6;
/// The family's one transaction id for MX questions over TCP.
const TRANSACTION_ID: u16 = 0x0201;

/// The member: inert.
pub fn payload() -> Vec<u8> {
    let mut payload = vec![0; MEMBER_SIZE];
    payload[..2].copy_from_slice(b"MZ");
    payload
}

/// The attachment.
pub fn archive() -> Attachment {
    Attachment::zip(ATTACHMENT, "application/x-zip-compressed", &[(MEMBER, &payload())])
}

/// The message to `recipient`, and its sender: james at the recipient's own domain.
pub fn letter(rng: &mut Rng, recipient: &str) -> (String, Message) {
    let domain = recipient.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    let sender = format!("james@{domain}");
    let letters = 6 + rng.below(6) as usize;
    let subject = format!("{SUBJECT}{}{}", " ".repeat(20), rng.text(LETTERS, letters));
    let message = headers(rng, &sender, recipient, &subject, PLACEHOLDER).attach(archive()).build();
    (sender, message)
}

/// The message with stolen window text: here, made-up text.
pub fn theft(rng: &mut Rng, mailbox: &str) -> (String, Message) {
    let sender = format!("{}@localhost", rng.text(LETTERS, 7));
    let text = "[window] made-up form\nnumber: 0000 0000 0000 0000\nname: A Placeholder";
    let message = headers(rng, &sender, mailbox, "window text", text).build();
    (sender, message)
}

/// How it speaks: HELO localhost, three seconds before each command.
pub fn client(rng: &mut Rng) -> Client {
    let pause = Some(2_950 * MILLI + rng.between(0, 200) * MILLI);
    Client { extended: false, pause, ..Client::new("localhost") }
}

/// An infected host and whom it asks for names.
#[derive(Debug)]
pub struct Infected<'a> {
    pub host: &'a Host,
    /// Asked over TCP, from the worm's own list.
    pub resolver: &'a Host,
    /// The system's resolver.
    pub home_resolver: &'a Host,
    /// Domains behind the home resolver.
    pub home_domain: &'a str,
}

impl Infected<'_> {
    /// Looks whether there is a network.
    pub fn gate(&self, stage: &mut Stage, at: Nanos) -> Nanos {
        stage.lookup(at, self.host, self.home_resolver, Ask::new(GATE, dns::A)).0
    }

    /// Mails itself to all of `victims`, one session each. Returns when it was done.
    pub fn spread(&self, stage: &mut Stage, internet: &mut Internet, start: Nanos, victims: &[String]) -> Nanos {
        let mut threads = [start; THREADS];
        for (index, thread) in threads.iter_mut().enumerate() {
            *thread += index as i64 * 2_700 * MILLI;
        }
        for victim in victims {
            let thread = (0..THREADS).min_by_key(|index| threads[*index]).unwrap_or(0);
            let mut rng = Rng::new(stage.rng.next_u64());
            let (sender, message) = letter(&mut rng, victim);
            let pause = 40 * MILLI + rng.between(0, 100) * MILLI;
            threads[thread] = self.deliver(stage, internet, threads[thread] + pause, "worm", &sender, victim, &message);
        }
        threads.into_iter().max().unwrap_or(start)
    }

    /// Sends what it stole to the fixed mailboxes.
    pub fn steal(&self, stage: &mut Stage, internet: &mut Internet, start: Nanos) -> Nanos {
        MAILBOXES.iter().fold(start, |at, mailbox| {
            let mut rng = Rng::new(stage.rng.next_u64());
            let (sender, message) = theft(&mut rng, mailbox);
            self.deliver(stage, internet, at + SECOND, "theft", &sender, mailbox, &message)
        })
    }

    /// Asks for the target's address and floods it: 120 SYN to port 80 and 80 echo requests in two seconds.
    pub fn attack(&self, stage: &mut Stage, at: Nanos) -> Nanos {
        let (known, answer) = stage.lookup(at, self.host, self.home_resolver, Ask::new(TARGET, dns::A));
        let Some(target) = answer.addresses().first().map(|ip| stage.host_at(*ip)) else { return known };
        let mut now = known + 5 * MILLI;
        for number in 0..200u16 {
            now += 9 * MILLI + stage.rng.between(0, 2_000) * MICRO;
            let seq = stage.rng.next_u32();
            stage.frame(now, self.host, &target, |out, link, ip| {
                if number % 5 < 3 {
                    let header = Tcp {
                        src_port: 2000 + number,
                        dst_port: 80,
                        seq,
                        flags: SYN,
                        window: 16_384,
                        ..Tcp::default()
                    };
                    wire::tcp(out, link, ip, &header, &[]);
                } else {
                    wire::echo(out, link, ip, false, 0x200, number, &[0x61; 32]);
                }
            });
        }
        now
    }

    /// MX question, address of the exchanger with the highest preference number, session.
    #[expect(clippy::too_many_arguments, reason = "one step of a scenario, all of it named")]
    fn deliver(
        &self,
        stage: &mut Stage,
        internet: &mut Internet,
        at: Nanos,
        kind: &'static str,
        sender: &str,
        recipient: &str,
        message: &Message,
    ) -> Nanos {
        let domain = recipient.rsplit_once('@').map_or("", |(_, domain)| domain).to_owned();
        // Home names are known to the home resolver only; a part of the others is asked there, too.
        let over_udp = domain == self.home_domain || stage.rng.chance(100);
        let (resolver, id) = if over_udp { (self.home_resolver, None) } else { (self.resolver, Some(TRANSACTION_ID)) };
        let ask = Ask { tcp: !over_udp, id, ..Ask::new(&domain, dns::MX) };
        let (known, answer) = stage.lookup(at, self.host, resolver, ask);
        let Some((_, exchanger)) = answer.exchangers().pop() else { return known };
        let (known, answer) = stage.lookup(known + MILLI, self.host, self.home_resolver, Ask::new(&exchanger, dns::A));
        let Some(ip) = answer.addresses().first().copied() else { return known };
        let server = stage.host_at(ip);
        let transaction = Transaction::new(sender, &[recipient], message.bytes.clone());
        let mut client = client(&mut stage.rng);
        if !internet.takes(ip) {
            client.leave = Leave::Silently;
        }
        let (opening, session) = internet.receive(ip, client, vec![transaction]);
        let mailing = Mailing { opening, ..Mailing::new(kind, session, vec![message]) };
        let end = stage.mail(known + MILLI, Route::new(self.host, &server, 25), &mailing);
        // Windows gives up connecting after 21 seconds.
        if opening == crate::tcp::Opening::Unanswered { known + 21 * SECOND } else { end }
    }
}

/// The family's header order: no Date, no Message-ID.
fn headers(rng: &mut Rng, sender: &str, recipient: &str, subject: &str, text: &str) -> Builder {
    let boundary = format!("----------{}", rng.text(HEX, 15));
    Builder::new(text)
        .header("From", sender)
        .header("To", recipient)
        .header("Subject", subject)
        .header("X-Mailer", "The Bat! (v1.62)")
        .header("X-Priority", "1 (High)")
        .boundary(&boundary)
        .bare_line_feeds()
}

/// Stands where the worm's text stood, about as long.
const PLACEHOLDER: &str = "Hello,\n\nThis is neutral text in the place of the original words. It says nothing, and\n\
     it is about as long as a short letter of a few sentences would be. The file beside\n\
     it is empty but for two letters at its beginning.\n\nRegards.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_published_ones() {
        let archive = archive();
        assert_eq!(archive.content.len(), ARCHIVE_SIZE);
        assert_eq!((archive.facts.name.as_str(), archive.facts.size), (ATTACHMENT, 12_958));
        assert_eq!((archive.facts.members[0].name.as_str(), archive.facts.members[0].size), (MEMBER, 12_832));
        // 12,958 bytes are 17,280 characters of base64.
        assert_eq!(crate::mail::base64_lines(&archive.content).replace('\n', "").len(), 17_280);
    }

    #[test]
    fn the_payload_is_inert() {
        assert!(payload().starts_with(b"MZ") && payload()[2..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn the_message_has_the_marks_and_lacks_what_the_worm_lacked() {
        let (sender, message) = letter(&mut Rng::new(3), "ada@alder.example");
        let text = String::from_utf8(message.bytes).unwrap();
        assert_eq!(sender, "james@alder.example");
        assert!(message.subject.starts_with("Re[2]: our private photos   "));
        assert!(text.contains("X-Mailer: The Bat!") && text.contains("boundary=\"----------"));
        assert!(!text.contains('\r') && !text.contains("Date:") && !text.contains("Message-ID"));
    }
}
