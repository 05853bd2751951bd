//! 12 March 2026: a bot on one desk mails the world behind TLS, and is told to attack. Nothing it says can be read.

use crate::clock::{MILLI, MINUTE, Nanos, SECOND, utc};
use crate::dns;
use crate::host::Host;
use crate::internet::{Age, Internet, Temper, household, person};
use crate::office::{DOMAIN, Letter, Office, somebody};
use crate::prng::{LETTERS, Rng};
use crate::smtp::{Client, Leave, Security};
use crate::stage::{Ask, Mailing, Route, Sample, Stage};
use crate::tcp::Opening;
use crate::tls::Era;
use crate::wire::{self, SYN, Tcp};

/// Attempts of the bot, failed ones included.
const VICTIMS: usize = 30;
/// Where it finds victims.
const FIRMS: u8 = 40;
/// Whom it attacks.
const TARGET: &str = "www.victim.example";

pub fn make(name: &str, seed: u64) -> Sample {
    let start = utc(2026, 3, 12, 13, 0, 0);
    let mut stage = Stage::new(name, seed);
    let mut internet = Internet::new(&mut stage, Age::Today);
    let target = stage.add(household(TARGET, [203, 0, 113, 200]));
    // Firms all over the address space (RFC 2544), since behind TLS networks are all that tells them apart.
    let mut firms: Vec<String> = vec!["gorse.example".into(), "heather.test".into()];
    for number in 1..=FIRMS {
        let domain = format!("firm{number}.example");
        let temper = if number % 9 == 4 { Temper::Refuses } else { Temper::Takes };
        internet.exchanger(&mut stage, &domain, 10, [198, 18, number, 25], temper);
        firms.push(domain);
    }
    let office = Office::new(&mut stage, &mut internet, 5);
    let bot = office.users[3].clone();

    everyday(&mut stage, &mut internet, &office, start, &bot);
    let done = spread(&mut stage, &mut internet, &office, start + 3 * MINUTE, (&bot, &firms));
    attack(&mut stage, &office, done + 20 * SECOND, &bot, &target);
    stage.finish()
}

/// One session a victim: exchanger, address, EHLO, STARTTLS, and then nobody can tell.
fn spread(
    stage: &mut Stage,
    internet: &mut Internet,
    office: &Office,
    start: Nanos,
    (bot, firms): (&Host, &[String]),
) -> Nanos {
    let mut rng = Rng::new(stage.rng.next_u64());
    let mut at = start;
    for _ in 0..VICTIMS {
        at += rng.between(3 * SECOND, 9 * SECOND);
        let domain = rng.pick(firms).clone();
        let victim = person(&mut rng, &domain);
        let (known, answer) = stage.lookup(at, bot, &office.resolver, Ask::new(&domain, dns::MX));
        let Some((_, exchanger)) = answer.exchangers().into_iter().next() else { continue };
        let (known, answer) = stage.lookup(known + MILLI, bot, &office.resolver, Ask::new(&exchanger, dns::A));
        let Some(ip) = answer.addresses().first().copied() else { continue };
        let from = person(&mut rng, "example.com");
        let letter = Letter::personal(&mut rng, at, &from, &[victim]);
        let client = Client { leave: Leave::Silently, ..Client::new(&rng.text(LETTERS, 8)) };
        let (opening, mut session) = internet.receive(ip, client, vec![letter.transaction()]);
        session.security = Security::StartTls(Era::Tls13);
        let mailing = Mailing { opening, ..Mailing::new("worm", session, vec![&letter.message]) };
        let end = stage.mail(known + MILLI, Route::new(bot, &stage.host_at(ip), 25), &mailing);
        if opening == Opening::Answered {
            at = at.max(end);
        }
    }
    at
}

/// Asks for the target and sends it 300 SYN segments and 100 echo requests in some four seconds.
fn attack(stage: &mut Stage, office: &Office, at: Nanos, bot: &Host, target: &Host) {
    let mut now = stage.lookup(at, bot, &office.resolver, Ask::new(TARGET, dns::A)).0;
    for number in 0..400u16 {
        now += 10 * MILLI;
        let seq = stage.rng.next_u32();
        stage.frame(now, bot, target, |out, link, ip| match number % 4 {
            3 => wire::echo(out, link, ip, false, 0x200, number, &[0x61; 32]),
            _ => {
                let header =
                    Tcp { src_port: 20_000 + number, dst_port: 443, seq, flags: SYN, window: 1_024, ..Tcp::default() };
                wire::tcp(out, link, ip, &header, &[]);
            }
        });
    }
}

/// Colleagues read, browse and write; mail comes and goes through the relay, some of it near to what the bot does.
fn everyday(stage: &mut Stage, internet: &mut Internet, office: &Office, start: Nanos, bot: &Host) {
    let mut rng = Rng::new(stage.rng.next_u64());
    office.probe(stage, start + 9 * SECOND, &office.relay);
    office.probe(stage, start + 5 * MINUTE, &office.relay);
    let friend = stage.add(Host { role: "mail server", ..household("out.example.com", [192, 0, 2, 25]) });
    let friendly = internet.friendly();
    for (number, user) in (0..).zip(office.users.iter().filter(|user| user.name != bot.name)) {
        let at = start + number * 71 * SECOND;
        office.browse(stage, at, user, &internet.sites[0], 6_000, number % 2 == 0);
        let inbound = Letter::personal(&mut rng, at, "friend@example.com", &[office.user_address(user)]);
        office.receive(stage, at + 5 * SECOND, &friend, &inbound);
        let to = somebody(&mut rng, &friendly);
        let letter = Letter::personal(&mut rng, at, &office.user_address(user), &[to]);
        let handed = office.submit(stage, at + 20 * SECOND, user, &letter, Security::StartTls(Era::Tls13));
        let from = (&office.relay, office.relay_client());
        office.deliver(stage, internet, handed + 300 * MILLI, from, &[letter.relayed(handed, &office.relay)], "letter");
    }
    office.dig(stage, start + MINUTE, DOMAIN);
}
