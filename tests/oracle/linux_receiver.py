#!/usr/bin/env python3
"""What this machine's kernel makes of the packets in src/sensor/tests/evasion.rs.

    sudo python3 tests/oracle/linux_receiver.py

Opens connections over loopback, forges packets of the client beside its own, and prints for each kind whether the server
read the forged bytes. Exit code: 0 as the sensor takes it, 1 otherwise. Needs Linux and CAP_NET_RAW.
"""
import socket
import struct
import sys
import time

HOST = socket.inet_aton("127.0.0.1")
GENUINE = b"MAIL FROM:<a@b>\r\n"
RUBBISH = b"X" * 16
SYN, RST, PSH, ACK = 2, 4, 8, 16


def checksum(data):
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Forger:
    """A connection over loopback, and packets forged in the name of its client."""

    def __init__(self):
        self.raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        sniffer.bind(("lo", 0))
        sniffer.settimeout(0.3)
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.client = socket.create_connection(self.listener.getsockname())
        self.server, _ = self.listener.accept()
        self.server.settimeout(0.4)
        self.server.send(b"220 hi\r\n")
        self.client.recv(100)
        self.ports = (self.client.getsockname()[1], self.listener.getsockname()[1])
        self.seq = self.ack = self.stamps = None
        until = time.monotonic() + 2  # others may use the loopback as well
        try:
            while time.monotonic() < until:
                self.learn(sniffer.recv(2000)[14:])
        except TimeoutError:
            pass
        sniffer.close()

    def learn(self, packet):
        segment = packet[(packet[0] & 15) * 4 :]
        if packet[9] != 6 or struct.unpack("!HH", segment[:4]) != self.ports:
            return
        seq, ack = struct.unpack("!II", segment[4:12])
        if segment[13] & SYN:
            self.seq = seq + 1
        if segment[13] & ACK:
            self.ack = ack
        options = segment[20 : (segment[12] >> 4) * 4]
        while options and options[0] != 0:
            if options[0] == 8:
                self.stamps = struct.unpack("!II", options[2:10])
            options = options[1 if options[0] == 1 else options[1] :]

    def segment(self, payload, at=0, ahead=0, flags=PSH | ACK, later=0, options=b"", stamped=True):
        if stamped:
            value, echo = self.stamps
            options = b"\1\1\x08\x0a" + struct.pack("!II", (value + later) & 0xFFFFFFFF, echo) + options
        seq, ack = (self.seq + at) & 0xFFFFFFFF, (self.ack + ahead) & 0xFFFFFFFF
        head = struct.pack("!HHIIBBHHH", *self.ports, seq, ack, (20 + len(options)) << 2, flags, 512, 0, 0)
        whole = head + options + payload
        total = checksum(HOST + HOST + struct.pack("!BBH", 0, 6, len(whole)) + whole)
        return whole[:16] + struct.pack("!H", total) + whole[18:]

    def send(self, body, number=0, fragment=0, options=b""):
        length = 20 + len(options) + len(body)
        head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0, length, number, fragment, 64, 6, 0)
        head += HOST + HOST + options
        self.raw.sendto(head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body, ("127.0.0.1", 0))

    def read(self):
        """What the server reads once the client itself has spoken."""
        time.sleep(0.1)
        self.client.send(GENUINE)
        read = b""
        try:
            while b"\n" not in read:
                read += self.server.recv(1000)
        except TimeoutError:
            pass
        for end in (self.client, self.server, self.listener, self.raw):
            end.close()
        return read


def one(**changes):
    return lambda f: f.send(f.segment(RUBBISH, **changes))


def behind_a_hole(at):
    def send(f):
        f.send(f.segment(b"XXXX", at=at))
        f.send(f.segment(GENUINE[4:], at=4))
        f.send(f.segment(GENUINE[:4]))

    return send


def fragments(*cuts):
    def send(f):
        whole = f.segment(RUBBISH)
        # Another identification for each connection.
        number = f.ports[0]
        for start, end, more in cuts:
            f.send(whole[start:end], number, (0x2000 if more else 0) | start // 8)

    return send


def urgent(f):
    f.client.send(b"X", socket.MSG_OOB)


CASES = [
    ("fit", one(), True),
    ("no ACK", one(flags=PSH), False),
    ("acknowledges one byte too many", one(ahead=1), False),
    ("acknowledges far too many", one(ahead=1 << 27), False),
    ("acknowledges what was before the beginning", one(ahead=-(1 << 24)), False),
    ("signed", one(options=b"\x13\x12" + b"7" * 16 + b"\1\1"), False),
    ("old timestamp", one(later=-5000), False),
    ("no timestamp", one(stamped=False), True),
    ("reset with data, a byte too far", one(at=1, flags=RST | ACK), False),
    ("SYN with data", one(at=-1, flags=SYN | ACK), False),
    ("source route", lambda f: f.send(f.segment(RUBBISH), options=b"\x83\3\4\0"), False),
    ("behind a hole, begins later", behind_a_hole(8), False),
    ("behind a hole, as early and shorter", behind_a_hole(4), False),
    ("urgent", urgent, False),
    ("fragment of odd length", fragments((0, 35, True), (32, 99, False)), True),
    ("overlapping fragments", fragments((0, 32, True), (24, 40, True), (40, 99, False)), False),
    ("given up, then again", fragments((16, 32, False), (8, 24, False), (0, 24, True), (24, 99, False)), True),
]


def main():
    wrong = 0
    for name, send, expected in CASES:
        forger = Forger()
        send(forger)
        read = forger.read()
        is_read = b"X" in read
        wrong += is_read != expected
        if is_read == expected:
            print(f"as expected  {name}: {read!r}")
        else:
            print(f"otherwise    {name}: {read!r}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
