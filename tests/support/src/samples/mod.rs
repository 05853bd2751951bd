//! The committed samples: each a recipe with its seed.

use crate::stage::Sample;

mod arrival;
mod mimail_c_outbreak;
mod office_day;
mod tls_outbreak;

/// How a sample is made.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Its folder under `pcaps/`.
    pub name: &'static str,
    pub seed: u64,
    /// Times in nanoseconds, not microseconds.
    pub nanoseconds: bool,
    /// What it shows.
    pub about: &'static str,
    make: fn(&str, u64) -> Sample,
}

impl Recipe {
    /// Makes it.
    pub fn make(&self) -> Sample {
        (self.make)(self.name, self.seed)
    }
}

/// All of them.
pub const ALL: &[Recipe] = &[
    Recipe {
        name: "mimail-c-outbreak",
        seed: 20_031_031,
        nanoseconds: false,
        about: "the worm arrives, one home host is infected, mails itself, steals, attacks",
        make: mimail_c_outbreak::make,
    },
    Recipe {
        name: "office-day",
        seed: 20_260_310,
        nanoseconds: true,
        about: "a working day of legitimate mail, IPv4 and IPv6; nobody is infected",
        make: office_day::make,
    },
    Recipe {
        name: "arrival",
        seed: 20_031_101,
        nanoseconds: false,
        about: "the worm reaches a home mailbox from outside; nobody is infected",
        make: arrival::make,
    },
    Recipe {
        name: "tls-outbreak",
        seed: 20_260_312,
        nanoseconds: true,
        about: "a bot mails the world behind STARTTLS and attacks a site; only behaviour shows it",
        make: tls_outbreak::make,
    },
];
