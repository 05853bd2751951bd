#!/usr/bin/env bash
# How much of the parts that read bytes of strangers the kept inputs reach, in lines: writes coverage.tsv.
#
#   bash tests/fuzz/coverage.sh
#
# It runs `cargo test --test corpus` with counters. Needs llvm-profdata and llvm-cov as new as rustc's LLVM: Debian's llvm-N
# (apt.llvm.org has the newest), or `rustup component add llvm-tools`.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
rust_tools=$(rustc --print target-libdir)/../bin
tool() {
    command -v "$rust_tools/$1" || command -v "$1-$version" || { echo "coverage: no $1 for LLVM $version" >&2 && return 1; }
}
profdata=$(tool llvm-profdata)
cov=$(tool llvm-cov)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Counters in our own code only: what it is built on stays as it is.
printf '#!/bin/sh\nexec "$@" -Cinstrument-coverage\n' >"$scratch/rustc"
chmod +x "$scratch/rustc"
binary=$(RUSTC_WORKSPACE_WRAPPER=$scratch/rustc cargo test --quiet --locked --test corpus --no-run --message-format=json |
    python3 -c 'import json, sys; print([m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable") and m["target"]["name"] == "corpus"][-1])')
LLVM_PROFILE_FILE=$scratch/%p.profraw "$binary" --quiet >&2
"$profdata" merge -sparse "$scratch"/*.profraw -o "$scratch/corpus.profdata"
"$cov" export --summary-only --instr-profile "$scratch/corpus.profdata" "$binary" |
    python3 tests/fuzz/ledger.py coverage
