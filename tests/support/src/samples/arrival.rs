//! 1 November 2003: the worm reaches two home mailboxes from outside, and nobody opens it.

use crate::clock::{MINUTE, SECOND, utc};
use crate::host::Host;
use crate::internet::{Age, Internet, household, person};
use crate::office::{Letter, Office};
use crate::prng::Rng;
use crate::stage::{Sample, Stage};

use super::mimail_c_outbreak::arrive;

pub fn make(name: &str, seed: u64) -> Sample {
    let start = utc(2003, 11, 1, 14, 30, 0);
    let mut stage = Stage::new(name, seed);
    let mut internet = Internet::new(&mut stage, Age::Year2003);
    let office = Office::new(&mut stage, &mut internet, 4);
    let carrier = stage.add(household("dialup7.example.org", [203, 0, 113, 51]));
    let friend = stage.add(Host { role: "mail server", ..household("out.example.com", [192, 0, 2, 25]) });

    office.probe(&mut stage, start, &office.relay);
    let mut rng = Rng::named(seed, "letters");
    for (number, minute) in [(0usize, 1), (2, 4)] {
        let from = person(&mut rng, "example.com");
        let user = &office.users[number];
        let letter = Letter::personal(&mut rng, start + minute * MINUTE, &from, &[office.user_address(user)]);
        office.receive(&mut stage, start + minute * MINUTE, &friend, &letter);
        let arrival = start + minute * MINUTE + 30 * SECOND;
        arrive(&mut stage, &office, arrival, &carrier, &office.user_address(user));
        office.fetch(&mut stage, arrival + MINUTE, user, 21_000);
    }
    for (number, user) in (0..).zip(&office.users) {
        office.browse(&mut stage, start + number * 77 * SECOND, user, &internet.sites[0], 9_000, number % 2 == 0);
    }
    stage.finish()
}
