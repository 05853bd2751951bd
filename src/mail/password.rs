//! Words of a message that may be the password of an archive in it.
//!
//! Worms of 2004 on (Bagle was the first) mailed themselves in encrypted zips, the password standing in the text: what
//! their victims could read, a sensor can try.

use crate::model::limits;

/// At most [`limits::ARCHIVE_PASSWORDS`] words, the likeliest first: those behind a word for password, then words alone on
/// their line, then numbers.
pub fn candidates<'t>(texts: impl IntoIterator<Item = &'t str>) -> Vec<String> {
    let mut found = Found::default();
    for text in texts {
        found.add(text);
    }
    let mut all: Vec<String> = Vec::new();
    for word in found.named.into_iter().chain(found.alone).chain(found.numbers) {
        if all.len() < limits::ARCHIVE_PASSWORDS && !all.iter().any(|other| other == word) {
            all.push(word.to_owned());
        }
    }
    all
}

#[derive(Default)]
struct Found<'t> {
    named: Vec<&'t str>,
    alone: Vec<&'t str>,
    numbers: Vec<&'t str>,
}

impl<'t> Found<'t> {
    fn add(&mut self, text: &'t str) {
        // Words still to come that a name before them points at.
        let mut pointed = 0usize;
        for line in text.lines() {
            let mut words = line.split_whitespace();
            if let (Some(word), None) = (words.next(), words.next()) {
                keep(&mut self.alone, word);
            }
            for word in line.split_whitespace() {
                if is_name(word) {
                    pointed = POINTED;
                    // `password:12345` is one word.
                    if let Some((_, behind)) = word.split_once([':', '=']) {
                        keep(&mut self.named, behind);
                    }
                } else if pointed > 0 {
                    pointed -= 1;
                    keep(&mut self.named, word);
                }
                let digits = bare(word);
                if (3..=10).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    keep(&mut self.numbers, digits);
                }
            }
        }
    }
}

/// Keeps a word, without the marks around it, and with them where they may belong to it.
fn keep<'t>(list: &mut Vec<&'t str>, word: &'t str) {
    for word in [bare(word), word] {
        if list.len() < limits::ARCHIVE_PASSWORDS && (1..=LONGEST).contains(&word.len()) && !list.contains(&word) {
            list.push(word);
        }
    }
}

fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

fn is_name(word: &str) -> bool {
    let start = word.get(..word.floor_char_boundary(LONGEST)).unwrap_or_default().to_lowercase();
    let start = start.trim_start_matches(|c: char| !c.is_alphanumeric());
    NAMES.iter().any(|name| start.starts_with(name))
}

/// Words behind a name that are tried: `password for the archive is 12345`.
const POINTED: usize = 5;

/// Longest word tried, in bytes.
const LONGEST: usize = 64;

/// Words for password, in lower case, in languages that such worms wrote.
const NAMES: [&str; 11] = [
    "pass", // password, passwd, passcode, Passwort
    "pwd",
    "pw:",
    "pw=",
    "kennwort",
    "contrase",
    "senha",
    "clave",
    "wachtwoord",
    "has\u{142}o",
    "\u{43f}\u{430}\u{440}\u{43e}\u{43b}", // Russian
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_victim_would_try() {
        for (text, password) in [
            ("For security reasons attached file is password protected. The password is 47286", "47286"),
            ("Archive password: s3cr3t", "s3cr3t"),
            ("Password:12345", "12345"),
            ("In order to read the attach you have to use the following password:\n   ywxyz.\n", "ywxyz"),
            ("Note: Use pass \"aBc-9!\" to open", "aBc-9!\""),
            ("Das Kennwort lautet: geheim", "geheim"),
            ("\u{41f}\u{430}\u{440}\u{43e}\u{43b}\u{44c} - 77", "77"),
            ("Hello\n\nqwerty\n", "qwerty"),
            ("Use 61724 as the key", "61724"),
        ] {
            let found = candidates([text]);
            let bare = password.trim_end_matches('"');
            assert!(found.iter().any(|word| word.trim_matches('"') == bare), "{text}: {found:?}");
        }
        assert_eq!(candidates(["Hello there, see the attached file."]), Vec::<String>::new());
    }

    #[test]
    fn is_bounded_and_puts_named_words_first() {
        let lines = (0..5_000).map(|n| format!("{n}00\n")).collect::<String>();
        let found = candidates([&*lines, "the password is right"]);
        assert_eq!((found.len(), found[1].as_str()), (limits::ARCHIVE_PASSWORDS, "right"));
        let started = std::time::Instant::now();
        candidates([&*"pass ".repeat(100_000), &"\u{e9}".repeat(200_000)]);
        assert!(started.elapsed().as_secs() < 5);
    }
}
