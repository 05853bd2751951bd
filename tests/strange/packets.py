"""Names asked and packets wrapped in ways that networks have."""
import struct

from sessions import HELLO, ONE, QUIT, mail
from wire import CLIENT, SERVER, Talk, capture, ethernet, ipv4, ipv6, summed, udp

RESOLVER = "10.20.30.53"
TYPES = {"A": 1, "CNAME": 5, "MX": 15, "TXT": 16, "AAAA": 28, "OPT": 41}


def name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"


def question(text, kind="MX", ident=7, flags=0x0100, more=b"", counts=(1, 0, 0, 0)):
    return struct.pack("!HH4H", ident, flags, *counts) + name(text) + struct.pack("!HH", TYPES[kind], 1) + more


def record(owner, kind, data, ttl=60):
    """`owner`: bytes, so that it may point elsewhere."""
    return owner + struct.pack("!HHLH", TYPES[kind], 1, ttl, len(data)) + data


def answer(text, records, kind="MX", ident=7, flags=0x8180, additional=()):
    return question(text, kind, ident, flags, b"".join(records) + b"".join(additional), (1, len(records), 0, len(additional)))


ASKED = b"\xc0\x0c"
OPT = b"\0" + struct.pack("!HHLH", 41, 1232, 0x8000, 0)


def mx(preference, exchange):
    return struct.pack("!H", preference) + exchange


def cases():
    made = []

    def datagrams(label, pairs, dns, port=53, to=RESOLVER, **expected):
        frames = []
        for at, (side, data) in enumerate(pairs):
            ends = (CLIENT, to, 3000, port) if side == "C" else (to, CLIENT, port, 3000)
            packet = udp(*ends, data)
            frames.append(ethernet(ipv4(ends[0], ends[1], 17, packet)))
        made.append((label, capture(frames), {"dns": dns, **expected}))

    def stream(label, steps, dns, mss=1400, sides="CS", **expected):
        talk = Talk(sport=50_000 + len(made), dport=53, server=RESOLVER).play(steps, mss)
        made.append((label, capture(talk.frames(sides)), {"dns": dns, **expected}))

    framed = lambda message: struct.pack("!H", len(message)) + message
    asked = lambda text, kind="MX": ["request", [f"{text} {kind}"], []]
    got = lambda text, answers, kind="MX": ["response", [f"{text} {kind}"], answers]

    # Over UDP.
    whole = answer("d.example", [record(ASKED, "MX", mx(10, b"\2mx" + ASKED))], additional=[record(b"\2mx" + ASKED, "A", bytes([192, 0, 2, 25])), OPT])
    datagrams("mx-with-its-address", [("C", question("d.example")), ("S", whole)], [asked("d.example"), got("d.example", ["d.example MX mx.d.example"])])
    datagrams("edns-cookie", [("C", question("d.example", more=b"\0" + struct.pack("!HHLH", 41, 1232, 0, 12) + struct.pack("!HH", 10, 8) + bytes(8), counts=(1, 0, 0, 1)))], [asked("d.example")])
    datagrams("null-mx", [("S", answer("d.example", [record(ASKED, "MX", mx(0, b"\0"))]))], [got("d.example", ["d.example MX ."])])
    datagrams("internationalised", [("C", question("xn--bcher-kva.example"))], [asked("xn--bcher-kva.example")])
    chain = [record(ASKED, "CNAME", name("e.example")), record(name("e.example"), "CNAME", name("f.example")), record(name("f.example"), "MX", mx(5, name("mx.f.example")))]
    datagrams("cname-chain", [("S", answer("d.example", chain))], [got("d.example", ["d.example CNAME e.example", "e.example CNAME f.example", "f.example MX mx.f.example"])])
    datagrams("case-of-letters", [("C", question("D.eXaMpLe"))], [asked("D.eXaMpLe")])
    datagrams("pointer-to-itself", [("S", answer("d.example", [record(ASKED, "MX", mx(5, b"\xc0\x2d"))]))], None)
    datagrams("pointer-forwards", [("C", struct.pack("!HH4H", 7, 0x100, 1, 0, 0, 0) + b"\xc0\x12\0\x0f\0\1\1d\0")], None)
    datagrams("pointers-in-a-circle", [("C", struct.pack("!HH4H", 7, 0x100, 1, 0, 0, 0) + b"\xc0\x0e\xc0\x0c\0\x0f\0\1")], None)
    datagrams("truncated", [("C", question("d.example")), ("S", answer("d.example", [], flags=0x8380))], [asked("d.example"), got("d.example", [])])
    datagrams("mdns", [("C", question("printer.local", "A"))], [], port=5353, to="224.0.0.251")
    datagrams("llmnr", [("C", question("wpad", "A", flags=0))], [], port=5355, to="224.0.0.252")
    datagrams("nothing-of-dns", [("C", b"\xff" * 40), ("S", b"hello")], [])

    # Over TCP (RFC 7766): several messages a connection, split anywhere.
    several = b"".join(framed(question(f"{letter}.example", ident=9)) for letter in "abc")
    replies = b"".join(framed(answer(f"{letter}.example", [record(ASKED, "MX", mx(1, b"\2mx" + ASKED))], ident=9)) for letter in "abc")
    everything = [asked(f"{letter}.example") for letter in "abc"] + [got(f"{letter}.example", [f"{letter}.example MX mx.{letter}.example"]) for letter in "abc"]
    for mss in (1, 2, 3, 29, 1400):
        stream(f"tcp-in-pieces-of-{mss}", [("C", several), ("S", replies)], everything, mss)
    stream("tcp-server-alone", [("C", several), ("S", replies)], everything[3:], sides="S")
    stream("tcp-with-an-empty-message", [("C", b"\0\0" + framed(question("a.example")))], [asked("a.example")])

    # Mail behind what networks put around it. Each wrapping is by the standard named; the mail must come out the same.
    def around(label, wrap, expected=None, **how):
        talk = Talk(sport=30_000 + len(made), **how).play(HELLO + mail() + QUIT)
        made.append((label, capture(talk.frames(wrap=wrap)), expected or {"smtp": [ONE]}))

    tag = lambda kind, number: struct.pack("!HH", kind, number)
    frame = lambda kind, body: b"\x02\0\0\0\0\1\x02\0\0\0\0\2" + struct.pack("!H", kind) + body
    outer = lambda payload, port: ethernet(ipv4("198.51.100.1", "198.51.100.2", 17, udp("198.51.100.1", "198.51.100.2", 55_555, port, payload)))
    over_ip = lambda proto, payload: ethernet(ipv4("198.51.100.1", "198.51.100.2", proto, payload))
    around("qinq", lambda p: ethernet(p)[:12] + tag(0x88A8, 100) + tag(0x8100, 7) + ethernet(p)[12:])
    around("priority-tag", lambda p: ethernet(p)[:12] + tag(0x8100, 0xE000) + ethernet(p)[12:])
    around("mpls-two-labels", lambda p: frame(0x8847, struct.pack("!LL", 16 << 12 | 64, 17 << 12 | 0x100 | 64) + p))
    around("mpls-pseudowire", lambda p: frame(0x8847, struct.pack("!LL", 17 << 12 | 0x100 | 64, 0) + ethernet(p)))
    around("gre-key-and-sequence", lambda p: over_ip(47, struct.pack("!HHLL", 0x3000, 0x0800, 1, 2) + p))
    around("erspan-2", lambda p: over_ip(47, struct.pack("!HHLHHL", 0x1000, 0x88BE, 1, 0x1000, 5, 0) + ethernet(p)))
    around("erspan-3", lambda p: over_ip(47, struct.pack("!HHLHHLHH", 0x1000, 0x22EB, 1, 0x2000, 5, 0, 0, 0) + ethernet(p)))
    around("vxlan", lambda p: outer(struct.pack("!LL", 0x08000000, 42 << 8) + ethernet(p), 4789))
    around("geneve-with-an-option", lambda p: outer(struct.pack("!BBHL", 2, 0, 0x6558, 42 << 8) + struct.pack("!HBBL", 1, 1, 1, 0) + ethernet(p), 6081))
    around("ip-in-ip", lambda p: over_ip(4, p))
    around("6in4", lambda p: over_ip(41, p), client="2001:db8::1", server="2001:db8:1::25")
    around("pppoe", lambda p: frame(0x8864, struct.pack("!BBHH", 0x11, 0, 1, len(p) + 2) + b"\0\x21" + p))
    around("l2tp-2", lambda p: outer(struct.pack("!HHHH", 0x4002, 12 + len(p), 1, 1) + b"\xff\x03\0\x21" + p, 1701))
    around("trill", lambda p: frame(0x22F3, struct.pack("!HHH", 0x003F, 1, 2) + ethernet(p)))
    around("gue", lambda p: outer(struct.pack("!BBH", 0, 4, 0) + p, 6080))
    around("gue-without-a-header", lambda p: outer(p, 6080))
    around("ah", lambda p: ethernet(ipv4(CLIENT if p[12:16] == bytes([10, 20, 30, 40]) else SERVER, SERVER if p[12:16] == bytes([10, 20, 30, 40]) else CLIENT, 51,
                                         struct.pack("!BBHLL", 6, 4, 0, 1, 1) + bytes(12) + p[20:])))
    around("ip-options", lambda p: ethernet(ipv4(".".join(map(str, p[12:16])), ".".join(map(str, p[16:20])), 6, p[20:], options=b"\x01\x01\x01\x00")))
    around("frame-padded", lambda p: ethernet(p).ljust(60, b"\xaa"))

    # IPv6 with every extension header (RFC 8200, section 4.1), each naming the next; and one fragment that is the whole.
    def extended(p):
        kinds = [(0, 60), (60, 43), (43, 44), (44, 51), (51, 60), (60, 135), (135, 6)]
        body = b""
        for kind, following in kinds:
            body += {0: bytes([following, 0, 1, 4, 0, 0, 0, 0]), 60: bytes([following, 0, 1, 4, 0, 0, 0, 0]), 43: bytes([following, 0, 4, 0, 0, 0, 0, 0]), 44: bytes([following, 0, 0, 0, 0, 0, 0, 1]),
                     51: bytes([following, 4]) + bytes(22), 135: bytes([following, 0, 0, 0, 0, 0, 0, 0])}[kind]
        return ethernet(struct.pack("!LHBB", 6 << 28, len(body) + len(p) - 40, 0, 64) + p[8:40] + body + p[40:])

    six = {"client": "2001:db8::1", "server": "2001:db8:1::25"}
    around("ipv6-every-extension", extended, **six)

    def fragments(p, order, size=24):
        head, body = p[:20], p[20:]
        pieces = [(at, body[at:at + size]) for at in range(0, len(body), size)]
        src, dst = (".".join(map(str, head[at:at + 4])) for at in (12, 16))
        ident = sum(body) & 0xFFFF
        made = [ethernet(ipv4(src, dst, 6, piece, flags=at // 8 | (0x2000 if at + size < len(body) else 0), ident=ident)) for at, piece in pieces]
        return order(made)

    around("fragments-backwards", lambda p: fragments(p, lambda made: made[::-1]))
    around("fragments-twice", lambda p: fragments(p, lambda made: [f for f in made for _ in (0, 1)]))
    around("fragments-in-vxlan", lambda p: [outer(struct.pack("!LL", 0x08000000, 42 << 8) + f, 4789) for f in fragments(p, lambda made: made[1:] + made[:1])])

    def fragments_6(p):
        body, head = p[40:], p[8:40]
        pieces = [body[at:at + 24] for at in range(0, len(body), 24)]
        made = []
        for at, piece in enumerate(pieces):
            fragment = bytes([6, 0]) + struct.pack("!HL", at * 24 | (at + 1 < len(pieces)), sum(body))
            made.append(ethernet(struct.pack("!LHBB", 6 << 28, 8 + len(piece), 44, 64) + head + fragment + piece))
        return made[::-1]

    around("ipv6-fragments-backwards", fragments_6, **six)
    return made
