//! 31 October 2003: the worm comes in by mail, is opened, and mails itself for some eleven minutes.

use crate::clock::{MILLI, MINUTE, Nanos, SECOND, utc};
use crate::host::Host;
use crate::internet::{Age, Internet, Temper, household, person};
use crate::office::{DOMAIN, Letter, Office, somebody};
use crate::prng::Rng;
use crate::smtp::{Security, Session};
use crate::stage::{Mailing, Route, Sample, Stage};
use crate::worm::{self, Infected};

/// Attempts of the worm, failed ones included.
const VICTIMS: usize = 230;

pub fn make(name: &str, seed: u64) -> Sample {
    let start = utc(2003, 10, 31, 9, 0, 0);
    let mut stage = Stage::new(name, seed);
    let mut internet = Internet::new(&mut stage, Age::Year2003);
    internet.exchanger(&mut stage, "gmx.net", 10, [203, 0, 113, 30], Temper::Takes);
    internet.exchanger(&mut stage, "mail15.com", 10, [203, 0, 113, 31], Temper::Takes);
    stage.add(Host { name: worm::TARGET.into(), ..household("target", [203, 0, 113, 200]) });
    let office = Office::new(&mut stage, &mut internet, 11);
    let victim = office.users[6].clone();

    // The worm comes from a household that has it, and is fetched by the one who will open it.
    let carrier = stage.add(household("dialup66.example.org", [203, 0, 113, 50]));
    arrive(&mut stage, &office, start + 2 * MINUTE, &carrier, &office.user_address(&victim));
    office.fetch(&mut stage, start + 4 * MINUTE, &victim, 19_000);

    let infected = Infected {
        host: &victim,
        resolver: &internet.resolver.clone(),
        home_resolver: &office.resolver,
        home_domain: DOMAIN,
    };
    let opened = start + 5 * MINUTE;
    infected.gate(&mut stage, opened);
    let victims = victims(&mut Rng::named(seed, "victims"), &internet, &office);
    let done = infected.spread(&mut stage, &mut internet, opened + 25 * SECOND, &victims);
    infected.steal(&mut stage, &mut internet, opened + 4 * MINUTE);
    infected.attack(&mut stage, opened + 9 * MINUTE);

    everyday(&mut stage, &mut internet, &office, start, done + MINUTE, &victim);
    stage.finish()
}

/// The worm's message comes to the relay from `carrier`, as the worm sends it.
pub fn arrive(stage: &mut Stage, office: &Office, at: Nanos, carrier: &Host, recipient: &str) -> Nanos {
    let (sender, message) = worm::letter(&mut stage.rng, recipient);
    let transaction = crate::smtp::Transaction::new(&sender, &[recipient], message.bytes.clone());
    let session = Session::new(worm::client(&mut stage.rng), office.greeting(&office.relay), vec![transaction]);
    stage.mail(at, Route::new(carrier, &office.relay, 25), &Mailing::new("worm", session, vec![&message]))
}

/// Addresses as found on a disk: all over the world, some long gone, some at home.
fn victims(rng: &mut Rng, internet: &Internet, office: &Office) -> Vec<String> {
    let mut victims: Vec<String> = (0..VICTIMS)
        .map(|number| match number % 25 {
            7 => office.user_address(&office.users[number % office.users.len()]),
            19 => person(rng, &internet.missing[number % internet.missing.len()]),
            _ => somebody(rng, &internet.domains),
        })
        .collect();
    rng.shuffle(&mut victims);
    victims
}

/// Everyone goes on with the day: the web, mail in and out, monitoring.
fn everyday(stage: &mut Stage, internet: &mut Internet, office: &Office, start: Nanos, end: Nanos, infected: &Host) {
    let mut rng = Rng::new(stage.rng.next_u64());
    let spot = |rng: &mut Rng| start + rng.between(SECOND, end - start);
    for minute in 0..(end - start) / (5 * MINUTE) {
        office.probe(stage, start + minute * 5 * MINUTE + 12 * SECOND, &office.relay);
    }
    let sites = internet.sites[..3].to_vec();
    for user in office.users.iter().filter(|user| user.name != infected.name) {
        for _ in 0..3 {
            let bytes = 2_000 + rng.below(12_000) as usize;
            let (at, clear) = (spot(&mut rng), rng.chance(700));
            office.browse(stage, at, user, rng.pick(&sites), bytes, clear);
        }
        let at = spot(&mut rng);
        office.fetch(stage, at, user, 1_500);
    }
    let friendly = internet.friendly();
    for number in 0..6 {
        let at = spot(&mut rng);
        let user = &office.users[number];
        let to = somebody(&mut rng, &friendly);
        let letter = Letter::personal(&mut rng, at, &office.user_address(user), &[to]);
        let handed = office.submit(stage, at, user, &letter, Security::None);
        let relayed = letter.relayed(handed, &office.relay);
        office.deliver(
            stage,
            internet,
            handed + 300 * MILLI,
            (&office.relay, office.relay_client()),
            &[relayed],
            "letter",
        );
    }
    let carrier = stage.add(Host { role: "mail server", ..household("out.example.com", [192, 0, 2, 25]) });
    for number in 0..5 {
        let at = spot(&mut rng);
        let letter =
            Letter::personal(&mut rng, at, "friend@example.com", &[office.user_address(&office.users[number * 2])]);
        office.receive(stage, at, &carrier, &letter);
    }
}
