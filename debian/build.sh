#!/usr/bin/env bash
# Builds the Debian package into target/debian: the program, its manual page and completions, then the package.
# `bash debian/build.sh PROGRAM OUTPUT [OPTION...]` packs a program that was built before; options go to cargo-deb.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo-deb >/dev/null || cargo install --quiet --locked --no-default-features cargo-deb

program=${1-target/release/mailsnare}
output=${2-target/debian/}
shift $(($# < 2 ? $# : 2))
[[ $program != target/release/mailsnare ]] || cargo build --locked --release

made=target/package
mkdir -p "$made"
"$program" man | gzip --no-name --best >"$made/mailsnare.1.gz"
"$program" completions bash >"$made/mailsnare.bash"
"$program" completions zsh >"$made/_mailsnare"
"$program" completions fish >"$made/mailsnare.fish"
# cargo-deb strips only what it built itself.
install -m 0755 --strip "$program" "$made/mailsnare"

cargo deb --quiet --locked --no-build --no-dbgsym --output "$output" "$@"
