//! What each detector says of itself: for `rules list`.

use crate::model::alert::Figure;
use crate::model::settings::DetectSettings;

/// A detector, or another part of the judgement that has settings.
#[derive(Clone, Debug)]
pub struct About {
    /// [`super::Detector::NAME`]; the table's name in the configuration where it is no detector.
    pub name: &'static str,
    /// EVE's `signature_id`; none where alerts carry those of rules, or there are none.
    pub sid: Option<u32>,
    pub title: &'static str,
    /// The grounds: papers and standards.
    pub references: &'static [&'static str],
    pub parameters: Vec<Parameter>,
}

/// A setting, by its key under `[detect.NAME]`.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub key: String,
    pub value: Figure,
    pub meaning: &'static str,
}

/// All of them, in the order of the table of detectors, with their values in `settings`; then the rest of `[detect]`.
pub fn about(settings: &DetectSettings) -> Vec<About> {
    let (fanout, volume, spread) = (&settings.recipient_fanout, &settings.mail_volume, &settings.self_propagation);
    let flood = &settings.flood_after_flag;
    let entry = |name, sid, title, references, parameters| About { name, sid, title, references, parameters };
    vec![
        entry("content-rule", None, "A message matched a rule", &[][..], vec![]),
        entry("name-rule", None, "A name that a rule knows was asked for", &[], vec![]),
        entry(
            "direct-to-mx",
            Some(9_000_101),
            "A host that is no mail server delivers to the outside itself",
            &["Whyte, van Oorschot, Kranakis 2005"],
            vec![
                setting("domains", settings.direct_to_mx.domains, "domains by whole chains within the window: high"),
                setting("window-seconds", settings.direct_to_mx.window_seconds, "the window"),
                setting("domains-a-day", settings.direct_to_mx.domains_a_day, "the same within a day"),
            ],
        ),
        entry(
            "recipient-fanout",
            Some(9_000_103),
            "A sequential probability ratio test over outcomes of deliveries",
            &["Wald 1947", "Jung, Paxson, Berger, Balakrishnan 2004", "Duan and others 2009 (SPOT)"],
            vec![
                setting("theta0", fanout.theta0, "chance that an honest host's delivery is to someone known"),
                setting("theta1", fanout.theta1, "the same of an infected host"),
                setting("alpha", fanout.alpha, "chance to accuse an honest host"),
                setting("beta", fanout.beta, "chance to acquit an infected host"),
                setting("repeats", fanout.repeats, "verdicts in a row from which first contacts alone are high"),
            ],
        ),
        entry(
            "mx-guessing",
            Some(9_000_104),
            "Names of mail servers asked for under many domains, and no exchangers",
            &["MyDoom 2004", "Mytob 2005"],
            vec![
                setting("domains", settings.mx_guessing.domains, "domains within the window"),
                setting("window-seconds", settings.mx_guessing.window_seconds, "the window"),
            ],
        ),
        entry(
            "self-propagation",
            Some(9_000_105),
            "One program from one host to many recipients, and who brought it",
            &["Kim, Karp 2004 (Autograph)", "Singh, Estan, Varghese, Savage 2004 (EarlyBird)"],
            vec![
                setting("recipients", spread.recipients, "recipients of one file within the window: medium"),
                setting("returned", spread.returned, "the same of a file that reached the network before: high"),
                setting("messages", spread.messages, "messages it must have been in"),
                setting("window-seconds", spread.window_seconds, "the window"),
            ],
        ),
        entry(
            "smtp-dialect",
            Some(9_000_106),
            "A host speaks SMTP to the world as bots do",
            &["Stringhini and others 2012 (B@bel)"],
            vec![
                setting(
                    "early-sessions",
                    settings.smtp_dialect.early_sessions,
                    "sessions begun before the greeting: medium",
                ),
                setting("odd-traits", settings.smtp_dialect.odd_traits, "odd traits in one session: low"),
                setting("names", settings.smtp_dialect.names, "names it gave itself: medium"),
            ],
        ),
        entry(
            "mail-volume",
            Some(9_000_102),
            "More mail than the ceiling, or than is usual for the host",
            &["Gupta, Sekar 2003", "Rousseeuw, Croux 1993"],
            vec![
                setting("window-seconds", volume.window_seconds, "the window"),
                setting("messages", volume.messages, "messages in it"),
                setting("recipients", volume.recipients, "recipients in it"),
                setting("bytes", volume.bytes, "bytes in it"),
                setting("connections", volume.connections, "connections in it"),
                setting("server-factor", volume.server_factor, "a mail server's ceilings are so many times as high"),
                setting(
                    "submission-factor",
                    volume.submission_factor,
                    "up to so many times is low where all was submitted",
                ),
                setting(
                    "baseline-windows",
                    volume.baseline_windows,
                    "windows known before a host is compared with itself",
                ),
                setting("baseline-deviations", volume.baseline_deviations, "deviations above its median"),
                setting(
                    "baseline-floor",
                    volume.baseline_floor,
                    "share of the ceiling below which nothing is compared",
                ),
            ],
        ),
        entry(
            "flood-after-flag",
            Some(9_000_107),
            "A host under suspicion floods one destination outside",
            &["Mirkovic, Prier, Reiher 2002 (D-WARD)", "Wang, Zhang, Shin 2002"],
            vec![
                setting(
                    "packets",
                    flood.packets,
                    "connection attempts and echo requests to it: medium (from 100 in 10 s)",
                ),
                setting("heavy", flood.heavy, "so many of them, or a target that a rule names: high"),
                setting("window-seconds", flood.window_seconds, "a longer pause begins another flood"),
            ],
        ),
        entry(
            "roles",
            None,
            "Who is taken for a mail server without being declared",
            &[],
            vec![
                setting("clients", settings.roles.clients, "networks outside, or hosts at home, that delivered to it"),
                setting("served-seconds", settings.roles.served_seconds, "from the first to the last of that"),
                setting("contacts-per-client", settings.roles.contacts_per_client, "contacts that each explains"),
                setting(
                    "contacts-per-message",
                    settings.roles.contacts_per_message,
                    "and each recipient it was brought",
                ),
                setting("patience", settings.roles.patience, "contacts of a host that speaks as a new server"),
            ],
        ),
        entry(
            "verdict",
            None,
            "How the score fades",
            &[],
            vec![
                setting("half-life-seconds", settings.verdict.half_life_seconds, "after so long evidence weighs half"),
                setting("calm-below", settings.verdict.calm_below, "an incident closes below this score"),
            ],
        ),
    ]
}

fn setting(key: &str, value: impl Into<Value>, meaning: &'static str) -> Parameter {
    Parameter { key: key.into(), value: value.into().0, meaning }
}

/// A setting's value, whole or not.
struct Value(Figure);

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self(Figure::Count(value.into()))
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self(Figure::Count(value))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self(Figure::Real(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Detectors;

    #[test]
    fn every_detector_is_told_of_and_every_key_can_be_set() {
        let all = about(&DetectSettings::default());
        let names: Vec<&str> = all.iter().map(|about| about.name).take(Detectors::names().len()).collect();
        assert_eq!(names, Detectors::names());
        let mut text = String::new();
        for about in all.iter().filter(|about| !about.parameters.is_empty()) {
            text.push_str(&format!("[{}]\n", about.name));
            for Parameter { key, value, .. } in &about.parameters {
                match value {
                    Figure::Count(count) => text.push_str(&format!("{key} = {count}\n")),
                    Figure::Real(real) => text.push_str(&format!("{key} = {real:?}\n")),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(toml::from_str::<DetectSettings>(&text).unwrap(), DetectSettings::default());
    }
}
