#!/usr/bin/env bash
# Fuzzes: each target for a while, then stops. Fails when an input breaks one, and shows that input.
#
#   bash tests/fuzz/run.sh [--seconds N] [--jobs N] [--keep] [--record] [TARGET...]
#   bash tests/fuzz/run.sh --build              builds the fuzzers, and runs none
#
# Without names all targets run, each for --seconds (60), --jobs (2) at a time. Each starts from
# the inputs kept in corpus/ and those that seed.py makes. --keep adds what was found to corpus/, cut down to the inputs
# that reach something the others do not. --record is for long runs: what they did is added to hours.tsv (ledger.py), and
# what they found stays in found/ and is gone on from. An interrupt ends all targets; what they did until then is kept and
# recorded all the same.
set -euo pipefail
export RUST_BACKTRACE=0
here=$(realpath "$0")
cd "$(dirname "$here")"

seconds=60
jobs=2
keep=
record=
build=
targets=()
while [[ $# -gt 0 ]]; do
    case "$1" in
        --seconds) seconds=$2 && shift 2 ;;
        --jobs) jobs=$2 && shift 2 ;;
        --keep) keep=yes && shift ;;
        --record) record=yes && shift ;;
        --build) build=yes && shift ;;
        -*)
            sed -n '2,12s/^# \{0,1\}//p' "$here" >&2
            exit 2
            ;;
        *) targets+=("$1") && shift ;;
    esac
done
[[ ${#targets[@]} -gt 0 ]] || mapfile -t targets < <(sed -n 's/^path = "bins\/\(.*\)\.rs"$/\1/p' Cargo.toml)

# What libFuzzer needs of the compiler: a counter for each edge, and a word on each comparison. Branches are not folded, so
# that each can be seen.
# Our code has no `unsafe`, so no sanitizer is needed to notice when it fails, and any toolchain will do. With
# SANITIZER=address (nightly only) the libraries that have some are watched too.
flags=(-Cpasses=sancov-module --cfg fuzzing)
for option in sanitizer-coverage-{level=4,inline-8bit-counters,pc-table,trace-compares,stack-depth} simplifycfg-branch-fold-threshold=0; do
    flags+=("-Cllvm-args=-$option")
done
[[ -z ${SANITIZER:-} ]] || flags+=("-Zsanitizer=$SANITIZER")
host=$(rustc -vV | sed -n 's/^host: //p')
# With --target, build scripts and macros are built without the flags.
RUSTFLAGS="${flags[*]}" cargo build --quiet --release --locked --target "$host" --target-dir target
[[ -z $build ]] || exit 0
binaries=$PWD/target/$host/release
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 seed.py "$scratch/seeds"
commit=$(git rev-parse --short HEAD)$(git diff --quiet HEAD -- ../../src targets || echo +)

# Inputs larger than this show nothing that smaller ones do not.
longest() {
    case "$1" in
        tcp_stream | smtp_session) echo 2048 ;;
        smtp | dns | tls) echo 4096 ;;
        frames | capture_file) echo 16384 ;;
        mail | rules) echo 32768 ;;
        # A disc image begins at 32 KiB.
        archive) echo 65536 ;;
        *) echo 65536 ;;
    esac
}

# Runs one target; what it says goes to a file of its own.
fuzz() {
    local target=$1 options=() begin=$SECONDS
    # An interrupt is for the fuzzer, which then says how far it got.
    trap '' INT TERM
    mkdir -p "$(found "$target")" "artifacts/$target" "corpus/$target" "$scratch/seeds/$target"
    [[ ! -f dictionaries/$target.dict ]] || options+=("-dict=dictionaries/$target.dict")
    local TIMEFORMAT='%U %S'
    {
        time "$binaries/$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len="$(longest "$target")" \
            -print_final_stats=1 -artifact_prefix="artifacts/$target/" "${options[@]}" \
            "$(found "$target")" "corpus/$target" "$scratch/seeds/$target" >"$scratch/$target.log" 2>&1
    } 2>"$scratch/$target.time" || [[ $? == "$interrupted" ]] || touch "$scratch/$target.failed"
    echo $((SECONDS - begin)) >"$scratch/$target.seconds"
}

# What libFuzzer exits with when it was interrupted.
interrupted=72

# Where new inputs of a target go.
found() {
    if [[ -n $record ]]; then echo "found/$1"; else echo "$scratch/found/$1"; fi
}

# The edges (counters in the compiled code) its inputs reached, inputs tried, and inputs of the corpus.
report() {
    local log=$scratch/$1.log
    printf '| `%s` | %s | %s | %s | %s |\n' "$1" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
        "$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")" \
        "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n1)" \
        "$(find "corpus/$1" -type f | wc -l)"
}

# Inputs with a name of their own stand for a defect and stay. Of the others those that reach most, within what is
# reasonable to keep in a repository.
keep_found() {
    local named=$scratch/named-$1 file
    mkdir "$named" "$scratch/merged-$1"
    find "corpus/$1" -type f ! -name "$found_name" -exec cp -t "$named" {} +
    "$binaries/$1" -set_cover_merge=1 -use_counters=0 -max_len="$(longest "$1")" -timeout=20 \
        -merge_control_file="$scratch/control-$1" "$scratch/merged-$1" "$named" "corpus/$1" "$(found "$1")" \
        "$scratch/seeds/$1" >/dev/null 2>&1
    python3 pick.py "$scratch/control-$1" "$named" 120 98304 | while read -r file; do
        cp "$file" "$named/$(sha1sum "$file" | cut -c1-40)"
    done
    rm -rf "corpus/$1"
    mv "$named" "corpus/$1"
}
# The fuzzer names an input by its SHA-1.
found_name=$(printf '[0-9a-f]%.0s' {1..40})

stopped=
trap 'stopped=yes; for job in $(jobs -rp); do pkill -TERM -P "$job" || true; done' INT TERM
for target in "${targets[@]}"; do
    while [[ $(jobs -rp | wc -l) -ge $jobs ]]; do wait -n || true; done
    [[ -z $stopped ]] || break
    fuzz "$target" &
done
while [[ $(jobs -rp | wc -l) -gt 0 ]]; do wait || true; done

printf '| target | inputs tried | a second | edges | inputs kept |\n| --- | ---: | ---: | ---: | ---: |\n'
failed=0
for target in "${targets[@]}"; do
    [[ -f $scratch/$target.seconds ]] || continue
    if [[ -f $scratch/$target.failed ]]; then
        failed=1
        echo "fuzz: $target failed:" >&2
        grep -v '^#[0-9]' "$scratch/$target.log" | tail -n 40 >&2
        echo "fuzz: once mended, put the input beside the others in tests/fuzz/corpus/$target/" >&2
    else
        [[ -z $keep ]] || keep_found "$target"
        report "$target"
    fi
    [[ -z $record ]] || python3 ledger.py add "$target" "$commit" "$(cat "$scratch/$target.seconds")" \
        "$(awk '{ print $1 + $2 }' "$scratch/$target.time")" "$scratch/$target.log"
done
[[ -z $record ]] || python3 ledger.py write
exit "$failed"
