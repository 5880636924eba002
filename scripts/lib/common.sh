# Shared by the scripts of this folder; source it, do not run it.
# Sets ROOT (the checkout), CACHE (data that is fetched or derived, never committed) and a few helpers.

set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
CACHE="${SWIFTLET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/swiftlet}"
MODELS="$CACHE/models"
STOCK="$CACHE/stock"
VENV="$CACHE/venv"
PYTHON="$VENV/bin/python"
SWIFTLET="${SWIFTLET:-$ROOT/.build/release/swiftlet}"

GEMMA="$MODELS/gemma-3-270m-q4_k_m.gguf"
GEMMA_F32="$MODELS/gemma-3-270m-f32.gguf"
SMOLLM="$MODELS/smollm2-135m-instruct-q4_1.gguf"
SMOLLM_F32="$MODELS/smollm2-135m-instruct-f32.gguf"

# What the stock peer has to be for its figures to mean what the documentation says they mean.
STOCK_VERSION="0.7.0"
STOCK_PACKAGES=(
    llama.cpp-tools llama.cpp-tools-extra llama.cpp-tests libllama0 libllama-dev libggml0 libggml-dev
    libggml0-backend-rpc libggml0-backend-blas
    libc6 libgcc-s1 libgomp1 libstdc++6 libssl3t64 libzstd1 zlib1g libopenblas0-pthread libblas3 libgfortran5
)

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { printf '%s: error: %s\n' "${0##*/}" "$*" >&2; exit 1; }

have() { command -v "$1" >/dev/null 2>&1; }

# find_browser: prints the path of a Chromium to look at pages with; fails where there is none.
find_browser() {
    if [ -n "${SWIFTLET_BROWSER:-}" ]; then printf '%s\n' "$SWIFTLET_BROWSER"; return; fi
    command -v chromium || command -v chromium-browser || command -v google-chrome-stable || command -v google-chrome
}

# as_root COMMAND…: runs it as root, directly or through sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif have sudo; then sudo "$@"
    else die "need root (or sudo) for: $*"
    fi
}

# with_lock NAME: holds a lock of that name until the script ends, so that two scripts started at once
# do not fetch the same thing twice.
with_lock() {
    mkdir -p "$CACHE/locks"
    exec {LOCK_FD}>"$CACHE/locks/$1"
    if ! flock -n "$LOCK_FD"; then
        say "waiting for another '$1' to finish"
        flock "$LOCK_FD"
    fi
}

# The address of the Debian mirror this machine is set up with, taken from apt's own configuration.
debian_mirror() {
    local codename uri
    codename="$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")"
    uri="$(apt-get update --print-uris 2>/dev/null \
        | sed -n "s|^'\(.*\)/dists/${codename}/InRelease'.*|\1|p" | head -n 1)"
    [ -n "$uri" ] || die "apt knows no mirror of Debian '${codename}' here (looked in 'apt-get update --print-uris')"
    printf '%s\n' "$uri"
}

# pip_download DIRECTORY ARGUMENTS…: one retry, since a mirror may close the connection once.
pip_download() {
    local into="$1"; shift
    python3 -m pip download --quiet --disable-pip-version-check --no-deps -d "$into" "$@" \
        || { sleep 2; python3 -m pip download --quiet --disable-pip-version-check --no-deps -d "$into" "$@"; }
}
