//! A client's command line, read leniently (RFC 5321, sections 4.1.1 and 4.1.2).

use crate::model::event::Dialect;

/// A command as the session needs it. Arguments that could hold secrets are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// HELO, EHLO or LHLO with the name given.
    Hello {
        kind: Hello,
        name: String,
    },
    /// MAIL FROM with the reverse-path and the SIZE declared (RFC 1870), in bytes.
    Mail {
        path: String,
        size: Option<u64>,
    },
    Rcpt {
        path: String,
    },
    Data,
    /// BDAT (RFC 3030): `size` bytes follow at once.
    Bdat {
        size: u64,
        last: bool,
    },
    Rset,
    Quit,
    /// AUTH (RFC 4954) with its mechanism; whether an initial response was given, never which.
    Auth {
        mechanism: String,
    },
    StartTls,
    /// NOOP, VRFY, EXPN, HELP, ETRN, XCLIENT and others that get one reply and change nothing we follow.
    Other,
    /// Not a command of SMTP.
    Unknown,
}

/// How a client introduced itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello {
    Helo,
    Ehlo,
    /// LMTP (RFC 2033): one reply a recipient after the data.
    Lhlo,
}

/// Reads one line, without its line end; notes in `dialect` how it was written.
pub fn parse(line: &[u8], dialect: &mut Dialect) -> Command {
    let line = line.trim_ascii_start();
    let verb_end = line.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(line.len());
    let (verb, rest) = line.split_at(verb_end);
    let command = match verb.to_ascii_uppercase().as_slice() {
        b"HELO" => hello(Hello::Helo, rest, dialect),
        b"EHLO" => hello(Hello::Ehlo, rest, dialect),
        b"LHLO" => hello(Hello::Lhlo, rest, dialect),
        b"MAIL" => path_after(rest, b"FROM", dialect)
            .map_or(Command::Unknown, |(path, params)| Command::Mail { path, size: declared_size(params) }),
        b"RCPT" => path_after(rest, b"TO", dialect).map_or(Command::Unknown, |(path, _)| Command::Rcpt { path }),
        b"DATA" if rest.trim_ascii().is_empty() => Command::Data,
        b"BDAT" => bdat(rest),
        b"RSET" => Command::Rset,
        b"QUIT" => Command::Quit,
        b"AUTH" => Command::Auth { mechanism: mechanism(rest) },
        b"STARTTLS" => Command::StartTls,
        b"NOOP" | b"VRFY" | b"EXPN" | b"HELP" | b"ETRN" | b"TURN" | b"ATRN" | b"XCLIENT" | b"XFORWARD" | b"SEND"
        | b"SOML" | b"SAML" | b"BURL" | b"CLIENTID" => Command::Other,
        _ => Command::Unknown,
    };
    if command != Command::Unknown && verb.iter().any(u8::is_ascii_lowercase) {
        dialect.add(Dialect::LOWER_CASE);
    }
    command
}

/// Whether a line that starts so can only be said by an SMTP client who opens a conversation. `start` may be cut
/// short; at least one byte must be there.
pub fn opens_smtp(start: &[u8]) -> bool {
    const OPENERS: [&[u8]; 5] = [b"EHLO ", b"HELO ", b"LHLO ", b"MAIL FROM:", b"RCPT TO:"];
    OPENERS.iter().any(|opener| {
        let both = opener.len().min(start.len());
        both > 0 && opener[..both].eq_ignore_ascii_case(&start[..both])
    })
}

fn hello(kind: Hello, rest: &[u8], dialect: &mut Dialect) -> Command {
    let name = text(rest.trim_ascii());
    if kind == Hello::Helo {
        dialect.add(Dialect::HELO);
    }
    let lower = name.to_ascii_lowercase();
    if lower == "localhost" || lower.starts_with("localhost.") {
        dialect.add(Dialect::HELO_LOCALHOST);
    }
    if name.starts_with('[') {
        dialect.add(Dialect::HELO_LITERAL);
    } else if !name.contains('.') && !name.is_empty() {
        dialect.add(Dialect::HELO_BARE_WORD);
    }
    Command::Hello { kind, name }
}

/// The path after `FROM:` or `TO:`, and what follows it.
fn path_after<'a>(rest: &'a [u8], keyword: &[u8], dialect: &mut Dialect) -> Option<(String, &'a [u8])> {
    let rest = rest.trim_ascii_start();
    let (word, after) = rest.split_at_checked(keyword.len())?;
    let after = after.trim_ascii_start().strip_prefix(b":").filter(|_| word.eq_ignore_ascii_case(keyword))?;
    let argument = after.trim_ascii_start();
    // RFC 5321, section 3.3: "spaces are not permitted on either side of the colon".
    dialect.add(if argument.len() < after.len() { Dialect::SPACE_AFTER_COLON } else { Dialect::NO_SPACE_AFTER_COLON });
    let (path, params) = match argument.strip_prefix(b"<") {
        Some(inside) => {
            let end = closing_bracket(inside);
            (&inside[..end], inside.get(end + 1..).unwrap_or_default())
        }
        None => {
            dialect.add(Dialect::NO_BRACKETS);
            argument.split_at(argument.iter().position(u8::is_ascii_whitespace).unwrap_or(argument.len()))
        }
    };
    Some((text(without_route(path.trim_ascii())), params))
}

/// Where the bracket closes, outside quoted strings (RFC 5321, section 4.1.2: a local part may be quoted).
fn closing_bracket(inside: &[u8]) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in inside.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return at,
            _ => {}
        }
    }
    // No bracket closes outside quotes: take the last one, or all of it.
    inside.iter().rposition(|&b| b == b'>').unwrap_or(inside.len())
}

/// A source route `@a,@b:user@c` is to be ignored (RFC 5321, section 4.1.1.3).
fn without_route(path: &[u8]) -> &[u8] {
    match path.iter().position(|&b| b == b':') {
        Some(colon) if path.starts_with(b"@") => &path[colon + 1..],
        _ => path,
    }
}

fn declared_size(params: &[u8]) -> Option<u64> {
    params.split(u8::is_ascii_whitespace).find_map(|param| {
        let (name, value) = param.split_at_checked(5)?;
        name.eq_ignore_ascii_case(b"SIZE=").then(|| number(value))?
    })
}

/// RFC 3030, section 2: `BDAT SP chunk-size [SP LAST]`. With anything else after the size the server refuses the
/// command, and no chunk follows.
fn bdat(rest: &[u8]) -> Command {
    let mut words = rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    match (words.next().and_then(number), words.next(), words.next()) {
        (Some(size), None, None) => Command::Bdat { size, last: false },
        (Some(size), Some(word), None) if word.eq_ignore_ascii_case(b"LAST") => Command::Bdat { size, last: true },
        _ => Command::Other,
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The mechanism's name (RFC 4422, section 3.1: up to 20 letters, digits, hyphens, underscores).
fn mechanism(rest: &[u8]) -> String {
    let word = rest.trim_ascii_start().split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let valid = word.len() <= 20 && word.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    // Whatever else stands there could be a credential of a confused client.
    if valid { text(word).to_ascii_uppercase() } else { String::new() }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Command {
        parse(line.as_bytes(), &mut Dialect::default())
    }

    fn mail(path: &str, size: Option<u64>) -> Command {
        Command::Mail { path: path.into(), size }
    }

    #[test]
    fn paths_are_read_as_real_clients_write_them() {
        assert_eq!(read("MAIL FROM:<a@b.example>"), mail("a@b.example", None));
        assert_eq!(read("mail from: <a@b.example> SIZE=1024 BODY=8BITMIME"), mail("a@b.example", Some(1024)));
        assert_eq!(read("MAIL FROM:<>"), mail("", None));
        assert_eq!(read("MAIL FROM:a@b.example SIZE=7"), mail("a@b.example", Some(7)));
        assert_eq!(read("MAIL FROM:<@x,@y:a@b.example>"), mail("a@b.example", None));
        assert_eq!(read("MAIL FROM:<\"odd>one\"@b.example>"), mail("\"odd>one\"@b.example", None));
        assert_eq!(read("MAIL FROM:<a@b.example"), mail("a@b.example", None));
        assert_eq!(read("RCPT TO:<c@d.example> NOTIFY=NEVER"), Command::Rcpt { path: "c@d.example".into() });
        assert_eq!(read("RCPT TO c@d.example"), Command::Unknown);
    }

    #[test]
    fn dialect_notes_how_it_was_written() {
        let mut dialect = Dialect::default();
        parse(b"helo localhost", &mut dialect);
        parse(b"MAIL FROM: a@b", &mut dialect);
        let names: Vec<_> = dialect.names().collect();
        assert_eq!(
            names,
            ["space-after-colon", "helo", "helo-localhost", "helo-bare-word", "lower-case", "no-brackets"]
        );
    }

    #[test]
    fn chunks_and_hellos() {
        assert_eq!(read("BDAT 86 LAST"), Command::Bdat { size: 86, last: true });
        assert_eq!(read("bdat 0"), Command::Bdat { size: 0, last: false });
        for refused in ["BDAT x", "BDAT", "BDAT 5 X", "BDAT 5 LAST 6", "BDAT -1"] {
            assert_eq!(read(refused), Command::Other, "{refused}");
        }
        assert_eq!(read("EHLO [192.0.2.1]"), Command::Hello { kind: Hello::Ehlo, name: "[192.0.2.1]".into() });
        assert_eq!(read("DATABASE"), Command::Unknown);
        assert_eq!(read("\u{0}"), Command::Unknown);
    }

    #[test]
    fn auth_keeps_the_mechanism_and_nothing_else() {
        assert_eq!(read("AUTH plain AGFsaWNlAHNlY3JldA=="), Command::Auth { mechanism: "PLAIN".into() });
        assert_eq!(read("AUTH AGFsaWNlAHNlY3JldA=="), Command::Auth { mechanism: String::new() });
    }

    #[test]
    fn openers_are_known_from_their_first_byte() {
        for opens in ["E", "ehlo x", "MAIL F", "RCPT TO:<a>"] {
            assert!(opens_smtp(opens.as_bytes()), "{opens}");
        }
        for other in ["", "GET / HTTP/1.1", "USER ftp", "EHLOX", "MAILBOX"] {
            assert!(!opens_smtp(other.as_bytes()), "{other}");
        }
    }
}
