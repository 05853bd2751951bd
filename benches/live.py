#!/usr/bin/env python3
"""Measures live capture: how long after its last packet a worm's message is in the EVE file, and how much is read at all.

    sudo python3 benches/live.py [--threads N,N] [--pps N] [--mbps N] [--rounds N]
        [--table delay|throughput] [--no-build]

Two network namespaces are joined by a virtual cable. tcpreplay plays at one end, the release binary listens at the other,
writing EVE lines into a pipe that this script reads. Two tables come of it:

- Delay. The sample outbreak is played at so many packets a second (--pps) beside background traffic of so many megabits a
  second (--mbps, 0 for none). Of each `mimail-c` alert: the time its line was read less the time the kernel gave to the
  packet that ended the message. Nothing is hurried: lines leave the sensor as they do in service.
- Throughput. Background alone, as fast as one tcpreplay can send it: packets sent (tcpreplay's count), read and dropped
  (the sensor's own counters); they must add up. What a packet takes of the processor in the capture threads (the kernel's
  count, schedstat), and the busiest of them by its share: threads that do not get into each other's way need no more for a
  packet when there are more of them, so that as many as there are cores read as many times as much.

Sender and sensor share the machine's cores, so the figures are worse than those of a sensor of its own. Needs root, Linux,
Python 3.9, tcpreplay, iproute2, curl; some 250 MB of disk."""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RELEASE = os.path.join(ROOT, "target", "release")
OUTBREAK = os.path.join(ROOT, "pcaps", "mimail-c-outbreak", "trace.pcap")
METRICS = "127.0.0.1:9847"
SENDER, SENSOR = (f"msbench-{end}-{os.getpid()}" for end in ("a", "b"))


def main():
    args = arguments()
    if os.geteuid() != 0:
        sys.exit("network namespaces need root")
    if not args.no_build:
        run("cargo", "build", "--release", "--workspace", "--bins", "--locked", cwd=ROOT)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Linux {os.uname().release}\n")
    with tempfile.TemporaryDirectory() as folder:
        background = os.path.join(folder, "web.pcap")
        run(f"{RELEASE}/make-traffic", "--kind", "web", "--bytes", "200000000", "--out", background)
        try:
            lay_cable()
            if args.table != "throughput":
                heading("threads", "outbreak, packets/s", "background, Mb/s", "alerts", "delay p50, ms", "p90", "p99", "longest", "packets lost")
                for threads in args.threads:
                    for mbps in sorted({0, args.mbps}):
                        print(delay(folder, background, threads, args.pps, mbps, args.rounds), flush=True)
                print()
            if args.table != "delay":
                heading("threads", "sent", "sent/s", "Mb/s", "read", "lost in the kernel", "unaccounted for",
                        "CPU ns a packet", "of that the busiest thread")
                for threads in args.threads:
                    print(throughput(folder, background, threads), flush=True)
        finally:
            for name in (SENDER, SENSOR):
                subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = lambda text: [int(number) for number in text.split(",")]
    parser.add_argument("--threads", type=numbers, default=[1, 2], help="capture threads, one table row each [1,2]")
    parser.add_argument("--pps", type=int, default=1_000, help="packets a second of the outbreak [1000]")
    parser.add_argument("--mbps", type=int, default=200, help="background beside it [200]")
    parser.add_argument("--rounds", type=int, default=1, help="plays of the outbreak, each to a new sensor [1]")
    parser.add_argument("--table", choices=["delay", "throughput", "both"], default="both")
    parser.add_argument("--no-build", action="store_true")
    return parser.parse_args()


def heading(*columns):
    print("| " + " | ".join(columns) + " |\n" + "| ---: " * len(columns) + "|", flush=True)


def lay_cable():
    for name in (SENDER, SENSOR):
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "link", "add", "wire", "netns", SENDER, "type", "veth", "peer", "name", "wire", "netns", SENSOR)
    for name in (SENDER, SENSOR):
        # Silent but for what is played: no neighbour discovery.
        inside(name, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        run("ip", "-n", name, "link", "set", "wire", "up")


class Sensor:
    """A sensor whose EVE lines are read as they come."""

    def __init__(self, folder, threads):
        pipe = os.path.join(folder, "eve")
        if not os.path.exists(pipe):
            os.mkfifo(pipe)
        self.delays = []
        self.reader = threading.Thread(target=self.read, args=(pipe,))
        self.reader.start()
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", SENSOR, f"{RELEASE}/mailsnare", "live", "--interface", "wire", "--eve", pipe,
             "--threads", str(threads), "--metrics", METRICS],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while subprocess.run(["ip", "netns", "exec", SENSOR, "curl", "-sf", f"http://{METRICS}/readyz"],
                             stdout=subprocess.DEVNULL).returncode != 0:
            if self.process.poll() is not None:
                sys.exit("the sensor does not start")
            time.sleep(0.1)

    def read(self, pipe):
        with open(pipe, "rb") as lines:
            for line in lines:
                now = time.time()
                if b'"rule":"mimail-c"' in line and b'"event_type":"alert"' in line:
                    told = datetime.strptime(json.loads(line)["timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
                    self.delays.append(1_000 * (now - told.timestamp()))

    def counters(self):
        text = inside(SENSOR, "curl", "-s", f"http://{METRICS}/metrics")
        value = lambda name: sum(float(v) for v in re.findall(rf"^mailsnare_{name}_total{{[^}}]*}} (\S+)$", text, re.M))
        return int(value("packets")), int(value("kernel_drops") + value("interface_drops"))

    def settle(self, sent):
        """The counters, once they account for what was sent, or ten seconds after it was."""
        for _ in range(20):
            read, lost = self.counters()
            if read + lost >= sent:
                break
            time.sleep(0.5)
        return read, lost

    def capture_time(self):
        """Nanoseconds that each capture thread has had a processor."""
        tasks = f"/proc/{self.process.pid}/task"
        whole = lambda task, name: open(os.path.join(tasks, task, name), encoding="ascii").read()
        threads = [task for task in os.listdir(tasks) if whole(task, "comm").startswith("sensor ")]
        return [int(whole(task, "schedstat").split()[0]) for task in threads]

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.reader.join()


def delay(folder, background, threads, pps, mbps, rounds):
    delays, lost = [], 0
    for _ in range(rounds):
        sensor = Sensor(folder, threads)
        beside = None
        if mbps:
            beside = subprocess.Popen(
                ["ip", "netns", "exec", SENDER, "tcpreplay", "--intf1=wire", f"--mbps={mbps}", "--loop=0", background],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        inside(SENDER, "tcpreplay", "--intf1=wire", f"--pps={pps}", OUTBREAK)
        if beside:
            beside.terminate()
            beside.wait()
        time.sleep(2)
        lost += sensor.counters()[1]
        sensor.stop()
        delays += sensor.delays
    cuts = statistics.quantiles(delays, n=100)
    row = [threads, pps, mbps, len(delays), *(f"{ms:.0f}" for ms in (cuts[49], cuts[89], cuts[98], max(delays))), lost]
    return "| " + " | ".join(map(str, row)) + " |"


def throughput(folder, background, threads):
    sensor = Sensor(folder, threads)
    said = inside(SENDER, "tcpreplay", "--intf1=wire", "--topspeed", "--loop=10", background)
    find = lambda shape: float(re.search(shape, said).group(1))
    sent = int(find(r"Successful packets:\s+(\d+)"))
    read, lost = sensor.settle(sent)
    spent = sensor.capture_time()
    sensor.stop()
    row = [str(threads), f"{sent:,}", f"{find(r'([0-9.]+) pps'):,.0f}", f"{find(r'([0-9.]+) Mbps'):,.0f}", f"{read:,}",
           f"{lost:,}", f"{sent - read - lost:,}", f"{sum(spent) / read:.0f}", f"{max(spent) / sum(spent):.0%}"]
    return "| " + " | ".join(row) + " |"


def inside(name, *command):
    return run("ip", "netns", "exec", name, *command)


def run(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
