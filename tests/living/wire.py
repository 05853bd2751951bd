#!/usr/bin/env python3
"""A switch in user space between TAP interfaces, which can lose, reorder and double frames on the way.

Usage: wire.py MIRROR PORT...

Every frame also goes to MIRROR, in the order in which the switch saw it, as a mirror port would have it. Frames are
harmed on the way in (the mirror misses the first copy, and sees it late or twice) and on the way out (the mirror sees
what the receiver does not, and then the retransmission). Starts without faults; SIGUSR1 lets them in. Prints "ready".
A seed makes the harm the same for the same frames in the same order.
"""

import fcntl
import heapq
import os
import random
import select
import signal
import struct
import sys
import time

LOSS, DOUBLE, LATE = 0.02, 0.02, 0.05
DELAY = (0.0005, 0.004)  # seconds: several packets of a full-speed transfer overtake
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


class Switch:
    def __init__(self, mirror, ports):
        self.mirror, self.ports = tap(mirror), [tap(name) for name in ports]
        self.homes, self.late, self.faults, self.sent = {}, [], False, 0
        self.random = random.Random(78)

    def harm(self, then, *args):
        """Does `then` never, once, late, or twice."""
        if not self.faults:
            return then(*args)
        dice = self.random.random()
        if dice < LOSS:
            return None
        if dice < LOSS + LATE:
            due = time.monotonic() + self.random.uniform(*DELAY)
            self.sent += 1
            heapq.heappush(self.late, (due, self.sent, then, args))
            return None
        if dice < LOSS + LATE + DOUBLE:
            then(*args)
        return then(*args)

    def arrive(self, port, frame):
        write(self.mirror, frame)
        target = self.homes.get(frame[:6])
        for other in [target] if target is not None else [fd for fd in self.ports if fd != port]:
            self.harm(write, other, frame)

    def run(self):
        while True:
            wait = max(0.0, self.late[0][0] - time.monotonic()) if self.late else None
            readable, _, _ = select.select(self.ports, [], [], wait)
            while self.late and self.late[0][0] <= time.monotonic():
                _, _, then, args = heapq.heappop(self.late)
                then(*args)
            for port in readable:
                for _ in range(16):
                    try:
                        frame = os.read(port, 65536)
                    except OSError:
                        break
                    self.homes[frame[6:12]] = port
                    self.harm(self.arrive, port, frame)


def write(fd, frame):
    try:
        os.write(fd, frame)
    except OSError:
        pass  # The interface is down, or full: wires lose frames.


switch = Switch(sys.argv[1], sys.argv[2:])
signal.signal(signal.SIGUSR1, lambda *_: setattr(switch, "faults", True))
print("ready", flush=True)
switch.run()
