"""Sessions of SMTP that real clients, servers and attackers are known to speak, and what they are not."""
import base64

from wire import Talk, capture

GREETING = ("S", b"220 mx.example ESMTP\r\n")
HELLO = [GREETING, ("C", b"EHLO c.example\r\n"), ("S", b"250-mx.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n")]
QUIT = [("C", b"QUIT\r\n"), ("S", b"221 bye\r\n")]
MESSAGE = b"From: a@b.example\r\nSubject: one\r\n\r\nbody\r\n"


def mail(sender=b"<a@b.example>", to=(b"<c@d.example>",), message=MESSAGE, end=b".\r\n", reply=b"250 2.0.0 taken\r\n"):
    steps = [("C", b"MAIL FROM:" + sender + b"\r\n"), ("S", b"250 ok\r\n")]
    for one in to:
        steps += [("C", b"RCPT TO:" + one + b"\r\n"), ("S", b"250 ok\r\n")]
    return steps + [("C", b"DATA\r\n"), ("S", b"354 go\r\n"), ("C", message + end), ("S", reply)]


def envelope(sender="a@b.example", to=("c@d.example",), rejected=(), outcome="accepted", **more):
    return {"mail_from": sender, "rcpt_to": list(to), "rcpt_rejected": list(rejected), "outcome": outcome, **more}


ONE = envelope(subject="one")


def cases():
    """Pairs of name, capture and expectation."""
    made = []

    def case(name, steps, smtp, sides="CS", dport=25, mss=1400, end="fin", **expected):
        talk = Talk(dport=dport, sport=40_000 + len(made)).play(steps, mss, end)
        made.append((name, capture(talk.frames(sides)), {"smtp": smtp, **expected}))

    def alone(name, steps, smtp, **expected):
        case(name, HELLO + steps + QUIT, smtp, **expected)

    # What is negotiated.
    case("ehlo-refused-then-helo", [GREETING, ("C", b"EHLO c.example\r\n"), ("S", b"502 5.5.1 what?\r\n"), ("C", b"HELO c.example\r\n"), ("S", b"250 ok\r\n")] + mail() + QUIT,
         [{**ONE, "helo": "c.example"}])
    case("greeting-of-many-lines", [("S", b"220-mx.example ESMTP\r\n220-No junk.\r\n220 \r\n"), ("C", b"EHLO c\r\n"), ("S", b"250\r\n")] + mail() + QUIT, [ONE])
    alone("hello-again-amid-a-transaction", [("C", b"MAIL FROM:<x@b.example>\r\n"), ("S", b"250 ok\r\n"), ("C", b"EHLO other.example\r\n"), ("S", b"250 hi\r\n")] + mail(),
          [envelope("x@b.example", (), outcome="reset"), {**ONE, "helo": "other.example"}])
    alone("rset-after-refused-recipient", [("C", b"MAIL FROM:<a@b.example>\r\n"), ("S", b"250 ok\r\n"), ("C", b"RCPT TO:<no@d.example>\r\n"), ("S", b"550 5.1.1 who?\r\n"),
          ("C", b"RSET\r\n"), ("S", b"250 ok\r\n")] + mail(), [envelope(to=(), rejected=("no@d.example",), outcome="rejected"), ONE])
    alone("second-mail-refused", [("C", b"MAIL FROM:<a@b.example>\r\n"), ("S", b"250 ok\r\n"), ("C", b"MAIL FROM:<x@b.example>\r\n"), ("S", b"503 5.5.1 nested\r\n")] + mail()[2:], [ONE])
    alone("auth-between-mails", mail() + [("C", b"AUTH PLAIN AGEAYg==\r\n"), ("S", b"235 ok\r\n")] + mail(), [ONE, {**ONE, "auth": "PLAIN"}])
    alone("auth-cancelled", [("C", b"AUTH LOGIN\r\n"), ("S", b"334 VXNlcm5hbWU6\r\n"), ("C", b"*\r\n"), ("S", b"501 cancelled\r\n")] + mail(), [ONE])
    alone("noise-between", [step for verb in (b"NOOP x", b"VRFY a", b"EXPN list", b"HELP", b"ETRN d.example", b"XYZZY") for step in (("C", verb + b"\r\n"), ("S", b"252 well\r\n"))] + mail(), [ONE])
    alone("xclient", [("C", b"XCLIENT NAME=spike.example ADDR=203.0.113.9 PROTO=ESMTP HELO=spam.example\r\n"), GREETING, ("C", b"EHLO relay.example\r\n"), ("S", b"250 ok\r\n")] + mail(),
          [{**ONE, "helo": "relay.example"}])
    alone("starttls-refused", [("C", b"STARTTLS\r\n"), ("S", b"454 4.7.0 no\r\n")] + mail(), [ONE])
    case("starttls-with-slipped-in-commands", HELLO + [("C", b"STARTTLS\r\nMAIL FROM:<evil@x.example>\r\n"), ("S", b"220 go\r\n"), ("C", b"\x16\x03\x01\0\x05\x01\0\0\1\0")],
          [{"mail_from": None}], anomalies=["smtp-starttls-injection"])
    # Exchange of 2000 and 2003 said it to its like (MS-SMTP extensions): a block of bytes that is no line.
    alone("xexch50", [("C", b"MAIL FROM:<a@b.example>\r\n"), ("S", b"250 ok\r\n"), ("C", b"RCPT TO:<c@d.example>\r\n"), ("S", b"250 ok\r\n"), ("C", b"XEXCH50 26 2\r\n"), ("S", b"354 Send binary data\r\n"),
          ("C", b"\nRSET\r\nMAIL FROM:<w@x>\r\n\0\n"), ("S", b"250 XEXCH50 ok\r\n")] + mail()[4:], [ONE])
    alone("xexch50-refused", [("C", b"MAIL FROM:<a@b.example>\r\n"), ("S", b"250 ok\r\n"), ("C", b"RCPT TO:<c@d.example>\r\n"), ("S", b"250 ok\r\n"), ("C", b"XEXCH50 26 2\r\n"), ("S", b"504 Need to authenticate first\r\n")]
          + mail()[4:], [ONE])

    # How addresses are written.
    for name, sender, to, shown in [
        ("null-sender-and-dsn", b"<> RET=HDRS ENVID=x", b"<c@d.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;c@d.example", ("", "c@d.example")),
        ("no-brackets", b" a@b.example SIZE=100", b" c@d.example", ("a@b.example", "c@d.example")),
        ("source-route", b"<@r.example,@s.example:a@b.example>", b"<@r.example:c@d.example>", ("a@b.example", "c@d.example")),
        ("quoted-local-part", b'<"a b>c"@b.example>', b'<"x\\"y"@d.example>', ('"a b>c"@b.example', '"x\\"y"@d.example')),
        ("postmaster-and-literal", b"<a@[192.0.2.1]>", b"<Postmaster>", ("a@[192.0.2.1]", "Postmaster")),
        ("utf8", "<jörg@bücher.example> SMTPUTF8".encode(), "<用户@例子.example>".encode(), ("jörg@bücher.example", "用户@例子.example")),
        ("display-name", b'"A. Name" <a@b.example>', b"C <c@d.example>", ("a@b.example", "c@d.example")),
    ]:
        alone("address-" + name, mail(sender, (to,)), [envelope(shown[0], (shown[1],))])
    alone("verbs-in-any-case", [("C", b"mAiL fRoM: <a@b.example>\r\n"), ("S", b"250 ok\r\n"), ("C", b"Rcpt  To : <c@d.example>\r\n"), ("S", b"250 ok\r\n"), ("C", b"data \r\n")] + mail()[5:], [ONE])

    # Pipelining (RFC 2920), with any split.
    burst = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<no@d.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"
    answers = b"250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n"
    for mss in (1, 7, 1400):
        case(f"pipelined-in-pieces-of-{mss}", HELLO + [("C", burst), ("S", answers), ("C", MESSAGE + b".\r\nQUIT\r\n"), ("S", b"250 ok\r\n221 bye\r\n")],
             [envelope(rejected=("no@d.example",))], mss=mss)
    alone("pipelined-and-all-refused", [("C", b"MAIL FROM:<a@b.example>\r\nRCPT TO:<no@d.example>\r\nDATA\r\n"), ("S", b"250 ok\r\n550 no\r\n354 go\r\n"), ("C", b".\r\n"), ("S", b"554 no valid recipients\r\n")],
          [envelope(to=(), rejected=("no@d.example",), outcome="rejected")])
    alone("data-refused-then-again", mail()[:4] + [("C", b"DATA\r\n"), ("S", b"451 later\r\n"), ("C", b"RSET\r\n"), ("S", b"250 ok\r\n")] + mail(), [envelope(outcome="rejected"), ONE])
    case("says-421-amid-a-message", HELLO + mail()[:6] + [("C", MESSAGE), ("S", b"421 4.3.0 closing\r\n")], [envelope(outcome="rejected")], end="rst")
    case("reset-amid-a-message", HELLO + mail()[:6] + [("C", MESSAGE[:30])], [envelope(outcome="aborted")], end="rst")

    # BDAT (RFC 3030): what ends a message after DATA is content here, and line ends stay as they are.
    part = b"Subject: one\r\nContent-Type: a/b; name=f\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    blob = b"x\n.\r\n\r\n.\r\nQUIT\r\n\0y\r"
    chunks = mail()[:4] + [("C", b"BDAT %d\r\n" % len(part) + part), ("S", b"250 ok\r\n"), ("C", b"bdat %d last\r\n" % len(blob) + blob), ("S", b"250 taken\r\n")]
    alone("chunks", chunks, [ONE], files=[("f", blob)])
    alone("chunks-and-an-empty-last", mail()[:4] + [("C", b"BDAT %d\r\n" % len(part + blob) + part + blob + b"BDAT 0 LAST\r\n"), ("S", b"250 ok\r\n250 taken\r\n")], [ONE], files=[("f", blob)])
    case("chunks-client-alone", HELLO + chunks + QUIT, [envelope(outcome="unknown", subject="one")], sides="C", files=[("f", blob)])
    case("chunks-one-byte-a-segment", HELLO + chunks + QUIT, [ONE], mss=1, files=[("f", blob)])

    # One side of a mirror.
    case("client-alone", HELLO + mail() + mail(message=MESSAGE.replace(b"one", b"two")) + QUIT, [envelope(outcome="unknown", subject="one"), envelope(outcome="unknown", subject="two")], sides="C")
    case("client-alone-pipelined", HELLO + [("C", burst), ("S", answers), ("C", MESSAGE + b".\r\nQUIT\r\n")], [envelope(to=("no@d.example", "c@d.example"), outcome="unknown")], sides="C")
    case("server-alone", [GREETING, ("C", b"EHLO c\r\n"), ("S", b"250 hi\r\n"), ("C", b"MAIL FROM:<a@b.example>\r\n"), ("S", b"250 2.1.0 a@b.example... Sender ok\r\n"), ("C", b"RCPT TO:<c@d.example>\r\n"),
          ("S", b"250 2.1.5 c@d.example... Recipient ok\r\n")] + mail()[4:] + QUIT, [envelope()], sides="S")
    lmtp = [("S", b"220 d LMTP\r\n"), ("C", b"LHLO c\r\n"), ("S", b"250 d\r\n")] + mail(to=(b"<c@d.example>", b"<e@d.example>"), reply=b"250 ok\r\n552 full\r\n") + QUIT
    case("lmtp", lmtp, [envelope(rejected=("e@d.example",))], dport=24)
    case("lmtp-client-alone", lmtp, [envelope(to=("c@d.example", "e@d.example"), outcome="unknown")], sides="C", dport=24)

    # Odd ports, and other protocols on this one.
    for port in (24, 26, 80, 2525, 6667, 10025):
        case(f"on-port-{port}", HELLO + mail() + QUIT, [ONE], dport=port)
    for name, steps in {
        "ftp": [("S", b"220 ftp.example FTP server ready\r\n"), ("C", b"USER anonymous\r\n"), ("S", b"331 pass?\r\n"), ("C", b"PASS a@b\r\n"), ("S", b"230 in\r\n")],
        "ftp-that-names-nothing": [("S", b"220 (vsFTPd 3.0.3)\r\n"), ("C", b"USER anonymous\r\n"), ("S", b"331 pass?\r\n"), ("C", b"PASS a@b\r\n"), ("S", b"230 in\r\n"), ("C", b"QUIT\r\n"), ("S", b"221 bye\r\n")],
        "pop3": [("S", b"+OK ready\r\n"), ("C", b"USER a\r\n"), ("S", b"+OK\r\n"), ("C", b"RETR 1\r\n"), ("S", b"+OK\r\nFrom: a@b\r\n\r\nMAIL FROM:<a@b>\r\n.\r\n")],
        "http": [("C", b"POST / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"), ("S", b"HTTP/1.1 200 OK\r\n\r\n")],
        "irc": [("C", b"NICK x\r\nUSER x 0 * :x\r\n"), ("S", b":irc.example 001 x :hi\r\n")],
        "nntp": [("S", b"200 news.example ready\r\n"), ("C", b"MODE READER\r\n"), ("S", b"200 ok\r\n"), ("C", b"GROUP a.b\r\n"), ("S", b"211 1 1 1 a.b\r\n"), ("C", b"POST\r\n"), ("S", b"340 go\r\n"), ("C", MESSAGE + b".\r\n"), ("S", b"240 ok\r\n")],
        "managesieve": [("S", b'"IMPLEMENTATION" "x"\r\n"SASL" "PLAIN"\r\nOK\r\n'), ("C", b'AUTHENTICATE "PLAIN" "AGEAYg=="\r\n'), ("S", b"OK\r\n")],
        "imap": [("S", b"* OK ready\r\n"), ("C", b"a1 LOGIN a b\r\n"), ("S", b"a1 OK\r\n")],
        "ssh": [("S", b"SSH-2.0-x\r\n"), ("C", b"SSH-2.0-y\r\n" + bytes(100))],
    }.items():
        case("no-mail-" + name, steps, [], email=False)
        case(f"no-mail-{name}-on-another-port", steps, [], dport=5001, email=False)

    # Shapes of smuggling: a server that does not take them has one message, one that does has two.
    inner = b"MAIL FROM:<evil@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n" + MESSAGE.replace(b"one", b"two")
    for name, shape in {"lf-dot-lf": b"\n.\n", "cr-dot-cr": b"\r.\r", "crlf-dot-lf": b"\r\n.\n", "lf-dot-crlf": b"\n.\r\n", "crlf-dot-cr": b"\r\n.\r"}.items():
        taken = HELLO + mail()[:6] + [("C", MESSAGE[:-2] + shape + inner + b".\r\n")]
        case("smuggled-not-taken-" + name, taken + [("S", b"250 taken\r\n")] + QUIT, [ONE], anomalies=["smtp-nonstandard-end-of-data"])
        case("smuggled-taken-" + name, taken + [("S", b"250 taken\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n")] + QUIT, [ONE, envelope("evil@b.example", subject="two")], anomalies=["smtp-nonstandard-end-of-data"])
    bare = [(side, data.replace(b"\r\n", b"\n")) for side, data in HELLO + mail() + mail() + QUIT]
    case("bare-line-feeds-all-through", bare, [ONE, ONE])

    # What is in lines.
    alone("nul-in-a-message", mail(message=MESSAGE[:-2] + b"\0\0\r\n"), [ONE])
    alone("nul-in-a-command", [("C", b"MAIL FROM:<a\0@b.example>\r\n"), ("S", b"501 no\r\n")] + mail(), [envelope("a\0@b.example", (), outcome="rejected"), ONE], anomalies=["smtp-nul"])
    alone("line-without-end", mail(message=MESSAGE + b"x" * 70_000 + b"\r\n"), [ONE])
    alone("dots", mail(message=b"Content-Type: a/b; name=f\r\n\r\n..\r\n...x\r\n..\r\n"), [envelope()], files=[("f", b".\r\n..x\r\n.\r\n")])
    alone("empty-message", mail(message=b""), [envelope()])
    alone("replies-end-in-line-feeds", [(side, data.replace(b"\r\n", b"\n") if side == "S" else data) for side, data in mail()], [ONE])
    secret = base64.b64encode(b"\0user\0s3cr3tw0rd")
    alone("auth-initial-response", [("C", b"AUTH PLAIN " + secret + b"\r\n"), ("S", b"235 ok\r\n")] + mail(), [{**ONE, "auth": "PLAIN"}], never=[secret.decode(), "s3cr3tw0rd"])
    return made
