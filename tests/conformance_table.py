#!/usr/bin/env python3
"""Writes tests/CONFORMANCE.md: how the sensor's reading of public captures agrees with what their projects say.

    python3 tests/conformance_table.py --captures FOLDER --binary target/release/mailsnare > tests/CONFORMANCE.md

FOLDER holds the captures and compare.py, which does the comparing. The explanations are those of
conformance_explained.json beside this script; tests/conformance.rs holds the sensor to the same list.
Exit code: 0 all agree or are explained, 1 a difference has no explanation or an explanation no difference, 2 wrong usage.
"""
import argparse
import collections
import importlib.util
import json
import pathlib
import sys

EXPLAINED = pathlib.Path(__file__).resolve().parent / "conformance_explained.json"
COLUMNS = ["agree", "explained", "beyond", "unexplained"]

HEAD = """# Conformance

Captures of other projects' test suites, read by mailsnare and compared with what those projects publish of them:
envelopes, headers, attachments and their hashes, DNS questions and answers, innermost flows, packet counts, and that
the program ends by itself on damaged files. The captures are no part of this repository.

Do not edit this page; `tests/conformance_table.py` writes it from a run, and says how.

"""


def load(folder):
    """compare.py of the captures' folder, as a module."""
    spec = importlib.util.spec_from_file_location("compare", folder / "compare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def difference(compare, binary, want, trace):
    """What differs in a case, in a sentence; None where all agrees. Cases that compare.py leaves out are judged too."""
    try:
        compare.check({k: v for k, v in want.items() if k != "beyond"}, *compare.run(binary, trace, 60), False)
    except (compare.Differs, AttributeError, KeyError, TypeError, ValueError) as why:
        return str(why)
    except compare.Skipped:
        return "no flow seen"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captures", required=True, type=pathlib.Path, help="the folder of captures with compare.py")
    parser.add_argument("--binary", required=True, help="the sensor")
    args = parser.parse_args()
    if not (args.captures / "compare.py").exists():
        parser.error(f"{args.captures} has no compare.py")
    compare = load(args.captures)
    explained = {entry["case"]: entry for entry in json.loads(EXPLAINED.read_text("utf-8"))}

    rows, seen, unexplained = collections.defaultdict(collections.Counter), {}, {}
    for group, name, want, trace in compare.shared_cases(args.captures, compare.SETS):
        case, what = f"{group}/{name}", difference(compare, args.binary, want, trace)
        if what is None:
            verdict = "agree"
        elif case not in explained:
            verdict, unexplained[case] = "unexplained", what
        else:
            verdict, seen[case] = "beyond" if want.get("beyond") else "explained", (what, want["source"])
        rows[group, want["source"]["project"]][verdict] += 1

    sys.stdout.write(HEAD + table(compare.SETS, rows) + "\n" + sections(explained, seen))
    for case, what in unexplained.items():
        print(f"unexplained: {case}: {what}", file=sys.stderr)
    mended = sorted(set(explained) - set(seen))
    if mended:
        print(f"no longer differ, so strike them off {EXPLAINED.name}: {', '.join(mended)}", file=sys.stderr)
    return 1 if unexplained or mended or not rows else 0


def table(sets, rows):
    lines = [
        "| set | source | cases | agree | differ, explained | outside the contract | unexplained |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (group, project), counts in sorted(rows.items(), key=lambda row: (sets.index(row[0][0]), row[0][1])):
        lines.append(line(group, project, counts))
    lines.append(line("all", "", sum(rows.values(), collections.Counter())))
    return "\n".join(lines) + "\n"


def line(group, project, counts):
    figures = [sum(counts.values())] + [counts[column] for column in COLUMNS]
    return f"| {group} | {project} | " + " | ".join(map(str, figures)) + " |"


def sections(explained, seen):
    """Each difference with its explanation and its witness."""
    out = ["## What differs, and why\n"]
    for case, (what, source) in seen.items():
        entry = explained[case]
        out += [
            f"### {case}\n",
            f"From {source['project']}, `{source['path']}`. Told by the comparison: {what}.\n",
            f"{entry['why']}\n",
            f"Witness: {entry['witness']} To see it: `{entry['command']}`\n",
        ]
    return "\n".join(out)


if __name__ == "__main__":
    sys.exit(main())
