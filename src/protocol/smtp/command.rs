//! A client's command line, read leniently (RFC 5321, sections 4.1.1 and 4.1.2).

use crate::model::event::Dialect;
use crate::model::limits;

/// A command as the session needs it. Arguments that could hold secrets are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// HELO, EHLO or LHLO with the name given.
    Hello {
        kind: Hello,
        name: String,
    },
    /// MAIL FROM with the reverse-path and what was declared with it.
    Mail {
        path: String,
        declared: Declared,
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
    /// XCLIENT or XFORWARD: what a relay says of the client before it.
    Forwarded {
        kind: Forwarded,
        attributes: Vec<(String, String)>,
    },
    /// XEXCH50 of Exchange 2000 and 2003 (not standardised): once the server says 354, `size` bytes
    /// follow that are no lines.
    Block {
        size: u64,
    },
    /// NOOP, VRFY, EXPN, HELP, ETRN and others that get one reply and change nothing we follow.
    Other,
    /// Not a command of SMTP: what it says is not kept, since it may be a credential.
    Unknown,
}

/// Parameters of MAIL that say something of the message. Those of other extensions (RET, ENVID, AUTH and any more)
/// are not kept: AUTH names a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// SIZE in bytes (RFC 1870).
    pub size: Option<u64>,
    /// BODY (RFC 6152, RFC 3030).
    pub body: Option<&'static str>,
    /// SMTPUTF8 (RFC 6531).
    pub utf8: bool,
}

/// Who a relay speaks of (Postfix, XCLIENT_README and XFORWARD_README).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// The client, for the session.
    Xclient,
    /// The client, for the next transaction.
    Xforward,
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
            .map_or(Command::Unknown, |(path, params)| Command::Mail { path, declared: declared(params) }),
        b"RCPT" => path_after(rest, b"TO", dialect).map_or(Command::Unknown, |(path, _)| Command::Rcpt { path }),
        b"DATA" if rest.trim_ascii().is_empty() => Command::Data,
        b"BDAT" => bdat(rest),
        b"RSET" => Command::Rset,
        b"QUIT" => Command::Quit,
        b"AUTH" => Command::Auth { mechanism: mechanism(rest) },
        b"STARTTLS" => Command::StartTls,
        b"NOOP" | b"VRFY" | b"EXPN" | b"HELP" | b"ETRN" | b"TURN" | b"ATRN" | b"SEND" | b"SOML" | b"SAML" | b"BURL"
        | b"CLIENTID" => Command::Other,
        b"XEXCH50" => block(rest),
        b"XCLIENT" => Command::Forwarded { kind: Forwarded::Xclient, attributes: attributes(rest) },
        b"XFORWARD" => Command::Forwarded { kind: Forwarded::Xforward, attributes: attributes(rest) },
        _ => Command::Unknown,
    };
    if command != Command::Unknown && verb.iter().any(u8::is_ascii_lowercase) {
        dialect.add(Dialect::LOWER_CASE);
    }
    command
}

/// A line from AUTH on, if that stands anywhere in it. Where bytes were lost, the end of a chunk may have been joined with the
/// command behind it.
pub fn from_auth(line: &[u8]) -> &[u8] {
    const VERB: &[u8] = b"AUTH ";
    let at = line.windows(VERB.len()).position(|word| word.eq_ignore_ascii_case(VERB));
    at.map_or(line, |at| &line[at..])
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

/// Whether a client's first line belongs to another protocol that is found on mail ports: HTTP, FTP, POP3, IMAP, IRC,
/// SSH.
pub fn is_foreign(line: &[u8]) -> bool {
    const OPENERS: [&[u8]; 20] = [
        b"GET ",
        b"POST ",
        b"HEAD ",
        b"PUT ",
        b"CONNECT ",
        b"OPTIONS ",
        b"PRI * HTTP/2",
        b"USER ",
        b"PASS ",
        b"ACCT ",
        b"FEAT",
        b"SYST",
        b"AUTH TLS",
        b"AUTH SSL",
        b"CAPA",
        b"APOP ",
        b"NICK ",
        b"CAP LS",
        b"SSH-",
        b"RTSP/",
    ];
    // An IMAP client puts a tag of its own before the command (RFC 3501, section 2.2.1).
    const TAGGED: [&[u8]; 5] = [b"LOGIN", b"CAPABILITY", b"AUTHENTICATE", b"SELECT", b"ID"];
    let mut words = line.split(|&b| b == b' ');
    let (tag, verb) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let starts = |opener: &&[u8]| line.get(..opener.len()).is_some_and(|start| start.eq_ignore_ascii_case(opener));
    let is_tag = tag.iter().any(u8::is_ascii_digit) && tag.iter().all(u8::is_ascii_alphanumeric);
    OPENERS.iter().any(starts) || (is_tag && TAGGED.iter().any(|tagged| tagged.eq_ignore_ascii_case(verb)))
}

/// Whether a server's first line belongs to another protocol: POP3, IMAP, SSH, HTTP, IRC.
pub fn is_foreign_server(line: &[u8]) -> bool {
    const OPENERS: [&[u8]; 6] = [b"+OK", b"* OK", b"* PREAUTH", b"SSH-", b"HTTP/", b":"];
    OPENERS.iter().any(|opener| line.starts_with(opener))
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
    let argument = without_phrase(argument);
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

/// An address behind a name, as headers have them: `"A. Name" <a@b>`. Many servers take it.
fn without_phrase(argument: &[u8]) -> &[u8] {
    let mut quoted = false;
    for (at, &byte) in argument.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            // What comes first is the address itself, or a parameter behind one without a domain.
            b'@' | b'=' if !quoted => break,
            b'<' if !quoted => return argument.get(at..).unwrap_or_default(),
            _ => {}
        }
    }
    argument
}

/// Where the bracket closes, outside quoted strings (RFC 5321, section 4.1.2: a local part may be quoted).
fn closing_bracket(inside: &[u8]) -> usize {
    if let Some(end) = memchr::memchr2(b'"', b'>', inside).filter(|end| inside.get(*end) == Some(&b'>')) {
        return end;
    }
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

/// RFC 5321, section 4.1.1.11: `keyword[=value]`, in any case. The first of each kind counts.
fn declared(params: &[u8]) -> Declared {
    let mut declared = Declared::default();
    for (keyword, value) in keywords(params) {
        if keyword.eq_ignore_ascii_case(b"SIZE") {
            declared.size = declared.size.or(number(value));
        } else if keyword.eq_ignore_ascii_case(b"BODY") {
            let body = BODIES.into_iter().find(|body| body.as_bytes().eq_ignore_ascii_case(value));
            declared.body = declared.body.or(body);
        } else if keyword.eq_ignore_ascii_case(b"SMTPUTF8") {
            declared.utf8 = true;
        }
    }
    declared
}

/// Attributes by name, values as they were before they were encoded for the way. Only names that Postfix documents
/// and that say where mail comes from: LOGIN is a user's name.
fn attributes(rest: &[u8]) -> Vec<(String, String)> {
    keywords(rest)
        .filter_map(|(name, value)| {
            let known = ATTRIBUTES.into_iter().find(|known| known.as_bytes().eq_ignore_ascii_case(name))?;
            Some((known.to_owned(), decoded_xtext(&value[..value.len().min(3 * limits::SMTP_FORWARDED_VALUE)])))
        })
        .take(limits::SMTP_FORWARDED)
        .collect()
}

/// RFC 3461, section 4: `+` and two capital hexadecimal digits stand for one octet.
fn decoded_xtext(value: &[u8]) -> String {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|digits| first == b'+' && digits.iter().all(u8::is_ascii_hexdigit));
        let octet = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        octets.push(octet.unwrap_or(first));
        rest = if octet.is_some() { &after[2..] } else { after };
    }
    octets.truncate(limits::SMTP_FORWARDED_VALUE);
    text(&octets)
}

fn keywords(params: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    params.split(u8::is_ascii_whitespace).filter(|param| !param.is_empty()).map(|param| {
        let equals = param.iter().position(|&b| b == b'=').unwrap_or(param.len());
        (&param[..equals], param.get(equals + 1..).unwrap_or_default())
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

/// `XEXCH50 size recipients`, as Exchange says it.
fn block(rest: &[u8]) -> Command {
    let size = rest.split(u8::is_ascii_whitespace).find(|word| !word.is_empty()).and_then(number);
    size.map_or(Command::Other, |size| Command::Block { size })
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The mechanism's name, if it is one. Whatever else stands there could be a credential of a confused client.
fn mechanism(rest: &[u8]) -> String {
    let word = rest.trim_ascii_start().split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let known = MECHANISMS.into_iter().find(|known| known.as_bytes().eq_ignore_ascii_case(word));
    known.unwrap_or_default().to_owned()
}

fn text(bytes: &[u8]) -> String {
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes).into_owned(), str::to_owned)
}

/// RFC 6152, section 3, and RFC 3030, section 3.
const BODIES: [&str; 3] = ["7BIT", "8BITMIME", "BINARYMIME"];

/// Attributes of XCLIENT and XFORWARD that are kept.
const ATTRIBUTES: [&str; 9] = ["NAME", "ADDR", "PORT", "PROTO", "HELO", "DESTADDR", "DESTPORT", "IDENT", "SOURCE"];

/// SASL mechanisms: those registered with IANA that a mail client may use, and unregistered ones that are common.
const MECHANISMS: [&str; 30] = [
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "DIGEST-MD5",
    "NTLM",
    "GSSAPI",
    "GSS-SPNEGO",
    "EXTERNAL",
    "ANONYMOUS",
    "XOAUTH",
    "XOAUTH2",
    "OAUTHBEARER",
    "OAUTH10A",
    "SCRAM-SHA-1",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-224",
    "SCRAM-SHA-256",
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-384",
    "SCRAM-SHA-512",
    "SCRAM-SHA-512-PLUS",
    "SCRAM-SHA3-512",
    "SCRAM-MD5",
    "KERBEROS_V4",
    "KERBEROS_V5",
    "OTP",
    "SKEY",
    "SRP",
    "SECURID",
    "ECDSA-NIST256P-CHALLENGE",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Command {
        parse(line.as_bytes(), &mut Dialect::default())
    }

    fn mail(path: &str, size: Option<u64>) -> Command {
        Command::Mail { path: path.into(), declared: Declared { size, ..Declared::default() } }
    }

    #[test]
    fn paths_are_read_as_real_clients_write_them() {
        assert_eq!(read("MAIL FROM:<a@b.example>"), mail("a@b.example", None));
        assert_eq!(read("mail from: <a@b.example> SIZE=1024 RET=HDRS"), mail("a@b.example", Some(1024)));
        assert_eq!(read("MAIL FROM:<>"), mail("", None));
        assert_eq!(read("MAIL FROM:a@b.example SIZE=7"), mail("a@b.example", Some(7)));
        assert_eq!(read("MAIL FROM:<@x,@y:a@b.example>"), mail("a@b.example", None));
        assert_eq!(read("MAIL FROM:<\"odd>one\"@b.example>"), mail("\"odd>one\"@b.example", None));
        assert_eq!(read("MAIL FROM:<a@b.example"), mail("a@b.example", None));
        assert_eq!(read("RCPT TO:<c@d.example> NOTIFY=NEVER"), Command::Rcpt { path: "c@d.example".into() });
        assert_eq!(read("RCPT TO c@d.example"), Command::Unknown);
        assert_eq!(read("MAIL FROM: postmaster RET=HDRS AUTH=<>"), mail("postmaster", None));
        assert_eq!(read("MAIL FROM: A. Name <a@b.example> SIZE=7"), mail("a@b.example", Some(7)));
        // RFC 5322, section 3.2.4: what is quoted has no meaning of its own.
        assert_eq!(read("MAIL FROM: \"A <Sales> @ home\" <a@b.example>"), mail("a@b.example", None));
        assert_eq!(read("MAIL FROM: \"A\" a=b <a@b.example>"), mail("\"A\"", None), "that is a parameter");
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
        assert_eq!(read("XEXCH50 2136 2"), Command::Block { size: 2_136 });
        assert_eq!((read("XEXCH50"), read("XEXCH50 x 2")), (Command::Other, Command::Other));
        assert_eq!(read("EHLO [192.0.2.1]"), Command::Hello { kind: Hello::Ehlo, name: "[192.0.2.1]".into() });
        assert_eq!(read("DATABASE"), Command::Unknown);
        assert_eq!(read("\u{0}"), Command::Unknown);
    }

    #[test]
    fn auth_keeps_the_mechanism_and_nothing_else() {
        assert_eq!(read("AUTH plain AGFsaWNlAHNlY3JldA=="), Command::Auth { mechanism: "PLAIN".into() });
        for word in ["AGFsaWNlAHNlY3JldA==", "c2VjcmV0", ""] {
            assert_eq!(read(&format!("AUTH {word}")), Command::Auth { mechanism: String::new() });
        }
    }

    #[test]
    fn parameters_say_what_the_message_will_be() {
        let Command::Mail { declared, .. } =
            read("MAIL FROM:<a@b> body=BinaryMime SMTPUTF8 SIZE=12 SIZE=13 RET=FULL ENVID=x AUTH=<>")
        else {
            panic!("no MAIL");
        };
        assert_eq!(declared, Declared { size: Some(12), body: Some("BINARYMIME"), utf8: true });
        let Command::Mail { declared, .. } = read("MAIL FROM:<a@b> SIZE=-1 BODY=9BIT XSIZE=5 SMTPUTF8=no") else {
            panic!("no MAIL");
        };
        assert_eq!(declared, Declared { size: None, body: None, utf8: true });
    }

    #[test]
    fn what_a_relay_says_is_decoded_and_names_no_user() {
        // Postfix, XCLIENT_README: xtext values, case-insensitive names.
        let line = "XCLIENT name=spike.porcupine.org ADDR=IPV6:2001:db8::1 HELO=a+2Bb+zz LOGIN=alice X=y PORT";
        let attributes =
            [("NAME", "spike.porcupine.org"), ("ADDR", "IPV6:2001:db8::1"), ("HELO", "a+b+zz"), ("PORT", "")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(read(line), Command::Forwarded { kind: Forwarded::Xclient, attributes });
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

    #[test]
    fn servers_of_other_protocols_are_known_from_their_first_line() {
        for line in
            ["+OK POP3 ready", "* OK IMAP4rev1", "* PREAUTH hello", "SSH-2.0-x", "HTTP/1.1 400 Bad", ":irc.example 001"]
        {
            assert!(is_foreign_server(line.as_bytes()), "{line}");
        }
        for line in ["220 mx.example ESMTP", "220-mx.example", "554 no service", "OK", ""] {
            assert!(!is_foreign_server(line.as_bytes()), "{line}");
        }
    }
}
