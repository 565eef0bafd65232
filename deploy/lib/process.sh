# shellcheck shell=bash
# Starting and stopping processes by exact identity. A pid file holds "PID STARTTIME": the start time (clock ticks
# since boot, proc(5) field 22) keeps a recycled pid from being taken for ours. Sourced by the scripts of deploy/.

say() { printf '%s\n' "$*" >&2; }
die() {
    say "${0##*/}: $*"
    exit 1
}

# Whoever calls a script may leave descriptors of its own open in it (a test's sockets): a server that inherited one
# would keep the peer waiting for the end. 255 is where bash reads the script itself.
for fd in /proc/self/fd/*; do
    fd=${fd##*/}
    [ "$fd" -le 2 ] || [ "$fd" = 255 ] || eval "exec $fd>&-"
done
unset fd

# proc_start_time PID: prints the start time, fails when there is no such process or it is a zombie.
proc_start_time() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    # The command name may contain blanks and parentheses: cut after the last one.
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- $stat
    [ "$1" != Z ] && [ "$1" != X ] || return 1
    printf '%s\n' "${20}"
}

# proc_pid PIDFILE: prints the pid when exactly that process still runs.
proc_pid() {
    local pid started now
    { read -r pid started <"$1"; } 2>/dev/null || return 1
    now=$(proc_start_time "$pid") || return 1
    [ "$now" = "$started" ] || return 1
    printf '%s\n' "$pid"
}

# proc_start PIDFILE LOG COMMAND...: starts it detached (own session, no input), writes the pid file.
# Descriptor 9 is where the scripts hold their lock: the child must not keep it.
proc_start() {
    local pidfile=$1 log=$2 pid started
    shift 2
    setsid "$@" >>"$log" 2>&1 </dev/null 9>&- &
    pid=$!
    disown
    # A process that ends at once has no start time; the caller's readiness check reports it.
    started=$(proc_start_time "$pid") || started=0
    printf '%s %s\n' "$pid" "$started" >"$pidfile"
}

# proc_wait_gone PID SECONDS
proc_wait_gone() {
    local end=$((SECONDS + $2)) started
    started=$(proc_start_time "$1") || return 0
    while [ "$(proc_start_time "$1")" = "$started" ]; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}

# proc_stop PIDFILE SIGNAL SECONDS: SIGNAL, wait, SIGKILL; removes the pid file. Nothing to do: success.
proc_stop() {
    local pid
    if pid=$(proc_pid "$1"); then
        kill -s "$2" "$pid" 2>/dev/null || true
        if ! proc_wait_gone "$pid" "$3"; then
            say "pid $pid did not stop in $3 s: killed"
            kill -s KILL "$pid" 2>/dev/null || true
            proc_wait_gone "$pid" 10 || true
        fi
    fi
    rm -f "$1"
}

# port_free PORT: nobody listens on 127.0.0.1:PORT.
port_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# port_pick: prints a free port below the kernel's ephemeral range, where no outgoing connection can take it.
# The claim file keeps scripts that run at the same moment from choosing the same one.
port_pick() {
    local port claims="${TMPDIR:-/tmp}/guildhall-ports.$UID"
    mkdir -p "$claims"
    find "$claims" -type f -mmin +2 -delete 2>/dev/null || true
    for _ in {1..200}; do
        port=$((15000 + (RANDOM * 32768 + RANDOM) % 17000))
        port_free "$port" && (set -o noclobber && : >"$claims/$port") 2>/dev/null && {
            printf '%s\n' "$port"
            return 0
        }
    done
    return 1
}

# random_text: 32 hexadecimal characters
random_text() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
