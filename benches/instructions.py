#!/usr/bin/env python3
"""Counts the instructions of each stage with callgrind, and of each attack on the sensor through all of them, and holds
them to the figures in benches/instructions.json. What an attack costs must grow no faster than it does, besides: it is
counted once and twice as large.

    python3 benches/instructions.py                     count, compare; exit 1 when a stage needs over 10 % more
    python3 benches/instructions.py --note STAGE WHY    count it, and let it need what it needs now, for this reason
    python3 benches/instructions.py --keep              at a release: keep today's figures, and forget the notes
    python3 benches/instructions.py --build             only build what is counted

Instruction counts hardly vary from run to run or with the machine's load, but they do with the compiler: figures kept
with another rustc are not compared, which is said, and is no failure. Needs valgrind."""

import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KEPT = os.path.join(ROOT, "benches", "instructions.json")
STAGES = ["decode", "flow", "stream", "smtp", "dns", "sensor", "mail", "archive", "rules", "correlator", "eve"]
# More than this much of what was kept is a failure.
ALLOWED = 1.10
# An attack of twice the size may cost this much of the smaller one: what is more than twice is caches and tables that fill.
GROWTH = 2.2
ATTACK = "attack/"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--build", action="store_true")
    parser.add_argument("--note", nargs=2, metavar=("STAGE", "WHY"))
    args = parser.parse_args()
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    program = build()
    if args.build:
        return None
    listed = subprocess.run([program, "attacks"], capture_output=True, text=True, check=True).stdout.split()
    attacks = [ATTACK + name for name in listed]
    if args.note and args.note[0] not in STAGES + attacks:
        parser.error(f"no stage '{args.note[0]}'; there are {', '.join(STAGES + attacks)}")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        halves = {attack: pool.submit(count, program, attack, 1) for attack in attacks}
        counts = {stage: pool.submit(count, program, stage, 2) for stage in STAGES + attacks}
        counted = {stage: figure.result() for stage, figure in counts.items()}
        growth = {attack: counted[attack] / figure.result() for attack, figure in halves.items()}
    if args.keep:
        return keep({"rustc": rustc, "stages": {stage: {"instructions": counted[stage]} for stage in counted}})
    with open(KEPT, encoding="utf-8") as file:
        kept = json.load(file)
    if args.note:
        stage, why = args.note
        # Nothing is kept yet of a new one, which has nothing to be excused for.
        if stage in kept["stages"]:
            kept["stages"][stage]["noted"] = {"instructions": counted[stage], "why": why}
        else:
            kept["stages"][stage] = {"instructions": counted[stage]}
        return keep(kept)
    return compare(kept, counted, rustc) or bounded(growth)


def build():
    """The path of the bench program, built as a release is."""
    command = ["cargo", "bench", "--bench", "instructions", "--no-run", "--locked", "--message-format", "json"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in built.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "instructions":
            return message["executable"]
    sys.exit("instructions: cargo built no bench of that name")


def count(program, stage, factor):
    """The instructions of a stage, or of an attack that is so many times the smallest."""
    work = ["attack", stage.removeprefix(ATTACK), str(factor)] if stage.startswith(ATTACK) else [stage]
    command = [
        "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no",
        "--toggle-collect=*instructions::measured*", program, *work,
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or not found or found[1] == "0":
        sys.exit(f"instructions: {stage} could not be counted:\n{run.stderr}")
    return int(found[1])


def keep(figures):
    with open(KEPT, "w", encoding="utf-8") as file:
        json.dump(figures, file, indent=2)
        file.write("\n")


def compare(kept, counted, rustc):
    comparable = kept["rustc"] == rustc
    grown = []
    print(f"{'stage':28} {'kept':>12} {'now':>12}")
    for stage in counted:
        entry = kept["stages"].get(stage)
        if entry is None:
            sys.exit(f"instructions: nothing is kept of stage '{stage}'; add it with --note or --keep")
        figure, noted = entry["instructions"], entry.get("noted")
        line = f"{stage:28} {figure:12} {counted[stage]:12} {counted[stage] / figure - 1:+7.1%}"
        print(line + (f"  noted: {noted['why']} ({noted['instructions']})" if noted else ""))
        if counted[stage] > ALLOWED * max(figure, noted["instructions"] if noted else 0):
            grown.append(stage)
    if not comparable:
        print(f"Not compared: the figures were kept with {kept['rustc']}, and this is {rustc}.", file=sys.stderr)
        return 0
    for stage in grown:
        print(
            f"instructions: {stage} needs over {ALLOWED - 1:.0%} more than was kept. Make it need less, or say why it is worth it: "
            f"python3 benches/instructions.py --note {stage} 'the reason'",
            file=sys.stderr,
        )
    return 1 if grown else 0


def bounded(growth):
    """Whether no attack costs more than its size is worth."""
    for attack, times in growth.items():
        print(f"{attack:28} twice as large costs {times:.2f} times as much")
        if times > GROWTH:
            print(f"instructions: {attack} grows faster than it may ({GROWTH}): what it costs has no bound", file=sys.stderr)
    return 1 if max(growth.values()) > GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
