#!/usr/bin/env python3
"""Writes the inputs that targets start from: python3 tests/fuzz/seed.py DIR

They come from pcaps/ and rules/, from Python's own libraries, and from hand-written sessions. run.sh calls this; what is
kept in corpus/ is what fuzzing made of them.
"""

import base64
import bz2, gzip, io, lzma, pathlib, struct, sys, tarfile, zipfile
from email.message import EmailMessage

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = pathlib.Path(sys.argv[1])


def put(target, name, content):
    folder = OUT / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(content)


# --- packets ------------------------------------------------------------------------------------------------------

def packets(path):
    """The packets of a pcap file, each with its record."""
    data = path.read_bytes()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    at = 24
    while at + 16 <= len(data):
        length = struct.unpack_from(order + "I", data, at + 8)[0]
        yield data[at : at + 16 + length], data[at + 16 : at + 16 + length]
        at += 16 + length


def ports(frame):
    """Protocol and ports of an IPv4 packet on Ethernet, the same for both directions."""
    if frame[12:14] != b"\x08\x00":
        return None
    head = 14 + (frame[14] & 15) * 4
    ends = [(frame[26:30], frame[head : head + 2]), (frame[30:34], frame[head + 2 : head + 4])]
    return frame[23], tuple(sorted(ends))


def flows(path, most):
    """Conversations of a capture that fit into so many bytes, shortest first."""
    found = {}
    for record, frame in packets(path):
        key = ports(frame)
        if key:
            found.setdefault(key, []).append((record, frame))
    fit = [flow for flow in found.values() if sum(len(record) for record, _ in flow) <= most]
    return sorted(fit, key=lambda flow: sum(len(record) for record, _ in flow))


def from_samples():
    for sample in ("arrival", "office-day", "mimail-c-outbreak"):
        path = ROOT / "pcaps" / sample / "trace.pcap"
        header = path.read_bytes()[:24]
        fitting = flows(path, 24_000)
        for number, flow in enumerate(fitting[:: max(1, len(fitting) // 12)]):
            capture = header + b"".join(record for record, _ in flow)
            put("eve", f"{sample}-{number}", capture)
            frames = b"".join(b"\0\1\0" + struct.pack(">H", len(frame)) + frame for _, frame in flow[:6])
            put("frames", f"{sample}-{number}", frames)
            if number < 3:
                put("capture_file", f"{sample}-{number}", capture)
                put("capture_file", f"{sample}-{number}-gzip", gzip.compress(capture, mtime=0))
            for count, (_, frame) in enumerate(flow[:2]):
                if frame[12:14] == b"\x08\x00" and frame[23] == 17:
                    message = frame[14 + (frame[14] & 15) * 4 + 8 :]
                    put("dns", f"{sample}-{number}-{count}", b"\0" + message)
                    put("dns", f"{sample}-{number}-{count}-tcp", b"\1" + 2 * (struct.pack(">H", len(message)) + message))
        # The beginning of a capture, where a question, its answer and the mail that follows stand together.
        whole = b"".join(record for record, _ in packets(path))
        put("eve", f"{sample}-start", header + cut_records(whole, 30_000))


def cut_records(records, most):
    at = 0
    while at + 16 <= len(records):
        length = 16 + struct.unpack_from("<I", records, at + 8)[0]
        if at + length > most:
            break
        at += length
    return records[:at]


def hand_made_packets():
    udp = struct.pack(">HHHH", 40000, 53, 20, 0) + b"twelve bytes"
    tcp = struct.pack(">HHIIBBHHH", 1025, 25, 7, 9, 0x50, 0x18, 8192, 0, 0) + b"HELO a\r\n"

    def ipv4(payload, protocol, offset=0, more=False):
        fragment = offset // 8 | (0x2000 if more else 0)
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 77, fragment, 64, protocol, 0)
        return head + bytes([10, 0, 0, 1, 192, 0, 2, 1]) + payload

    def ipv6(payload, following):
        return struct.pack(">IHBB", 6 << 28, len(payload), following, 64) + bytes(15) + b"\1" + bytes(15) + b"\2" + payload

    def ethernet(kind, payload):
        return b"\2\0\0\0\0\1\2\0\0\0\0\2" + struct.pack(">H", kind) + payload

    def script(*frames, link=0):
        return b"".join(bytes([link, 1, 0]) + struct.pack(">H", len(frame)) + frame for frame in frames)

    whole = ipv4(udp, 17)
    vxlan = struct.pack(">HHHH", 5, 4789, 16 + len(ethernet(0x800, whole)), 0) + b"\x08\0\0\0\0\0\1\0" + ethernet(0x800, whole)
    geneve = struct.pack(">HHHH", 5, 6081, 16 + len(ethernet(0x800, whole)), 0) + b"\0\0\x65\x58\0\0\1\0" + ethernet(0x800, whole)
    put("frames", "vlan", script(ethernet(0x88A8, b"\0\1\x81\0\0\2\x08\0" + ipv4(tcp, 6))))
    put("frames", "mpls", script(ethernet(0x8847, b"\0\1\1\x40" + ipv4(tcp, 6))))
    put("frames", "pppoe", script(ethernet(0x8864, b"\x11\0\0\1" + struct.pack(">H", 2 + len(whole)) + b"\0\x21" + whole)))
    put("frames", "gre", script(ethernet(0x800, ipv4(b"\0\0\x08\0" + whole, 47)), ethernet(0x800, ipv4(b"\x30\0\x65\x58" + bytes(8) + ethernet(0x800, whole), 47))))
    put("frames", "erspan", script(ethernet(0x800, ipv4(b"\x10\0\x88\xbe" + bytes(4) + b"\x10\0\0\0" + bytes(4) + ethernet(0x800, whole), 47))))
    put("frames", "vxlan", script(ethernet(0x800, ipv4(vxlan, 17))))
    put("frames", "geneve", script(ethernet(0x800, ipv4(geneve, 17))))
    put("frames", "ip-in-ip", script(ethernet(0x800, ipv4(whole, 4)), ethernet(0x800, ipv4(ipv6(tcp, 6), 41))))
    put("frames", "ipv6", script(ethernet(0x86DD, ipv6(b"\x06\0\1\4\0\0\0\0" + tcp, 60)), ethernet(0x86DD, ipv6(tcp, 6))))
    put("frames", "ipv6-fragments", script(*(ethernet(0x86DD, ipv6(bytes([17, 0]) + struct.pack(">HI", at | more, 5) + udp[at : at + 8 + 8 * (not more)], 44)) for at, more in ((0, 1), (8, 0)))))
    put("frames", "fragments", script(*(ethernet(0x800, ipv4(udp[at : at + 8], 17, at, at < 16)) for at in (8, 0, 16))))
    put("frames", "fragments-overlap", script(*(ethernet(0x800, ipv4(bytes([n]) * 16, 17, at, at < 16)) for n, at in enumerate((0, 8, 16)))))
    for index, link in enumerate([1, 1, 1, 101, 113, 276, 228, 229, 0, 108, 9, 50, 51, 239, 258, 12, 147]):
        heads = {113: bytes(14) + b"\x08\0", 276: b"\x08\0" + bytes(18), 0: b"\2\0\0\0", 108: b"\0\0\0\2", 9: b"\xff\x03\0\x21", 50: b"\xff\x03\0\x21", 1: ethernet(0x800, b"")}
        put("frames", f"link-{link}-{index}", script(heads.get(link, b"") + ipv4(tcp, 6), link=index))


# --- streams ------------------------------------------------------------------------------------------------------

def segments():
    """As tcp_stream.rs reads them; numbers are relative to the first, with 64 added."""
    def segment(bits, seq, ack=None, flags=16, length=10, missing=None):
        out = struct.pack("<BH", bits | (4 if ack is not None else 0), seq + 64)
        out += b"" if ack is None else struct.pack("<H", ack + 64)
        return out + bytes([flags, length]) + (b"" if missing is None else bytes([missing]))

    start = b"\0\1\0\2\0"
    put("tcp_stream", "in-order", start + segment(0, 0, 0) + segment(1, 0, 10) + segment(0, 10, 10) + segment(1, 10, 20, 17) + segment(0, 20, 20, 17))
    put("tcp_stream", "out-of-order", start + segment(0, 20) + segment(0, 10) + segment(0, 0) + segment(1, 0, 30))
    put("tcp_stream", "hole", start + segment(0, 0) + segment(0, 20) + segment(1, 0, 30) + segment(64 | 1, 10, 30) + segment(64 | 1, 20, 30))
    put("tcp_stream", "differs", start + segment(0, 20) + segment(128, 15) + segment(0, 0) + segment(128, 0, 0, 16, 30))
    put("tcp_stream", "cut", start + segment(32, 0, missing=20) + segment(0, 30) + segment(32, 60, missing=5) + segment(0, 40))
    put("tcp_stream", "midstream", b"\3\1\0\2\0" + segment(1, 50, 70) + segment(0, 70, 60) + segment(0, 60, 50))
    put("tcp_stream", "wrap", b"\0\5\0\x64\0" + b"".join(segment(16, at, at) + segment(17, at, at) for at in range(0, 6000, 240)))


def sessions():
    greet = b"\0" b"\xe1220 mx.example ESMTP\r\n\xe0"
    talk = b"EHLO a.example\r\n\xe1250-mx\r\n250 PIPELINING\r\n\xe0MAIL FROM:<a@one.example>\r\n\xe1250 ok\r\n\xe0RCPT TO:<b@two.example>\r\n\xe1250 ok\r\n\xe0"
    data = b"DATA\r\n\xe1354 go\r\n\xe0Subject: x\r\n\r\nhello\r\n..\r\n.\r\n\xe1250 queued\r\n\xe0"
    quit = b"QUIT\r\n\xe1221 bye\r\n"
    put("smtp", "plain", greet + talk + data + quit)
    put("smtp", "two", greet + talk + data + talk[16:] + data + quit)
    put("smtp", "pipelined", greet + b"EHLO a\r\n\xe1250 ok\r\n\xe0MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n\xe1250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n\xe0a\r\n.\r\nQUIT\r\n\xe1250 ok\r\n221 bye\r\n")
    put("smtp", "bdat", greet + talk + b"BDAT 10\r\n0123456789BDAT 6 LAST\r\nabcdef\xe1250 ok\r\n250 ok\r\n\xe0" + quit)
    put("smtp", "auth", greet + b"EHLO a\r\n\xe1250 AUTH LOGIN PLAIN\r\n\xe0\x9d\xe1334 \r\n\xe0\x9f\xe1235 ok\r\n\xe0" + talk[16:] + data)
    put("smtp", "auth-login", greet + b"AUTH LOGIN\r\n\xe1334 VXNlcm5hbWU6\r\n\xe0\x9f\xe1334 UGFzc3dvcmQ6\r\n\xe0\x9f\xe1535 no\r\n\xe0" + quit)
    put("smtp", "auth-gap", greet + b"AUTH LOGIN\r\n\xe1\xfe\0\5\xe0\x9f\xfe\0\5\x9f\xe1235 ok\r\n\xe0" + talk)
    put("smtp", "starttls", greet + b"EHLO a\r\n\xe1250 STARTTLS\r\n\xe0STARTTLS\r\n\xe1220 go\r\n\xe0\x16\x03\x01abc")
    put("smtp", "starttls-refused", greet + b"STARTTLS\r\n\xe1454 no\r\n\xe0" + talk + data)
    put("smtp", "lmtp", greet + b"LHLO a\r\n\xe1250 ok\r\n\xe0MAIL FROM:<a@b>\r\n\xe1250 ok\r\n\xe0RCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\n\xe1250 ok\r\n250 ok\r\n\xe0DATA\r\n\xe1354 go\r\n\xe0x\r\n.\r\n\xe1250 ok\r\n550 no\r\n")
    put("smtp", "smuggling", greet + talk + b"DATA\r\n\xe1354 go\r\n\xe0a\n.\nMAIL FROM:<c@d>\r\n\xe1250 ok\r\n250 ok\r\n\xe0RCPT TO:<e@f>\r\nDATA\r\n\xe1250 ok\r\n354 go\r\n\xe0b\r\n.\r\n")
    put("smtp", "rset", greet + talk + b"RSET\r\n\xe1250 ok\r\n\xe0" + talk[16:] + b"DATA\r\n\xe1554 no\r\n\xe0" + quit)
    put("smtp", "nested-mail", greet + talk + b"MAIL FROM:<c@d>\r\n\xe1503 nested\r\n\xe0" + data)
    put("smtp", "client-only", b"\x18" + greet[1:] + talk + data + quit)
    put("smtp", "server-only", b"\x08" + greet[1:] + talk + data + quit)
    put("smtp", "midstream", b"\x04\xe0Subject: y\r\n\r\nQUIT is a word\r\n.\r\n\xe1250 ok\r\n\xe0" + talk + data)
    for name, at in (("data", b"hello"), ("reply", b"354 go"), ("command", b"RCPT TO")):
        put("smtp", f"gap-in-{name}", (greet + talk + data + quit).replace(at, b"\xfe\0\x07"))
    put("smtp", "http", b"\0\xe0GET / HTTP/1.1\r\nHost: a\r\n\r\n")


def plans():
    """As smtp_session.rs reads them: circumstances, how the server is, how it greets, then steps."""
    mail, rcpt, data, bdat, ehlo, helo, lhlo, rset, auth, tls, other, quit, gone = 0, 4, 8, 12, 15, 17, 18, 19, 21, 24, 25, 27, 28
    wait, go_on, taken, refused = 0, 128, 0, 7

    def step(what, how=wait, answer=taken, *more):
        return bytes([what, how, answer, *more])

    def message(content=b"\x8aHello\x83.\x80"):
        return bytes([len(content)]) + content

    hello = step(ehlo, wait, 8, 0)
    letter = step(mail, wait, taken, 1) + step(rcpt, wait, taken, 1)
    flight = step(mail, go_on, taken, 1) + step(rcpt, go_on, taken, 1) + step(rcpt, go_on, refused, 2)
    sent = step(data, wait, taken, taken) + message()
    last = lambda how=wait, answer=taken: step(bdat, how, answer, 1) + message()
    sessions = {
        "plain": hello + letter + sent + step(quit),
        "two": hello + letter + sent + letter + sent,
        "pipelined": hello + flight + sent + flight + sent,
        "early-data": hello + flight + step(data, go_on, taken, taken) + message() + flight + sent,
        "chunks": hello + flight + step(bdat, go_on, taken, 0) + message() + last(go_on) + flight + last(),
        "lmtp": step(lhlo, wait, taken, 0) + letter + step(rcpt, wait, taken, 2) + step(data, wait, taken, refused) + message(),
        "lmtp-chunks": step(lhlo, wait, taken, 0) + letter + step(rcpt, wait, taken, 2) + last(wait, refused),
        "refused": step(ehlo, wait, refused, 0) + step(helo, wait, taken, 1) + letter + step(data, wait, refused, 0) + letter + sent,
        "rejected": hello + letter + step(data, wait, taken, refused) + message() + step(rset) + letter + sent,
        "nested": hello + letter + flight + sent,
        "tls": hello + step(tls, wait, refused) + letter + sent + step(tls),
        "others": hello + b"".join(step(other, go_on, 0, which) for which in range(10)) + letter + sent,
        "gone": hello + letter + step(gone),
    }
    for which in range(0, 256, 9):
        sessions[f"auth-{which}"] = hello + step(auth, wait, 8, which) + letter + sent
    for name, steps in sessions.items():
        for sight in (0, 4, 6) if len(name) < 8 else (0,):
            for server in (0, 3) if sight == 0 else (0,):
                put("smtp_session", f"{name}-{sight}-{server}", bytes([sight, 3, 7, 9, server, 0]) + steps)


# --- mail ---------------------------------------------------------------------------------------------------------

def program(length=600):
    """The shape of a program and nothing else."""
    return b"MZ" + bytes(length)


def zipped(name="photos.jpg.exe", content=None, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr(zipfile.ZipInfo(name, (2003, 10, 31, 12, 0, 0)), program() if content is None else content, method)
    return out.getvalue()


def messages():
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Cc"] = "James <james@example.com>", "a@example.com, b@example.com", "c@example.com"
    mail["Subject"], mail["X-Mailer"], mail["Message-ID"] = "Grüße, Jürgen: our private photos", "The Bat! (v1.62)", "<1@example.com>"
    mail.set_content("See http://www.example.com/ and https://example.org/a?b=c\n")
    mail.add_alternative("<a href='http://example.net/'>h\u00e9llo</a>", subtype="html", cte="quoted-printable")
    mail.add_attachment(zipped(), maintype="application", subtype="zip", filename="photos.zip")
    whole = mail.as_bytes()
    put("mail", "whole", b"\0" + whole)
    put("mail", "crlf", b"\4" + whole.replace(b"\n", b"\r\n"))
    put("mail", "truncated", b"\1" + whole[:900])
    outer = EmailMessage()
    outer["Subject"] = "Fwd"
    outer.add_attachment(mail)
    put("mail", "forwarded", b"\0" + outer.as_bytes())
    put("mail", "names", b"\0Content-Type: multipart/mixed; boundary=\"=_b c\"\n\n--=_b c\nContent-Type: application/octet-stream; name=\"=?utf-8?B?cGhvdG9zLnppcA==?=\"\nContent-Disposition: attachment; filename*0*=utf-8''%70hot; filename*1=\"os.\"; filename*2*=%7Aip\nContent-Transfer-Encoding: base64\n\nTVqQAAMAAAAEAAAA//8AALgAAAA=\n--=_b c\nContent-Disposition: attachment; filename=\"a.txt\n .exe\"\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 a.exe\n#36J0\n`\nend\n--=_b c--\n")
    put("mail", "words", b"\0Subject: =?ISO-2022-JP?B?GyRCJDMkcyRLJEEkTxsoQg==?=\n =?koi8-r?Q?=F0=D2=C9?= =?utf-7?Q?+AGE-?= =?big5?B?p0Gmbg==?=\nFrom: \"A, B\" <a@b>, group: c@d, <e@[192.0.2.1]>;\n\ntext\n")
    put("mail", "broken", b"\0Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=a\n\n--a\nContent-Transfer-Encoding: base64\n\nTV=qQ*AAM=\n--a-- x\n--b\n--a")
    put("mail", "digest", b"\0Content-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: one\n\ntext\n--d\n\nSubject: two\nContent-Transfer-Encoding: quoted-printable\n\n=41=\n=4\n--d--\n")
    uu = b"begin 644 photos.zip\n" + b"".join(__import__("binascii").b2a_uu(zipped()[at : at + 45]) for at in range(0, 700, 45)) + b"`\nend\n"
    put("mail", "uuencode", b"\0Subject: x\n\nhello\n" + uu)
    put("mail", "yenc", b"\0Subject: x\n\n=ybegin line=128 size=3 name=a.exe\nw\x84\xba\n=yend size=3\n")


def iso():
    """The least there is to a disc image (ECMA-119): two trees, Joliet's with a folder in it."""
    def record(block, size, flags, name):
        length = 33 + len(name) + (len(name) + 1) % 2
        return bytes([length, 0]) + struct.pack("<L", block) + struct.pack(">L", block) + struct.pack("<L", size) + struct.pack(">L", size) + bytes(7) + bytes([flags, 0, 0, 1, 0, 0, 1, len(name)]) + name + bytes((len(name) + 1) % 2)

    def descriptor(kind, root, escape=b""):
        head = bytes([kind]) + b"CD001\1" + bytes(81) + escape
        return head.ljust(128, b"\0") + b"\0\x08\x08\0" + bytes(24) + record(root, 2048, 2, b"\0") + bytes(2048 - 190)

    def folder(*records):
        return b"".join(records).ljust(2048, b"\0")

    blocks = [
        descriptor(1, 19), descriptor(2, 20, b"%/E"), b"\xffCD001\1".ljust(2048, b"\0"),
        folder(record(19, 2048, 2, b"\0"), record(19, 2048, 2, b"\1"), record(22, 8, 0, b"P.EXE;1")),
        folder(record(20, 2048, 2, b"\0"), record(21, 2048, 2, "in".encode("utf-16-be"))),
        folder(record(22, 8, 0, "photo.jpg.exe;1".encode("utf-16-be"))),
        program(6),
    ]
    return bytes(16 * 2048) + b"".join(blocks)


def ace():
    def block(kind, flags, body):
        head = struct.pack("<BH", kind, flags) + body
        return struct.pack("<HH", ~__import__("zlib").crc32(head) & 0xFFFF, len(head)) + head

    head = block(0, 0, b"**ACE**" + bytes([20, 20, 2, 0]) + bytes(13))
    return head + block(1, 1, struct.pack("<LLLLLBBHHH", 8, 8, 0, 0x20, 0, 0, 3, 10, 0, 5) + b"p.exe") + program(6)


def archives():
    plain = zipped()
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        entry = tarfile.TarInfo("dir/" + "x" * 120 + ".exe")
        entry.size = 600
        archive.addfile(entry, io.BytesIO(program(598)))
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as archive:
        for n in range(25):
            archive.writestr(zipfile.ZipInfo(f"{n}.txt", (2003, 10, 31, 12, 0, 0)), b"")
    document = io.BytesIO()
    with zipfile.ZipFile(document, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("[Content_Types].xml", "word/document.xml", "word/vbaProject.bin"):
            archive.writestr(zipfile.ZipInfo(name, (2003, 10, 31, 12, 0, 0)), b"<a/>")
    encrypted = bytearray(plain)
    encrypted[6] |= 1
    encrypted[encrypted.index(b"PK\1\2") + 8] |= 1
    streamed = io.BytesIO()

    class Pipe(io.RawIOBase):
        def writable(self): return True
        def write(self, data): return streamed.write(data)

    with zipfile.ZipFile(Pipe(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("a.exe", (2003, 10, 31, 12, 0, 0)), program(), zipfile.ZIP_DEFLATED)
    for name, content in {
        "stored": plain,
        "deflated": zipped(method=zipfile.ZIP_DEFLATED),
        "bzip2": zipped(method=zipfile.ZIP_BZIP2),
        "lzma": zipped(method=zipfile.ZIP_LZMA),
        "deflate64": base64.b64decode("UEsDBBUAAAAJAFByfl3FbpFLTAAAAJQCAAAFAAAAcC5leGXlwUUBgwAAAMANd3d3d5cMFKB/EFLw4u66f5/3eW/4AyAEIyiGEyRFMyzHC6IkK6qmG6ZlO67nB2EUJ2mWF2VVN23XD+M0L+u2H+cDUEsBAj8DFQAAAAkAUHJ+XcVukUtMAAAAlAIAAAUAJAAAAAAAAAAggKSBAAAAAHAuZXhlCgAgAAAAAAABABgAp/fWrNWA3QEAAAAAAAAAAAAAAAAAAAAAUEsFBgAAAAABAAEAVwAAAG8AAAAAAA=="),  # by 7-Zip
        "nested": zipped("in.zip", zipped("in2.zip", zipped("in3.zip", zipped()))),
        "utf8": zipped("фото.jpg.exe"),
        "many": many.getvalue(),
        "document": document.getvalue(),
        "encrypted": bytes(encrypted),
        "streamed": streamed.getvalue(),
        "truncated": plain[:300],
        "prefixed": b"MZ" + bytes(100) + plain,
        "bomb": zipped(content=bytes(2_000_000), method=zipfile.ZIP_DEFLATED),
        "gzip": gzip.compress(program(), mtime=0),
        "gzip-zip": gzip.compress(plain, mtime=0),
        "tar": tar.getvalue()[:2560],
        "tar-gzip": gzip.compress(tar.getvalue(), mtime=0),
        "bz2": bz2.compress(program()),
        "xz": lzma.compress(program()),
        "zstd": b"\x28\xb5\x2f\xfd\x20\x04\x21\0\0MZ\0\0",
        "7z": b"7z\xbc\xaf\x27\x1c\0\4" + bytes(40),
        # As tests/oracle/archives_more.py writes them, and as gcab and arj pack them.
        "rar": base64.b64decode("UmFyIRoHAQDFGjMyAwEAAExpfIIWAgIIBgggIWshWqy+H1AAAAVwLmV4ZU1aAAAAAAAA3CR02hoCAhgGGCAhayFahBBUtwAACWRpci9yLnR4dEhlbGxvIEhlbGxvIEhlbGxvIEhlbGxvChmyOjUDBQAA"),
        "rar-encrypted": base64.b64decode("UmFyIRoHAQDFGjMyAwEAAMD68s49AgMlCAYIICFrIVqsvh9QgAMABXAuZXhlJAEAAA8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE1aAAAAAAAAGbI6NQMFAAA="),
        "rar4": base64.b64decode("UmFyIRoHAM+QcwAADQAAAAAAAACKCXQAgCUACAAAAAgAAAACrL4fUCFrIVoUMAUAIAAAAHAuZXhlTVoAAAAAAAA6/HQAgjQACAAAAAgAAAACrL4fUCFrIVoUMBQAIAAAAGNhZl94LmV4ZQAEAWNhZj+w6QACTVoAAAAAAADEPXsAQAcA"),
        "cab": base64.b64decode("TVNDRgAAAABxAAAAAAAAACwAAAAAAAAAAwEBAAIAAAAAAAAAWAAAAAEAAQAIAAAAAAAAAAAAeV2OHiAAcC5leGUAGAAAAAgAAAAAAHldjh4gAHIudHh0AOHb3nURACAAQ0vzjWIAA4/UnJx8BQySCwA="),
        "ace": ace(),
        "iso": iso(),
        "tnef": b"\x78\x9f\x3e\x22\1\0\1\6\x90\x08\0\4\0\0\0\0\0\1\0",
        "ole": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512),
        "arj": base64.b64decode("YOopACILAQIQAAKOfVsGa31bBmsAAAAAAAAAAAAAAAAAAAAAAABhLmFyagAAFgJJXwAAYOo1AC4LAQIQAAB9fVsGawgAAAAIAAAArL4fUAAApBEAAAAAAAB9WwZrfVsGawAAAABwLmV4ZQAAzUIakgAATVoAAAAAAABg6jUALgsBAhABAH19WwZrFAAAABgAAACEEFS3AACkEQAAAAAAAH1bBmt9WwZrAAAAAHIudHh0AAAx+84TAAAACDRphh+dAFBNAhj/uSKAHKGfUGDqAAA="),
        "arj-garbled": base64.b64decode("YOopACILAQIRAAIAfVsGa31bBmsAAAAAAAAAAAAAAAABAAAAAABnLmFyagAAqltQswAAYOo1AC4LAQIRAQB9fVsGaxQAAAAYAAAAhBBUtwAApBEAAAAAAAB9WwZrfVsGawAAAAByLnR4dAAAItSWnAAA9f3BnHPqaPWluPftCkzXdelUaqVg6gAA"),
        "lzh": base64.b64decode("MAAtbGg1LRUAAAAgMgAAlVoGayAC93oABQAAgkoRAAFwaG90b3MuanBnLmV4ZQAAADYwaGD/kOGlKtM7gF0AAAAAAAAA"),
        "empty": b"",
    }.items():
        put("archive", name, b"\2" + content)


def rule_files():
    for path in sorted((ROOT / "rules").glob("*.toml")):
        put("rules", path.stem, path.read_bytes())
    rule = b"[[rule]]\nid = \"a-b\"\nsid = 1\nrev = 1\ntitle = \"t\"\nseverity = \"high\"\ncategory = \"c\"\nremediation = \"r\"\n[rule.match]\n"
    for name, condition in {
        "dns": b"dns.name = { glob = \"*.example.com\" }\ndirection = \"outbound\"",
        "tree": b"all = [{ subject = { contains = \"photos\" } }, { not = { has = \"Date\" } }, { any = [{ helo = { regex = \"^l.*t$\" } }, { dialect = \"helo-localhost\" }] }]\nat_least = { count = 1, of = [{ size = { max = 9000 } }, { same_domain = [\"header_from\", \"rcpt_to\"] }] }",
        "file": b"attachment = { name = { ends_with = \".zip\" }, type = \"zip\", size = { min = 1 } }\nheader = { name = \"X-Mailer\", starts_with = \"the bat\" }",
        "raw": b"body = { raw = true, regex = \"(?i)hello\\\\s+dear\" }\nmail_from = { one_of = [\"a\", \"b\"] }\nlacks = \"Message-ID\"",
        "wrong": b"subjct = { contain = 7 }",
    }.items():
        put("rules", name, rule + condition + b"\n")


def capture_files():
    for order in "<>":
        for magic in (0xA1B2C3D4, 0xA1B23C4D):
            head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 1)
            put("capture_file", f"pcap-{magic:x}-{'little' if order == '<' else 'big'}", head + 2 * (struct.pack(order + "IIII", 1, 2, 4, 60) + b"abcd"))

        def block(kind, body):
            body += bytes(-len(body) % 4)
            return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)

        section = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
        interface = block(1, struct.pack(order + "HHI", 1, 0, 0) + struct.pack(order + "HHBxxxHH", 9, 1, 9, 0, 0))
        enhanced = block(6, struct.pack(order + "IIIII", 0, 0, 7, 3, 9) + b"abc")
        simple = block(3, struct.pack(order + "I", 3) + b"abc")
        obsolete = block(2, struct.pack(order + "HHIIII", 0, 0, 0, 5, 3, 9) + b"abc")
        stats = block(5, struct.pack(order + "III", 0, 0, 1) + struct.pack(order + "HHQHH", 4, 8, 9, 0, 0))
        put("capture_file", f"pcapng-{'little' if order == '<' else 'big'}", section + interface + enhanced + simple + obsolete + stats + enhanced)
    raw = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + struct.pack("<IIII", 1, 2, 4, 60) + b"abcd"
    # A zstd frame of one raw block (RFC 8878, section 3.1.1).
    put("capture_file", "zstd", b"\x28\xb5\x2f\xfd\x20" + bytes([len(raw)]) + struct.pack("<I", len(raw) << 3 | 1)[:3] + raw)
    put("capture_file", "none", b"GET / HTTP/1.1\r\n\r\n")


from_samples()
hand_made_packets()
segments()
sessions()
plans()
messages()
archives()
rule_files()
capture_files()
