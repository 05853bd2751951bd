"""Packets for cases written by hand: Ethernet, IPv4, TCP and UDP with right checksums, and captures of them."""
import struct
from ipaddress import ip_address

CLIENT, SERVER = "10.20.30.40", "192.0.2.25"


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(src, dst, proto, payload, flags=0x4000, ident=1, options=b""):
    src, dst = ip_address(src).packed, ip_address(dst).packed
    head = lambda total: struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), ident, flags, 64, proto, total) + src + dst + options
    return head(checksum(head(0))) + payload


def ipv6(src, dst, proto, payload, extensions=b""):
    """`extensions` are whole headers, each naming the next; `proto` is what the fixed header names."""
    body = extensions + payload
    return struct.pack("!LHBB", 6 << 28, len(body), proto, 64) + ip_address(src).packed + ip_address(dst).packed + body


def summed(src, dst, proto, segment, at):
    """A segment or datagram with its checksum, which stands at `at`."""
    src, dst = ip_address(src).packed, ip_address(dst).packed
    pseudo = src + dst + struct.pack("!LHBB" if len(src) == 16 else "!BBH", *([len(segment), 0, 0, proto] if len(src) == 16 else [0, proto, len(segment)]))
    return segment[:at] + struct.pack("!H", checksum(pseudo + segment) or 0xFFFF) + segment[at + 2:]


def udp(src, dst, sport, dport, payload):
    return summed(src, dst, 17, struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload, 6)


def ethernet(packet):
    kind = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"
    return b"\x02\0\0\0\0\1\x02\0\0\0\0\2" + kind + packet


class Talk:
    """A TCP connection, as segments in the order they pass the sensor."""

    def __init__(self, client=CLIENT, server=SERVER, sport=40000, dport=25):
        self.ends = {"C": (client, sport), "S": (server, dport)}
        self.seq = {"C": 1000, "S": 0xFFFFFF00}
        self.packets = []

    def segment(self, side, flags, data=b""):
        other = "S" if side == "C" else "C"
        (src, sport), (dst, dport) = self.ends[side], self.ends[other]
        ack = self.seq[other] if flags & 0x10 else 0
        head = struct.pack("!HHLLBBHHH", sport, dport, self.seq[side], ack, 0x50, flags, 64240, 0, 0)
        self.packets.append((side, src, dst, summed(src, dst, 6, head + data, 16)))
        self.seq[side] = (self.seq[side] + len(data) + (1 if flags & 3 else 0)) & 0xFFFFFFFF

    def play(self, steps, mss=1400, end="fin"):
        """`steps`: pairs of side and bytes."""
        self.segment("C", 2), self.segment("S", 0x12), self.segment("C", 0x10)
        for side, data in steps:
            for at in range(0, len(data), mss):
                self.segment(side, 0x18, data[at:at + mss])
                self.segment("S" if side == "C" else "C", 0x10)
        if end == "fin":
            self.segment("C", 0x11), self.segment("S", 0x11), self.segment("C", 0x10)
        elif end == "rst":
            self.segment("S", 0x14)
        return self

    def frames(self, sides="CS", wrap=ethernet):
        """The packets of these sides, each put into what `wrap` makes of it (one frame, or a list of them)."""
        out = []
        for side, src, dst, segment in self.packets:
            if side not in sides:
                continue
            packet = (ipv6(src, dst, 6, segment) if ":" in src else ipv4(src, dst, 6, segment))
            made = wrap(packet)
            out += made if isinstance(made, list) else [made]
        return out


def capture(frames, link=1, start=1_067_600_000, step=2_000):
    out = struct.pack("<LHHLLLL", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, link)
    for number, frame in enumerate(frames):
        seconds, micros = divmod(number * step, 1_000_000)
        out += struct.pack("<LLLL", start + seconds, micros, len(frame), len(frame)) + frame
    return out
