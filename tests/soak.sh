#!/usr/bin/env bash
# A sensor that listens for a long time at a steady rate: fails when its memory, its open files or the series of its
# metrics grow, when it loses packets that the kernel did not count, or when it ends.
#
#   bash tests/soak.sh [--seconds N] [--rate PACKETS_A_SECOND] [--binary FILE] [--keep FILE]
#
# Half an hour (1800) at 5,000 packets a second unless told otherwise; the binary is that of a release build. Two network
# namespaces joined by a virtual cable (needs root); the same mails, questions and downloads again and again, so that
# what is remembered has an end. All the while the metrics are read, the EVE file is rotated and the settings are read
# anew. --keep writes the samples (seconds, resident KiB, open files, series, packets, kernel drops), as TSV.
#
# Growth is judged between the second and the last quarter of the time: the first one fills tables.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=1800
rate=5000
binary=
keep=
while [[ $# -gt 0 ]]; do
    case "$1" in
        --seconds) seconds=$2 ;;
        --rate) rate=$2 ;;
        --binary) binary=$2 ;;
        --keep) keep=$2 ;;
        *) echo "soak: unknown option $1" >&2 && exit 2 ;;
    esac
    shift 2
done

skip() {
    echo "skipped: $1" >&2
    [[ ${CI:-} == true ]] && exit 1
    exit 0
}
[[ $(id -u) == 0 ]] || skip "network namespaces need root"
for program in ip tcpreplay curl python3; do
    command -v "$program" >/dev/null || skip "$program is not installed; 'bash tests/setup.sh --all' installs it"
done
if [[ -z $binary ]]; then
    cargo build --quiet --release --locked
    binary=target/release/mailsnare
fi
cargo build --quiet --locked --package mailsnare-lab --bin make-traffic
traffic=target/debug/make-traffic

work=$(mktemp -d)
# Interface names are bounded by 15 bytes (IFNAMSIZ).
from=mailsnare-soak-a-$$ to=mailsnare-soak-b-$$ from_if=msa$$ to_if=msb$$
sensor= player=
clean() {
    for process in $player $sensor; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    ip netns del "$from" 2>/dev/null || true
    ip netns del "$to" 2>/dev/null || true
    rm -rf "$work"
}
trap clean EXIT

# A round of some 11,000 packets: at the usual rate one is over before the second quarter of twenty seconds begins.
"$traffic" --kind mixed --bytes 4000000 --count 700 --out "$work/mixed.pcap" 2>/dev/null
"$traffic" --kind outbreak --count 15 --mails 3 --out "$work/outbreak.pcap" 2>/dev/null
"$traffic" --kind mail --count 60 --out "$work/mail.pcap" 2>/dev/null

ip netns add "$from"
ip netns add "$to"
ip link add "$from_if" netns "$from" type veth peer name "$to_if" netns "$to"
ip -n "$to" link set lo up
for end in "$from $from_if" "$to $to_if"; do
    read -r space interface <<<"$end"
    # No neighbour discovery of the kernel's own: only what is played counts.
    ip netns exec "$space" sysctl --quiet --write "net.ipv6.conf.$interface.disable_ipv6=1" || true
    ip -n "$space" link set "$interface" up
done

metrics=127.0.0.1:9847
ip netns exec "$to" "$binary" live --interface "$to_if" --metrics "$metrics" --memory 256MiB --ring-mib 16 \
    --eve "$work/eve.json" 2>"$work/log" >/dev/null &
sensor=$!
for _ in $(seq 100); do
    ip netns exec "$to" curl --silent --fail "http://$metrics/readyz" >/dev/null && break
    sleep 0.1
done
# `ip netns exec` becomes the program it runs: the process is the sensor itself.
kill -0 "$sensor" || { cat "$work/log" >&2; exit 1; }

ip netns exec "$from" tcpreplay --quiet --intf1 "$from_if" --pps "$rate" --loop 0 \
    "$work/mixed.pcap" "$work/outbreak.pcap" "$work/mail.pcap" >"$work/player" 2>&1 &
player=$!

samples=$work/samples.tsv
: >"$samples"
began=$SECONDS
pause=$((seconds / 200 > 0 ? seconds / 200 : 1))
rotated=0
while ((SECONDS - began < seconds)); do
    sleep "$pause"
    kill -0 "$sensor" 2>/dev/null || { echo "soak: the sensor ended" >&2; tail -5 "$work/log" >&2; exit 1; }
    kill -0 "$player" 2>/dev/null || { echo "soak: the player ended" >&2; tail -5 "$work/player" >&2; exit 1; }
    page=$(ip netns exec "$to" curl --silent --fail --max-time 10 "http://$metrics/metrics") ||
        { echo "soak: the sensor serves no metrics" >&2; tail -5 "$work/log" >&2; exit 1; }
    count() { awk -v name="$1" '$1 ~ "^" name "([{]|$)" { sum += $2 } END { printf "%.0f", sum }' <<<"$page"; }
    printf '%d\t%d\t%d\t%d\t%d\t%d\n' $((SECONDS - began)) \
        "$(awk '/^VmRSS:/ { print $2 }' "/proc/$sensor/status")" \
        "$(find "/proc/$sensor/fd" -mindepth 1 | wc -l)" \
        "$(grep --count --invert-match '^#' <<<"$page")" \
        "$(count mailsnare_packets_total)" "$(count mailsnare_kernel_drops_total)" >>"$samples"
    # About sixty times, or as often as there is time for.
    if (((SECONDS - began) * 60 / seconds > rotated)); then
        rotated=$(((SECONDS - began) * 60 / seconds))
        mv "$work/eve.json" "$work/eve.old" 2>/dev/null || true
        kill -HUP "$sensor"
    fi
done
[[ -z $keep ]] || cp "$samples" "$keep"
kill -TERM "$player" && wait "$player" || true
player=
sleep 2
page=$(ip netns exec "$to" curl --silent --fail --max-time 10 "http://$metrics/metrics")
sent=$(ip -n "$from" -statistics -json link show "$from_if" | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["stats64"]["tx"]["packets"])')
seen=$(awk '/^mailsnare_packets_total[{]/ { sum += $2 } END { printf "%.0f", sum }' <<<"$page")
dropped=$(awk '/^mailsnare_kernel_drops_total[{]/ { sum += $2 } END { printf "%.0f", sum }' <<<"$page")
kill -TERM "$sensor"
ended=0
wait "$sensor" || ended=$?
sensor=
[[ $ended == 0 ]] || { echo "soak: the sensor ended with $ended" >&2; tail -5 "$work/log" >&2; exit 1; }

python3 - "$samples" "$sent" "$seen" "$dropped" <<'PYTHON'
import statistics
import sys

path, sent, seen, dropped = sys.argv[1], *map(int, sys.argv[2:])
rows = [[int(field) for field in line.split("\t")] for line in open(path)]
quarter = len(rows) // 4
if quarter < 2:
    sys.exit("soak: too few samples to judge by; give it more --seconds")
second, last = rows[quarter : 2 * quarter], rows[-quarter:]
faults = []


def judge(what, column, slack, unit=""):
    before = statistics.median(row[column] for row in second)
    after = statistics.median(row[column] for row in last)
    print(f"{what}: {before:.0f}{unit} in the second quarter, {after:.0f}{unit} in the last")
    if after > before + slack(before):
        faults.append(f"{what} grew from {before:.0f} to {after:.0f}{unit}")


print(f"{rows[-1][0]} seconds, {len(rows)} samples")
# What the allocator keeps for later varies by some megabytes.
judge("resident memory", 1, lambda kib: max(4096, kib * 0.05), " KiB")
judge("open files", 2, lambda files: 1)
judge("series of metrics", 3, lambda series: 0)
print(f"packets: {sent} sent, {seen} seen, {dropped} dropped by the kernel")
if not 0 < seen <= sent:
    faults.append(f"{seen} packets were seen of {sent} that were sent")
if seen + dropped < sent:
    faults.append(f"{sent - seen - dropped} packets were lost and not counted")
sys.exit("soak: " + "; ".join(faults) if faults else None)
PYTHON
