# shellcheck shell=bash
# The Guildhall processes of deploy/up: their names, settings and order. Each has DATA/run/NAME.pid and NAME.log; the
# ports and the signing key are kept in DATA/settings, so that URLs and tokens stay the same. Sourced by up and down.
# shellcheck disable=SC2034
bin=build/release/guildhall
worker=build/release/worker-sdk/examples/ping
data=${GUILDHALL_DATA:-.data}
nodes=(gateway-0 gateway-1 api rest-proxy shard-0 shard-1 worker-0 worker-1)
ready_timeout=60

settings_load() { [ ! -f "$data/settings" ] || . "$data/settings"; }

# setting_keep NAME VALUE: VALUE is made of letters and digits only.
setting_keep() {
    (umask 077 && { grep -v "^$1=" "$data/settings" 2>/dev/null || true; } >"$data/settings.new" &&
        printf '%s=%s\n' "$1" "$2" >>"$data/settings.new")
    mv "$data/settings.new" "$data/settings"
    printf -v "$1" '%s' "$2"
}

# The API likes a port that one can remember; the others take any free one.
port_choose() {
    local chosen=${!1:-}
    [ -n "$chosen" ] || { [ "$1" = API_PORT ] && port_free 18080 && chosen=18080; } || chosen=$(port_pick)
    setting_keep "$1" "$chosen"
}

nodes_configure() {
    local name scheme=http ws=ws
    for name in API_PORT GATEWAY_0_PORT GATEWAY_1_PORT PROXY_PORT SHARD_0_PORT SHARD_1_PORT; do port_choose $name; done
    [ -n "${SECRET:-}" ] || setting_keep SECRET "$(random_text)$(random_text)"
    [ -n "${CONTROL_SECRET:-}" ] || setting_keep CONTROL_SECRET "$(random_text)"
    [ "$TLS" = off ] || scheme=https ws=wss
    # Secrets travel in the environment: a command line is readable for every user of the machine.
    export GUILDHALL_SECRET=$SECRET GUILDHALL_CONTROL_SECRET=$CONTROL_SECRET DATABASE_URL REDIS_URL AMQP_URL
    API_URL=$scheme://127.0.0.1:$API_PORT/api
    PROXY_URL=http://127.0.0.1:$PROXY_PORT/api
    GATEWAY_0_URL=$ws://127.0.0.1:$GATEWAY_0_PORT/gateway
    GATEWAY_1_URL=$ws://127.0.0.1:$GATEWAY_1_PORT/gateway
    export PROXY_URL
}

# For people: ctl.conf is all that `guildhall ctl` needs, bot.env all that a worker needs. DISCORD_TOKEN is set.
nodes_tell() {
    (umask 077 && {
        printf '%s = %s\n' database_url "$DATABASE_URL" redis_url "$REDIS_URL" amqp_url "$AMQP_URL" secret "$SECRET" \
            control_secret "$CONTROL_SECRET" token "$DISCORD_TOKEN" upstream "$API_URL" proxy_url "$PROXY_URL"
        [ "$TLS" = off ] || printf 'upstream_ca = %s\n' "$(realpath -m "$data")/tls/ca.pem"
    } >"$data/ctl.conf")
    (umask 077 && printf '%s=%s\n' DISCORD_TOKEN "$DISCORD_TOKEN" AMQP_URL "$AMQP_URL" REDIS_URL "$REDIS_URL" \
        PROXY_URL "$PROXY_URL" >"$data/bot.env")
}

# node_command NAME: sets `command` and `health`, the base URL of its /readyz (empty: it has none).
node_command() {
    # As many identifies at once as there are shards, so that the demo need not wait 5 s for each.
    local number=${1##*-} server=(--identify-concurrency 4) client=() port=
    if [ "$TLS" = on ]; then
        server+=(--tls-cert "$data/tls/cert.pem" --tls-key "$data/tls/key.pem")
        client=(--upstream-ca "$data/tls/ca.pem")
    fi
    case $1 in
    gateway-*)
        port=GATEWAY_${number}_PORT
        command=("$bin" gateway --listen "127.0.0.1:${!port}" "${server[@]}")
        health=${API_URL%%:*}://127.0.0.1:${!port}
        ;;
    api)
        command=("$bin" api --listen "127.0.0.1:$API_PORT" --objects-dir "$data/objects" "${server[@]}")
        health=${API_URL%/api}
        ;;
    rest-proxy)
        command=("$bin" rest-proxy --listen "127.0.0.1:$PROXY_PORT" --upstream "$API_URL" "${client[@]}")
        health=${PROXY_URL%/api}
        ;;
    shard-*)
        port=SHARD_${number}_PORT
        command=("$bin" shard --admin-listen "127.0.0.1:${!port}" --upstream "$API_URL" "${client[@]}"
            --intents 34311 --shard-count 4 --shards-max 2)
        health=http://127.0.0.1:${!port}
        ;;
    worker-*)
        command=("$worker")
        health=
        ;;
    esac
}

# A program that was built anew since shows as deleted: such a node is started again.
node_is_current() {
    local pid
    pid=$(proc_pid "$data/run/$1.pid") && [[ $(readlink "/proc/$pid/exe") != *"(deleted)" ]]
}

node_start() {
    local command health log="$data/run/$1.log"
    node_is_current "$1" && return 0
    proc_stop "$data/run/$1.pid" TERM 20
    [ ! -f "$log" ] || mv "$log" "$log.1"
    node_command "$1"
    proc_start "$data/run/$1.pid" "$log" "${command[@]}"
}

node_answers() {
    local command health ca=()
    node_command "$1"
    [ "$TLS" = off ] || ca=(--cacert "$data/tls/ca.pem")
    [ -z "$health" ] || curl -sf -m 2 -o /dev/null "${ca[@]}" "$health/readyz"
}

# A worker has no /readyz: it counts as up when it still runs a moment later.
node_await() {
    local end=$((SECONDS + ready_timeout)) log="$data/run/$1.log"
    [[ $1 != worker-* ]] || sleep 0.3
    until node_answers "$1"; do
        proc_pid "$data/run/$1.pid" >/dev/null || break
        [ "$SECONDS" -lt "$end" ] || die "$1 is not ready after $ready_timeout s: $(tail -1 "$log") (log: $log)"
        sleep 0.1
    done
    proc_pid "$data/run/$1.pid" >/dev/null || die "$1 ended at start: $(tail -1 "$log") (log: $log)"
    say "$1 runs, pid $(proc_pid "$data/run/$1.pid")"
}

# Servers first, then what connects to them.
nodes_start() {
    local name
    for name in gateway-0 gateway-1 api; do node_start $name; done
    for name in gateway-0 gateway-1 api; do node_await $name; done
    node_start rest-proxy && node_await rest-proxy
    for name in shard-0 shard-1 worker-0 worker-1; do node_start $name; done
    for name in shard-0 shard-1 worker-0 worker-1; do node_await $name; done
}

# From the end of the picture to its beginning, those of one kind together.
nodes_stop() {
    local kind name
    for kind in worker shard rest-proxy api gateway; do
        for name in "${nodes[@]}"; do
            [[ $name != "$kind"* ]] || proc_stop "$data/run/$name.pid" TERM 20 &
        done
        wait
    done
}
