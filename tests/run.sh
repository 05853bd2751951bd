#!/usr/bin/env bash
# Runs all tests: library, binary, live capture (as root only; elsewhere it says what it skips), benches in test mode.
set -euo pipefail
cd "$(dirname "$0")/.."

bash tests/setup.sh --all
cargo test --workspace --locked
cargo test --workspace --locked --benches
# Half an hour by hand: bash tests/soak.sh
if [[ $(id -u) == 0 ]]; then
    bash tests/soak.sh --seconds 20 --binary target/debug/mailsnare
fi
