# shellcheck shell=bash
# build PRESET [LOG]: configures and builds build/PRESET. Sourced by deploy/up, tests/run and .ci/run from the top of
# the checkout. Paths inside the checkout are hidden from ccache, so that clones share what was compiled once.
build() {
    local log=${2:-build/$1.log}
    export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
    mkdir -p build
    if ! cmake --preset "$1" >"$log" 2>&1; then
        tail -20 "$log" >&2
        die "cmake --preset $1 failed (log: $log)"
    fi
    if ! cmake --build --preset "$1" -j "${BUILD_JOBS:-$(nproc)}" >>"$log" 2>&1; then
        grep -E -A8 '^FAILED|error:|undefined reference' "$log" | head -40 >&2
        die "the $1 build failed (log: $log)"
    fi
}
