#!/usr/bin/env python3
"""Times mailsnare beside the tools people would use instead, on generated captures.

    python3 benches/compare.py [--quick] [--rounds N] [--input NAME]... [--tool NAME]... [--limit SECONDS] [--no-build]

Builds the release binaries, makes each input in a temporary folder, runs all contenders in turn, round after round, and
prints a table for each input: medians of wall time, CPU time (user and system, all threads) and peak resident size, and
the median over the rounds of wall and CPU time in relation to the floor of the same round. The floor is a bare libpcap loop
over the file; for mail also mail-parser, zip and the same hashes over the messages alone. A tool that is not
installed is left out, one that takes longer than the limit is stopped, and both are said.

Everything is read from the page cache: each file is read once before. Needs Linux, Python 3.9, some 5 GB of disk (2.5 GB
at a time), or 300 MB with --quick."""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RELEASE = os.path.join(ROOT, "target", "release")

# What make-traffic is told: in full, and with --quick.
INPUTS = {
    "mixed": (["--kind", "mixed"], ["--bytes", "2000000000", "--count", "100000"], ["--bytes", "100000000", "--count", "5000"]),
    "mail": (["--kind", "mail"], ["--count", "20000"], ["--count", "2000"]),
    "big-mail": (["--kind", "big-mail", "--bytes", "25000000"], ["--count", "16"], ["--count", "2"]),
    "syn-flood": (["--kind", "synflood"], ["--count", "10000000"], ["--count", "500000"]),
    "dns": (["--kind", "dns"], ["--count", "1000000"], ["--count", "100000"]),
    "outbreak": (["--kind", "outbreak"], ["--count", "1000", "--mails", "20"], ["--count", "1000", "--mails", "2"]),
}

FLOOR = "libpcap loop"
# Name, program that must be there, command. {capture}, {messages} and {out} (a folder, emptied for each run) are filled in.
TOOLS = [
    (FLOOR, f"{RELEASE}/libpcap-loop", "{program} {capture}"),
    ("mailsnare", f"{RELEASE}/mailsnare", "{program} replay --eve {out}/eve.json {capture}"),
    ("mailsnare, 2 workers", f"{RELEASE}/mailsnare", "{program} replay --workers 2 --eve {out}/eve.json {capture}"),
    ("mail-parser, zip, hashes", f"{RELEASE}/open-messages", "{program} {messages}"),
    ("tcpdump", "tcpdump", "{program} -r {capture} -w /dev/null"),
    ("ndpiReader", "ndpiReader", "{program} -q -i {capture}"),
    ("tcpflow", "tcpflow", "{program} -q -r {capture} -o {out}"),
    ("tshark", "tshark", "{program} -n -r {capture} -q -z io,phs"),
    ("Suricata", "suricata", "{program} -k none -r {capture} -l {out}"),
]
# tcpflow writes a file for each flow: a flood would make millions, which take longer to delete than all else.
NOT_FOR = {("tcpflow", "syn-flood")}
VERSIONS = {"tcpdump": "--version", "tshark": "--version", "tcpflow": "-V", "ndpiReader": "-h", "suricata": "-V"}


def main():
    args = arguments()
    if not args.no_build:
        build()
    print(machine(), end="\n\n")
    for line in versions():
        print(f"- {line}")
    for name in args.input or INPUTS:
        with tempfile.TemporaryDirectory(prefix="mailsnare-compare-", dir=args.folder) as folder:
            compare(name, folder, args)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small inputs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=60, help="seconds that one run may take")
    parser.add_argument("--input", action="append", choices=INPUTS)
    parser.add_argument("--tool", action="append", choices=[name for name, *_ in TOOLS], help="besides the floor")
    parser.add_argument("--no-build", action="store_true", help="take target/release as it is")
    parser.add_argument("--folder", help="where temporary files go")
    return parser.parse_args()


def build():
    command = ["cargo", "build", "--quiet", "--release", "--locked", "--workspace", "--bins"]
    subprocess.run(command, cwd=ROOT, check=True)


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return f"{cores} cores ({model}), {memory:.0f} GiB, Linux {os.uname().release}; load {load:.1f} at the start."


def versions():
    commit = first_line(["git", "-C", ROOT, "describe", "--always", "--dirty"])
    yield f"mailsnare {commit}, {first_line(['rustc', '--version'])}"
    for program, option in VERSIONS.items():
        yield first_line([program, option]) if shutil.which(program) else f"{program}: not installed, left out"


def first_line(command):
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line.strip() for line in (run.stdout + run.stderr).splitlines() if line.strip()]
    named = [line for line in lines if "ersion" in line or any(letter.isdigit() for letter in line)]
    return (named or lines or [command[0]])[0]


def compare(name, folder, args):
    kind, full, quick = INPUTS[name]
    size = quick if args.quick else full
    capture, messages = os.path.join(folder, "trace.pcap"), os.path.join(folder, "messages")
    made = make(kind + size, capture)
    if name == "mail":
        make(["--kind", "messages", *size], messages)
    print(f"\n## {name}: make-traffic {' '.join(kind + size)}\n\n{made}\n", flush=True)
    chosen = [tool for tool in TOOLS if args.tool is None or tool[0] in args.tool or tool[0] == FLOOR]
    chosen = [tool for tool in chosen if (tool[0], name) not in NOT_FOR]
    chosen = [tool for tool in chosen if shutil.which(tool[1]) and (name == "mail" or "{messages}" not in tool[2])]
    runs = {tool[0]: [] for tool in chosen}
    commands = {}
    warm(capture)
    for _ in range(args.rounds):
        for tool, program, template in chosen:
            out = os.path.join(folder, "out")
            os.mkdir(out)
            words = {"program": program, "capture": capture, "messages": messages, "out": out}
            command = template.format(**words)
            commands[tool] = command.replace(RELEASE + "/", "").replace(folder, "TMP")
            if None not in runs[tool]:
                runs[tool].append(run(command.split(), args.limit))
            shutil.rmtree(out)
    table(runs, commands, args.limit)


def make(options, path):
    command = [os.path.join(RELEASE, "make-traffic"), *options, "--out", path]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr.strip()


def warm(path):
    with open(path, "rb") as capture:
        while capture.read(1 << 20):
            pass


def run(command, limit):
    """Wall seconds, CPU seconds and peak KiB of a process; None when it was stopped at the limit."""
    started = time.monotonic()
    with open(os.devnull, "r+b") as nothing:
        # A session of its own, so that what it starts ends with it.
        child = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        wall = time.monotonic() - started
        if pid:
            break
        if wall > limit:
            os.killpg(child.pid, signal.SIGKILL)
            os.wait4(child.pid, 0)
            child.returncode = -signal.SIGKILL
            return None
        time.sleep(min(0.001 + wall / 500, 0.05))
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {child.returncode}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def table(runs, commands, limit):
    print("| contender | wall s | CPU s | peak MiB | wall / floor | CPU / floor |\n| --- | --- | --- | --- | --- | --- |")
    floor = runs[FLOOR]
    for tool, measured in runs.items():
        if None in measured:
            print(f"| {tool} | > {limit:.0f} | | | | |")
            continue
        wall, cpu, peak = (statistics.median(column) for column in zip(*measured))
        ratios = [statistics.median(one[at] / base[at] for one, base in zip(measured, floor)) for at in (0, 1)]
        print(f"| {tool} | {wall:.2f} | {cpu:.2f} | {peak / 1024:.0f} | {ratios[0]:.2f} | {ratios[1]:.2f} |")
    print()
    for command in commands.values():
        print(f"    {command}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
