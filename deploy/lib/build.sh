# shellcheck shell=bash
# build PRESET [TARGET...]: configures and builds build/PRESET; the log is build/PRESET.log. Sourced by deploy/up,
# tests/run and .ci/run from the top of the checkout. Paths inside the checkout are hidden from ccache, so that clones
# share what was compiled once.
build() {
    local preset=$1 log=build/$1.log
    shift
    export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
    mkdir -p build
    if ! cmake --preset "$preset" >"$log" 2>&1; then
        tail -20 "$log" >&2
        die "cmake --preset $preset failed (log: $log)"
    fi
    if ! cmake --build --preset "$preset" -j "${BUILD_JOBS:-$(nproc)}" ${1:+--target "$@"} >>"$log" 2>&1; then
        grep -E -A8 '^FAILED|error:|undefined reference' "$log" | head -40 >&2
        die "the $preset build failed (log: $log)"
    fi
}
