/* A shard's connection: the payloads, both ways. Loop thread. */
#include "gateway/shard/connection_private.h"

#include "gateway/shard/commands.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/log.h"
#include "platform/base/metrics.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/gateway.h"
#include <stdio.h>
#include <stdlib.h>

#define COMMAND_AGAIN_MS 1000 /* sooner by command_queue_kick, when it is live */

METRIC_DEFINE_BY(metric_started, METRIC_COUNTER, "guildhall_shard_starts_total", "op", "IDENTIFY and RESUME sent");
METRIC_DEFINE(metric_latency, METRIC_HISTOGRAM, "guildhall_shard_heartbeat_seconds", "From heartbeat to its answer");
METRIC_DEFINE_BY(metric_commands, METRIC_COUNTER, "guildhall_shard_commands_total", "op",
                 "Workers' commands written to the gateway");

/* --- sending --- */

static void send_op(struct connection *c, struct buf *b)
{
    if (ws_client_send(c->ws, false, buf_str(b)) != 0)
        connection_reconnect(c, false);
}

static void op_begin(struct buf *b, enum gateway_opcode op)
{
    jw_obj(b);
    jw_ki64(b, "op", op);
}

void connection_beat(struct connection *c)
{
    struct buf BUF_AUTO b = BUF_INIT(256);

    op_begin(&b, GATEWAY_OP_HEARTBEAT);
    if (c->seq)
        jw_ku64(&b, "d", c->seq);
    else
        jw_knull(&b, "d");
    jw_obj_end(&b);
    c->beat_ms = clock_mono_ms();
    c->beats++;
    send_op(c, &b);
}

void connection_on_beat(void *arg)
{
    struct connection *c = arg;

    if (!c->acked && !c->paused) {
        struct ws_client *ws = c->ws;

        LOG_WARN("shard_zombie", "shard=%u", c->o.key.shard);
        connection_reconnect(c, true);
        ws_client_abort(ws); /* nobody answers a goodbye */
        return;
    }
    c->acked = false;
    loop_timer_start(c->beat_timer, c->beat_interval_ms, 0);
    connection_store(c); /* it expires, and there may be no events */
    connection_beat(c);
    connection_presence_keep(c);
}

static void send_resume(struct connection *c)
{
    struct buf BUF_AUTO b = BUF_INIT(4096);

    op_begin(&b, GATEWAY_OP_RESUME);
    jw_kobj(&b, "d");
    jw_kcstr(&b, "token", c->o.upstream->token);
    jw_kcstr(&b, "session_id", c->session.id);
    jw_ku64(&b, "seq", c->seq);
    jw_obj_end(&b);
    jw_obj_end(&b);
    metric_add(metric_with(&metric_started, "op=\"resume\""), 1);
    send_op(c, &b);
}

/* The upstream closes on a longer payload: then the presence comes after READY. */
static void presence_write(struct connection *c, struct buf *b)
{
    c->presence_late = c->presence && b->len + strlen(c->presence) + 32 > LIMIT_SHARD_COMMAND_BYTES;
    if (c->presence && !c->presence_late)
        jw_kraw(b, "presence", str_c(c->presence));
}

void connection_identify(struct connection *c)
{
    struct buf BUF_AUTO b = BUF_INIT(8192);

    op_begin(&b, GATEWAY_OP_IDENTIFY);
    jw_kobj(&b, "d");
    jw_kcstr(&b, "token", c->o.upstream->token);
    jw_ku64(&b, "intents", c->o.intents);
    jw_karr(&b, "shard");
    jw_u64(&b, c->o.key.shard);
    jw_u64(&b, c->o.key.shard_count);
    jw_arr_end(&b);
    jw_ku64(&b, "large_threshold", 250);
    jw_kobj(&b, "properties");
    jw_kcstr(&b, "os", "linux");
    jw_kcstr(&b, "browser", "guildhall");
    jw_kcstr(&b, "device", "guildhall");
    jw_obj_end(&b);
    presence_write(c, &b);
    jw_obj_end(&b);
    jw_obj_end(&b);
    c->seq = 0;
    metric_add(metric_with(&metric_started, "op=\"identify\""), 1);
    send_op(c, &b);
}

int64_t connection_command(struct str payload, bool to_all, void *arg)
{
    struct connection *c = arg;
    int64_t now = clock_mono_ms(), wait_ms = budget_wait_ms(&c->budget, budget_most(c->beat_interval_ms), now);
    char label[16];
    struct envelope e;

    if (c->step != LIVE || c->paused || !c->o.holds(c->o.key.shard, c->o.arg))
        return COMMAND_AGAIN_MS;
    if (wait_ms > 0)
        return wait_ms;
    if (ws_client_send(c->ws, false, payload) != 0)
        return COMMAND_AGAIN_MS;
    budget_note(&c->budget, now);
    if (envelope_scan(payload, &e) == 0) {
        snprintf(label, sizeof(label), "op=\"%d\"", (int)e.op);
        metric_add(metric_with(&metric_commands, label), 1);
        if (e.op == GATEWAY_OP_PRESENCE_UPDATE)
            connection_presence_take(c, e.data, to_all);
    }
    return 0;
}

/* --- receiving --- */

struct ready {
    struct str session_id, url, guilds;
};

static int ready_take(struct str key, struct str value, void *arg)
{
    struct ready *r = arg;

    if (str_eq(key, STR("session_id")))
        json_str_plain(value, &r->session_id);
    else if (str_eq(key, STR("resume_gateway_url")))
        json_str_plain(value, &r->url);
    else if (str_eq(key, STR("guilds")))
        r->guilds = value;
    return 0;
}

static void on_ready(struct connection *c, struct str data)
{
    struct ready r = {0};

    json_members_scan(data, ready_take, &r);
    snprintf(c->session.id, sizeof(c->session.id), "%.*s", STR_ARG(r.session_id));
    snprintf(c->session.url, sizeof(c->session.url), "%.*s", STR_ARG(r.url));
    if (c->generations + 1 < 1u << GENERATION_BITS)
        c->generations++;
    c->session.generation = c->o.epoch << GENERATION_BITS | c->generations;
    pipeline_session(c->pipeline, str_c(c->session.id), c->o.epoch, c->session.generation, 0);
    connection_guilds_begin(c, r.guilds);
    connection_enter(c, LIVE);
    if (c->presence_late)
        connection_presence_send(c);
    c->presence_late = false;
    LOG_INFO("shard_ready", "shard=%u session=%s epoch=%llu", c->o.key.shard, c->session.id,
             (unsigned long long)c->o.epoch);
}

static void on_dispatch(struct connection *c, const struct envelope *e)
{
    if (e->seq <= 0 || (uint64_t)e->seq <= c->seq || e->type.n == 0 || e->type.n > 64)
        return; /* sent again */
    if (str_eq(e->type, STR("READY"))) {
        on_ready(c, e->data);
    } else if (str_eq(e->type, STR("RESUMED"))) {
        connection_enter(c, LIVE);
        LOG_INFO("shard_resumed", "shard=%u session=%s seq=%lld epoch=%llu", c->o.key.shard, c->session.id,
                 (long long)e->seq, (unsigned long long)c->o.epoch);
    }
    if (c->session.id[0] == 0)
        return; /* an upstream that dispatches before READY */
    c->seq = (uint64_t)e->seq;
    connection_guilds_event(c, e->type, e->data);
    pipeline_push(c->pipeline, c->seq, e->type, e->data);
}

static int interval_take(struct str key, struct str value, void *arg)
{
    int64_t ms;

    if (str_eq(key, STR("heartbeat_interval")) && str_to_i64(value, &ms) == 0 && ms > 0)
        *(int64_t *)arg = ms;
    return 0;
}

static void on_hello(struct connection *c, struct str data)
{
    c->beat_interval_ms = 41250;
    json_members_scan(data, interval_take, &c->beat_interval_ms);
    c->acked = true;
    loop_timer_start(c->beat_timer, (int64_t)(drand48() * (double)c->beat_interval_ms), 0);
    if (c->session.id[0]) {
        connection_enter(c, STARTING);
        send_resume(c);
    } else {
        connection_enter(c, PERMIT);
    }
}

static void on_invalid(struct connection *c, struct str data)
{
    bool had_session = c->session.id[0] != 0;

    if (!str_eq(data, STR("true")))
        c->session.id[0] = 0;
    LOG_WARN("session_invalid", "shard=%u resumable=%d", c->o.key.shard, c->session.id[0] != 0);
    if (had_session && !c->session.id[0])
        c->attempts = 0; /* the gateway was reached: how long that took says nothing about the IDENTIFY that follows */
    c->attempts++;
    connection_reconnect(c, false);
}

void connection_payload(struct connection *c, struct str json)
{
    struct envelope e;

    if (envelope_scan(json, &e) != 0) {
        LOG_WARN("payload_invalid", "shard=%u bytes=%zu", c->o.key.shard, json.n);
        connection_reconnect(c, false);
        return;
    }
    switch (e.op) {
    case GATEWAY_OP_DISPATCH:
        on_dispatch(c, &e);
        break;
    case GATEWAY_OP_HEARTBEAT:
        connection_beat(c);
        break;
    case GATEWAY_OP_RECONNECT:
        connection_reconnect(c, true);
        break;
    case GATEWAY_OP_INVALID_SESSION:
        on_invalid(c, e.data);
        break;
    case GATEWAY_OP_HELLO:
        if (c->step == GREETING)
            on_hello(c, e.data);
        break;
    case GATEWAY_OP_HEARTBEAT_ACK:
        c->acked = true;
        c->beats -= c->beats > 0;
        metric_observe_us(&metric_latency, (clock_mono_ms() - c->beat_ms) * 1000);
        break;
    default:
        break;
    }
}
