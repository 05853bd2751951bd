#!/usr/bin/env python3
"""What was fuzzed so far, and how far it got.

    python3 tests/fuzz/ledger.py add TARGET COMMIT SECONDS CPU_SECONDS LOG   one more run, from libFuzzer's words
    python3 tests/fuzz/ledger.py table                                       the tables, made from the ledgers
    python3 tests/fuzz/ledger.py write                                       put them into README.md

hours.tsv has a line for each run that was recorded (run.sh --record), coverage.tsv one for each part of src/ (coverage.sh).
`cargo test --test corpus` fails when README.md has other tables.
"""

import csv, json, pathlib, re, sys, time

HERE = pathlib.Path(__file__).resolve().parent
HOURS, COVERAGE, README = HERE / "hours.tsv", HERE / "coverage.tsv", HERE / "README.md"
FIELDS = ["date", "commit", "target", "seconds", "cpu_seconds", "executions", "edges", "edges_there", "inputs", "findings"]
BEGIN, END = "<!-- made by ledger.py: -->\n", "<!-- until here -->\n"


def last(pattern, text, default=0):
    found = re.findall(pattern, text, re.M)
    return int(found[-1]) if found else default


def add(target, commit, seconds, cpu_seconds, log):
    said = pathlib.Path(log).read_text(errors="replace")
    # A run that was cut short has no final word; then its last line that counts.
    executions = max(last(r"^stat::number_of_executed_units: *(\d+)", said), last(r"^#(\d+)\s", said))
    row = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": commit,
        "target": target,
        "seconds": round(float(seconds)),
        "cpu_seconds": round(float(cpu_seconds)),
        "executions": executions,
        "edges": last(r" cov: (\d+) ", said),
        "edges_there": last(r"\((\d+) inline 8-bit counters\)", said),
        "inputs": sum(1 for path in (HERE / "corpus" / target).iterdir() if path.is_file()),
        "findings": len(re.findall(r"^SUMMARY: libFuzzer: ", said, re.M)),
    }
    new = not HOURS.exists()
    with HOURS.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, delimiter="\t", lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


# What reads bytes of strangers: those of a capture, of a rule file.
PARTS = ["capture", "decode", "flow", "protocol/smtp", "protocol/dns", "protocol/tls", "sensor", "mail", "rules"]


def coverage(exported):
    """From llvm-cov's summary of each file."""
    found = {part: [0, 0] for part in PARTS}
    for file in exported["data"][0]["files"]:
        path = file["filename"].partition("/src/")[2].removesuffix(".rs")
        for part in PARTS:
            if path == part or path.startswith(part + "/"):
                found[part][0] += file["summary"]["lines"]["count"]
                found[part][1] += file["summary"]["lines"]["covered"]
    lines = [f"{part}\t{there}\t{reached}\n" for part, (there, reached) in found.items()]
    COVERAGE.write_text("part\tlines\treached\n" + "".join(lines))


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def table():
    runs = rows(HOURS)
    targets = re.findall(r'^path = "bins/(.*)\.rs"$', (HERE / "Cargo.toml").read_text(), re.M)
    lines = [
        "| target | runs | hours | minutes of processor | inputs tried | edges reached | of | inputs kept | findings | last on |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for target in targets:
        mine = [run for run in runs if run["target"] == target]
        if not mine:
            lines.append(f"| `{target}` | 0 | | | | | | | | |")
            continue
        total = lambda field: sum(int(run[field]) for run in mine)
        most = max(mine, key=lambda run: int(run["edges"]))
        lines.append(
            f"| `{target}` | {len(mine)} | {total('seconds') / 3600:.2f} | {total('cpu_seconds') / 60:.1f} "
            f"| {total('executions'):,} | {int(most['edges']):,} | {int(most['edges_there']):,} "
            f"| {mine[-1]['inputs']} | {total('findings')} | {mine[-1]['commit']} |"
        )
    if COVERAGE.exists():
        lines += ["", "| part of src/ | lines | reached by the inputs kept |", "| --- | ---: | ---: |"]
        for part in rows(COVERAGE):
            there, reached = int(part["lines"]), int(part["reached"])
            lines.append(f"| `{part['part']}` | {there:,} | {100 * reached / there:.1f} % |")
    return "\n".join(lines) + "\n"


def write():
    text = README.read_text()
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    README.write_text(text[:start] + table() + text[end:])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["add", target, commit, seconds, cpu_seconds, log]:
            add(target, commit, seconds, cpu_seconds, log)
        case ["coverage"]:
            coverage(json.load(sys.stdin))
        case ["table"]:
            print(table(), end="")
        case ["write"]:
            write()
        case _:
            sys.exit(__doc__)
