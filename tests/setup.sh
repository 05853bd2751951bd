#!/usr/bin/env bash
# Installs what building mailsnare needs from the system, and with --all what its tests need besides.
# Run it again at will: what is there already is left alone. No service is left running.
set -euo pipefail

build=(gcc libpcap-dev)
tests=(arj curl debootstrap g++ gcab genisoimage iproute2 libarchive-tools libcap2-bin libnet-ssleay-perl msmtp openssl
    p7zip-full postfix prometheus prometheus-alertmanager python3 swaks tcpdump tcpreplay time tshark unbound valgrind zip zstd)
# These cannot be installed beside Postfix (each is the system's one mail server): they are unpacked into the build
# folder, and only tests/living runs them, from there.
unpacked=(exim4-daemon-light opensmtpd)
services=(postfix unbound prometheus prometheus-alertmanager)

wanted=("${build[@]}")
case "${1-}" in
    "") ;;
    --all) wanted+=("${tests[@]}") ;;
    *) echo "usage: bash tests/setup.sh [--all]" >&2 && exit 2 ;;
esac

fail() {
    echo "setup: $*" >&2
    exit 1
}

installed() {
    [[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]
}

# The toolchain comes first: without it nothing else is of use.
least=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "$0")/../Cargo.toml")
command -v cargo >/dev/null || fail "no cargo; install Rust $least or newer as https://rustup.rs says"
found=$(rustc --version | cut -d' ' -f2)
[[ "$(printf '%s\n' "$least" "$found" | sort --version-sort | head -n1)" == "$least" ]] ||
    fail "rustc is $found; $least or newer is needed ('rustup update' gets it)"

if ! command -v apt-get >/dev/null; then
    echo "setup: no apt-get here; make sure that the likes of these Debian packages are installed: ${wanted[*]}" >&2
    exit 0
fi

missing=()
for package in "${wanted[@]}"; do
    installed "$package" || missing+=("$package")
done

# Whether the unpacked servers are there, with every library they need.
servers=$(dirname "$0")/../target/mail-servers
unpacked_already() {
    local programs=("$servers"/usr/sbin/{exim4,smtpd})
    [[ -x ${programs[0]} && -x ${programs[1]} ]] && ! ldd "${programs[@]}" 2>&1 | grep -q "not found"
}
unpack=false
[[ "${1-}" != --all ]] || unpacked_already || unpack=true
[[ ${#missing[@]} -gt 0 || $unpack == true ]] || exit 0

as_root=()
if [[ $EUID -ne 0 ]]; then
    command -v sudo >/dev/null || fail "run this as root, or: apt-get install ${missing[*]}"
    as_root=(sudo)
fi
root() {
    "${as_root[@]}" "$@"
}

# Services of packages that come now must not start: the tests run their own copies, in network namespaces.
# Under systemd masking prevents it; under anything else run level 1 does (invoke-rc.d starts nothing there).
new_services=()
for service in "${services[@]}"; do
    [[ " ${missing[*]} " != *" $service "* ]] || new_services+=("$service")
done
systemd() {
    [[ ! -d /run/systemd/system || ${#new_services[@]} -eq 0 ]] || root systemctl --quiet "$@" "${new_services[@]}" || true
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
    "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        fail "failed: $*"
    }
}

install() {
    echo "setup: installing $*" >&2
    quietly root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install --yes --no-install-recommends "$@"
}

quietly root apt-get update
if [[ ${#missing[@]} -gt 0 ]]; then
    if [[ " ${missing[*]} " == *" postfix "* ]]; then
        echo "postfix postfix/main_mailer_type select Local only" | root debconf-set-selections
    fi
    systemd mask
    install "${missing[@]}"
    systemd unmask
    systemd disable
fi

if $unpack; then
    echo "setup: unpacking ${unpacked[*]}" >&2
    rm -rf "$servers"
    mkdir -p "$servers/packages"
    (cd "$servers/packages" && quietly apt-get download "${unpacked[@]}")
    libraries=()
    for package in "$servers"/packages/*.deb; do
        quietly dpkg-deb --extract "$package" "$servers"
        mapfile -t -O ${#libraries[@]} libraries < <(
            dpkg-deb --show --showformat='${Pre-Depends}, ${Depends}' "$package" |
                tr ',' '\n' | sed -n 's/^ *\(lib[^ :(|]*\).*/\1/p'
        )
    done
    lacking=()
    for library in "${libraries[@]}"; do
        installed "$library" || lacking+=("$library")
    done
    [[ ${#lacking[@]} -eq 0 ]] || install "${lacking[@]}"
    unpacked_already || fail "exim4 or smtpd cannot run from $servers"
fi
