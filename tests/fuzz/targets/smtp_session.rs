//! A whole session by two sides that keep to the grammar, delivered in many ways, against their own record of it.
//!
//! Input: four bytes of circumstances ([`Scene`]), then a plan of what the client does and what the server makes of it
//! ([`script`]). Unlike [`super::smtp`], which may say anything, this knows what was meant: which transactions the server
//! took, from whom, for whom, and each byte of their messages. Nothing of that may depend on how TCP cut and interleaved
//! it, nor may a credential be said, whatever was lost.

mod delivery;
mod packets;
mod record;
mod script;
mod words;

use mailsnare::model::event::{Outcome, SmtpEvent};
use mailsnare::model::net::Side;
use mailsnare::protocol::smtp::Said;

use super::input::{Input, Lengths};
use super::smtp::{Circumstances, Step, play};
use delivery::{Loss, Pace, deliver};
use record::Accepted;
use script::Talk;
use words::{CREDENTIAL, NAMES};

pub fn run(input: &[u8]) {
    let mut input = Input(input);
    let scene = Scene::read(&mut input);
    let talk = script::write(&mut input, scene.on_mail_port);
    for pace in [Pace::Turns, Pace::Eager, Pace::Chance(scene.seed)] {
        let steps = deliver(&talk, pace, &scene.losses(&talk));
        let whole = play(&scene.circumstances(), &steps, |_| usize::MAX);
        let mut lengths = Lengths::new(scene.seed.into());
        for (how, said) in [
            ("byte by byte", play(&scene.circumstances(), &steps, |_| 1)),
            ("in small pieces", play(&scene.circumstances(), &steps, |_| lengths.next())),
        ] {
            assert!(said.words == whole.words, "{how}: {}\nin one: {}\n{steps:#?}", said.words, whole.words);
        }
        scene.check(&talk, &whole.events(), &steps);
        assert!(!whole.words.contains(CREDENTIAL), "a credential was said: {}\n{steps:#?}", whole.words);
    }
    let steps = deliver(&talk, Pace::Chance(!scene.seed), &scene.losses(&talk));
    let (said, account) = packets::through_sensor(&scene, &steps);
    let events: Vec<&SmtpEvent> = said.iter().collect();
    scene.check(&talk, &events, &steps);
    assert!(!format!("{said:?}").contains(CREDENTIAL), "a credential was said: {said:?}\n{steps:#?}");
    assert_eq!(account, [0; 3], "sessions, reassembly or tails hold bytes of flows that are gone: {steps:#?}");
}

/// What the sensor gets to see.
struct Scene {
    on_mail_port: bool,
    /// Messages are kept up to few bytes.
    short_bound: bool,
    sight: Sight,
    /// Decides places of splits and turns.
    seed: u16,
    /// Decides places of losses.
    chance: u8,
}

#[derive(Clone, Copy, PartialEq)]
enum Sight {
    Whole,
    Lossy,
    One(Side),
}

impl Scene {
    fn read(input: &mut Input<'_>) -> Self {
        let (bits, chance) = (input.byte(), input.byte());
        let sight = match bits & 7 {
            4 | 5 => Sight::Lossy,
            6 => Sight::One(Side::Client),
            7 => Sight::One(Side::Server),
            _ => Sight::Whole,
        };
        Self { on_mail_port: bits & 8 == 0, short_bound: bits & 16 != 0, sight, seed: input.short(), chance }
    }

    fn bound(&self) -> usize {
        if self.short_bound { 64 } else { 1 << 20 }
    }

    fn circumstances(&self) -> Circumstances {
        let unseen = if let Sight::One(side) = self.sight { Some(side.other()) } else { None };
        Circumstances { expected: self.on_mail_port, midstream: false, bound: self.bound(), unseen }
    }

    fn losses(&self, talk: &Talk) -> Vec<Loss> {
        if self.sight == Sight::Lossy { Loss::some(talk, self.chance) } else { Vec::new() }
    }

    fn check(&self, talk: &Talk, events: &[&SmtpEvent], steps: &Steps) {
        for event in events {
            let Some(envelope) = &event.envelope else { continue };
            for name in std::iter::once(&envelope.mail_from).chain(&envelope.rcpt_to) {
                assert!(self.knows(name, steps), "nobody was called {name}: {steps:#?}");
            }
            // Behind a hole in a message, anything the client went on to say may be taken for more of it.
            if let Some(message) = event.message.as_ref().filter(|message| message.gaps == 0) {
                let holds = |part: &[u8]| part == CREDENTIAL.as_bytes();
                let leaks = self.sight == Sight::Whole && message.bytes.windows(CREDENTIAL.len()).any(holds);
                assert!(!leaks, "a credential in a message: {steps:#?}");
            }
        }
        match self.sight {
            Sight::Whole => self.check_record(talk, events, steps, true),
            // Without replies, what was refused looks accepted.
            Sight::One(Side::Client) if talk.nothing_refused => self.check_record(talk, events, steps, false),
            _ => {}
        }
    }

    /// Whether somebody is called so. Where bytes were lost, part of a message may be taken for a command; but no name is
    /// put together over a hole.
    fn knows(&self, name: &str, steps: &Steps) -> bool {
        let said_at_once = |side: Side| {
            let mut runs = vec![Vec::new()];
            for step in steps {
                match step {
                    Step::Says(speaker, bytes) if *speaker == side => runs.last_mut().unwrap().extend_from_slice(bytes),
                    Step::Gap(loser, _) if *loser == side => runs.push(Vec::new()),
                    _ => {}
                }
            }
            runs.iter().any(|run| String::from_utf8_lossy(run).contains(name))
        };
        let lossy = self.sight == Sight::Lossy;
        name.is_empty()
            || NAMES.contains(&name)
            || (lossy && [Side::Client, Side::Server].into_iter().any(said_at_once))
    }

    /// What the server took is what is told to have been taken, each byte of it.
    fn check_record(&self, talk: &Talk, events: &[&SmtpEvent], steps: &Steps, replies: bool) {
        let told: Vec<Accepted> = events
            .iter()
            .filter(|event| event.message.is_some())
            .filter(|event| event.outcome == if replies { Outcome::Accepted } else { Outcome::Unknown })
            .map(|event| Accepted::told(event))
            .collect();
        let taken: Vec<Accepted> = talk.accepted.iter().map(|taken| taken.seen(self.bound(), replies)).collect();
        assert!(told == taken, "told: {told:#?}\ntaken: {taken:#?}\n{steps:#?}");
    }
}

impl super::smtp::Played {
    fn events(&self) -> Vec<&SmtpEvent> {
        let events =
            self.said.iter().filter_map(|said| if let Said::Event(event) = said { Some(&**event) } else { None });
        events.collect()
    }
}

/// For the packets of a conversation: what is said, in order.
type Steps = [Step];
