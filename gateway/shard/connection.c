/* A shard's connection. Loop thread. The steps, in their usual order:
 *   loading -> [waiting ->] connecting -> greeting -> [permit ->] starting -> live -> waiting -> ...
 * `down` is the end: the upstream refused for good. */
#include "gateway/shard/connection.h"

#include "gateway/shard/inflate.h"
#include "gateway/shard/pipeline.h"
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/loop.h"
#include "platform/io/ws_client.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/gateway.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CLOSE_KEEP        4900 /* ours: any code but 1000 and 1001 keeps the session */
#define CONNECT_MS        10000
#define GOODBYE_MS        2000
#define GREETING_MS       20000
#define STARTING_MS       60000
#define BACKOFF_FIRST_MS  500
#define BACKOFF_MAX_MS    10000
#define IDENTIFY_WINDOW   5100 /* the documented 5 s and some */
#define STORE_EVERY_MS    50
#define GENERATION_BITS   9 /* sessions that may begin under one lease, so that generations stay exact in Lua */
#define GATEWAY_FRESH_MS  60000
#define SEND_QUEUE_BYTES  (64u << 10)
#define INVALID_WAIT_MIN  1000
#define INVALID_WAIT_SPAN 4000

METRIC_DEFINE(metric_live, METRIC_GAUGE, "guildhall_shard_live", "Shards with a session that runs");
METRIC_DEFINE_BY(metric_started, METRIC_COUNTER, "guildhall_shard_starts_total", "op", "IDENTIFY and RESUME sent");
METRIC_DEFINE_BY(metric_closed, METRIC_COUNTER, "guildhall_shard_closes_total", "code", "Connections ended, by code");
METRIC_DEFINE(metric_latency, METRIC_HISTOGRAM, "guildhall_shard_heartbeat_seconds", "From heartbeat to its answer");

enum step { LOADING, WAITING, CONNECTING, GREETING, PERMIT, STARTING, LIVE, DOWN, STEP_COUNT };

static const char *const step_names[STEP_COUNT] = {"loading", "waiting",  "connecting", "greeting",
                                                   "permit",  "starting", "live",       "down"};

enum close_action { CLOSE_RESUME, CLOSE_IDENTIFY, CLOSE_FATAL };

struct connection {
    struct connection_options o;
    enum step step;
    struct ws_client *ws;
    struct inflate *inflate;
    struct pipeline *pipeline;
    struct shard_session session; /* what a RESUME uses; id empty: IDENTIFY */
    uint64_t seq;                 /* the last one received */
    unsigned generations;         /* sessions begun under this lease */
    unsigned attempts;            /* since the last time it was live */
    bool paused, acked, skip_wait;
    int64_t beat_ms, beat_interval_ms;
    struct loop_timer *step_timer, *beat_timer, *store_timer;
    bool storing, store_again;
    unsigned calls; /* answers of Redis that are awaited */
    void (*left)(unsigned shard, void *arg);
    bool leaving, dropped;
};

static void enter(struct connection *c, enum step step);
static void reconnect(struct connection *c, bool at_once);
static void end_check(struct connection *c);

/* --- the session in Redis --- */

static void store(struct connection *c);

static void on_stored(int error, void *arg)
{
    struct connection *c = arg;

    c->calls--;
    c->storing = false;
    if (error == -ESTALE && !c->dropped)
        LOG_WARN("session_stale", "shard=%u epoch=%llu", c->o.key.shard, (unsigned long long)c->o.epoch);
    if (error == -EHOSTDOWN)
        c->store_again = true;
    if (c->store_again && !c->dropped)
        loop_timer_start(c->store_timer, STORE_EVERY_MS, 0);
    end_check(c);
}

/* What a successor may RESUME from: the session of the last confirmed event, up to that event. */
static void store(struct connection *c)
{
    struct str id = pipeline_session_id(c->pipeline);

    c->store_again = c->storing;
    if (c->storing || id.n == 0 || id.n >= sizeof(c->session.id))
        return;
    /* The url belongs to the current session; an older one's events are the last of a session that is over anyway. */
    struct shard_session s = c->session;
    snprintf(s.id, sizeof(s.id), "%.*s", STR_ARG(id));
    s.epoch = c->o.epoch;
    s.seq = pipeline_confirmed(c->pipeline);
    c->storing = true;
    c->calls++;
    session_store(&c->o.key, &s, on_stored, c);
}

static void on_store_timer(void *arg)
{
    struct connection *c = arg;

    if (!c->dropped)
        store(c);
}

static void on_confirmed(void *arg)
{
    struct connection *c = arg;

    if (c->leaving && pipeline_is_empty(c->pipeline))
        store(c);
    else if (!c->storing)
        loop_timer_start(c->store_timer, STORE_EVERY_MS, 0);
    else
        c->store_again = true;
}

/* --- the end of a connection's life --- */

static void connection_free(void *arg)
{
    struct connection *c = arg;

    loop_timer_free(c->step_timer);
    loop_timer_free(c->beat_timer);
    loop_timer_free(c->store_timer);
    inflate_free(c->inflate);
    mem_free(c);
}

/* Frees it once nothing calls back any more. */
static void end_check(struct connection *c)
{
    if (c->leaving && !c->dropped && !c->ws && !c->storing && !c->store_again && pipeline_is_empty(c->pipeline)) {
        void (*left)(unsigned, void *) = c->left;

        c->left = NULL;
        connection_drop(c);
        left(c->o.key.shard, c->o.arg);
        return;
    }
    if (c->dropped && !c->ws && c->calls == 0)
        loop_post(connection_free, c);
}

static void on_leave_timeout(void *arg)
{
    struct connection *c = arg;
    void (*left)(unsigned, void *) = c->left;
    unsigned shard = c->o.key.shard;
    void *left_arg = c->o.arg;

    LOG_WARN("shard_left_late", "shard=%u confirmed=%llu", shard, (unsigned long long)pipeline_confirmed(c->pipeline));
    c->left = NULL;
    connection_drop(c);
    left(shard, left_arg);
}

static void set_live(struct connection *c, bool live)
{
    if (live != (c->step == LIVE))
        metric_add(&metric_live, live ? 1 : -1);
}

void connection_drop(struct connection *c)
{
    if (c->dropped)
        return;
    c->dropped = true;
    if (c->step == LIVE)
        metric_add(&metric_live, -1);
    c->step = DOWN;
    loop_timer_stop(c->step_timer);
    loop_timer_stop(c->beat_timer);
    loop_timer_stop(c->store_timer);
    pipeline_free(c->pipeline);
    c->pipeline = NULL;
    /* on_close checks for the end, at once where the socket was not open yet. */
    if (c->ws)
        ws_client_close(c->ws, CLOSE_KEEP, "moving");
    else
        end_check(c);
}

void connection_leave(struct connection *c, int64_t timeout_ms, void (*left)(unsigned shard, void *arg))
{
    c->leaving = true;
    c->left = left;
    if (c->step == LIVE)
        metric_add(&metric_live, -1);
    c->step = WAITING; /* nothing is begun any more */
    loop_timer_stop(c->beat_timer);
    loop_timer_free(c->step_timer);
    c->step_timer = loop_timer_new(on_leave_timeout, c);
    loop_timer_start(c->step_timer, timeout_ms, 0);
    store(c);
    /* on_close checks for the end, at once where the socket was not open yet. */
    if (c->ws)
        ws_client_close(c->ws, CLOSE_KEEP, "moving");
    else
        end_check(c);
}

/* --- sending --- */

static void send_op(struct connection *c, struct buf *b)
{
    if (ws_client_send(c->ws, false, buf_str(b)) != 0)
        reconnect(c, false);
}

static void op_begin(struct buf *b, enum gateway_opcode op)
{
    jw_obj(b);
    jw_ki64(b, "op", op);
}

static void beat(struct connection *c)
{
    struct buf BUF_AUTO b = BUF_INIT(256);

    op_begin(&b, GATEWAY_OP_HEARTBEAT);
    if (c->seq)
        jw_ku64(&b, "d", c->seq);
    else
        jw_knull(&b, "d");
    jw_obj_end(&b);
    c->beat_ms = clock_mono_ms();
    send_op(c, &b);
}

static void on_beat(void *arg)
{
    struct connection *c = arg;

    if (!c->acked && !c->paused) {
        struct ws_client *ws = c->ws;

        LOG_WARN("shard_zombie", "shard=%u", c->o.key.shard);
        reconnect(c, true);
        ws_client_abort(ws); /* nobody answers a goodbye */
        return;
    }
    c->acked = false;
    loop_timer_start(c->beat_timer, c->beat_interval_ms, 0);
    beat(c);
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

static void send_identify(struct connection *c)
{
    struct buf BUF_AUTO b = BUF_INIT(4096);

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
    jw_obj_end(&b);
    jw_obj_end(&b);
    c->seq = 0;
    c->o.upstream->starts_remaining--;
    metric_add(metric_with(&metric_started, "op=\"identify\""), 1);
    send_op(c, &b);
}

/* --- receiving --- */

struct ready {
    struct str session_id, url;
};

static int ready_take(struct str key, struct str value, void *arg)
{
    struct ready *r = arg;

    if (str_eq(key, STR("session_id")))
        json_str_plain(value, &r->session_id);
    else if (str_eq(key, STR("resume_gateway_url")))
        json_str_plain(value, &r->url);
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
    enter(c, LIVE);
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
        enter(c, LIVE);
        LOG_INFO("shard_resumed", "shard=%u session=%s seq=%lld epoch=%llu", c->o.key.shard, c->session.id,
                 (long long)e->seq, (unsigned long long)c->o.epoch);
    }
    if (c->session.id[0] == 0)
        return; /* an upstream that dispatches before READY */
    c->seq = (uint64_t)e->seq;
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
        enter(c, STARTING);
        send_resume(c);
    } else {
        enter(c, PERMIT);
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
    reconnect(c, false);
}

static void on_payload(struct connection *c, struct str json)
{
    struct envelope e;

    if (envelope_scan(json, &e) != 0) {
        LOG_WARN("payload_invalid", "shard=%u bytes=%zu", c->o.key.shard, json.n);
        reconnect(c, false);
        return;
    }
    switch (e.op) {
    case GATEWAY_OP_DISPATCH:
        on_dispatch(c, &e);
        break;
    case GATEWAY_OP_HEARTBEAT:
        beat(c);
        break;
    case GATEWAY_OP_RECONNECT:
        reconnect(c, true);
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
        metric_observe_us(&metric_latency, (clock_mono_ms() - c->beat_ms) * 1000);
        break;
    default:
        break;
    }
}

static bool is_over(const struct connection *c)
{
    return c->dropped || c->leaving || c->step == WAITING || c->step == DOWN;
}

static void on_message(struct ws_client *ws, struct str data, bool binary, void *arg)
{
    struct connection *c = arg;
    struct str json = data;

    if (ws != c->ws || is_over(c))
        return;
    if (binary) {
        int r = inflate_feed(c->inflate, data, &json);
        if (r < 0) {
            LOG_WARN("stream_invalid", "shard=%u error=%d", c->o.key.shard, r);
            reconnect(c, false);
        }
        if (r <= 0)
            return;
    }
    on_payload(c, json);
}

static void on_open(struct ws_client *ws, void *arg)
{
    struct connection *c = arg;

    if (ws == c->ws && !is_over(c))
        enter(c, GREETING);
}

static enum close_action action_of(int code)
{
    static const struct {
        int code;
        enum close_action action;
    } table[] = {
#define CLOSE(code, action) {code, CLOSE_##action},
#include "gateway/shard/close.def"
#undef CLOSE
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].code == code)
            return table[i].action;
    return CLOSE_RESUME;
}

static void on_close(struct ws_client *ws, int code, const char *reason, void *arg)
{
    struct connection *c = arg;
    char label[32];

    CHECK(ws == c->ws);
    c->ws = NULL;
    loop_timer_stop(c->beat_timer);
    snprintf(label, sizeof(label), "code=\"%d\"", code);
    metric_add(metric_with(&metric_closed, label), 1);
    if (c->dropped || c->leaving) {
        end_check(c);
        return;
    }
    if (c->step == WAITING) { /* we closed it: go on */
        enter(c, WAITING);
        return;
    }
    enum close_action action = action_of(code);
    LOG_WARN("shard_closed", "shard=%u step=%s code=%d reason=\"%s\"", c->o.key.shard, step_names[c->step], code,
             reason ? reason : "");
    if (action == CLOSE_IDENTIFY)
        c->session.id[0] = 0;
    if (action == CLOSE_FATAL) {
        LOG_ERROR("shard_refused",
                  "shard=%u code=%d reason=\"%s\" hint=\"the upstream will refuse again: check token, "
                  "intents and shard count\"",
                  c->o.key.shard, code, reason ? reason : "");
        enter(c, DOWN);
        return;
    }
    c->skip_wait = c->step == LIVE; /* the first time at once */
    enter(c, WAITING);
}

/* --- steps --- */

/* Closes what is open, keeping the session; on_close goes on. */
static void reconnect(struct connection *c, bool at_once)
{
    if (is_over(c))
        return;
    set_live(c, false);
    c->skip_wait = at_once;
    c->step = WAITING;
    loop_timer_stop(c->beat_timer);
    loop_timer_stop(c->step_timer);
    if (c->ws) {
        ws_client_close(c->ws, CLOSE_KEEP, "reconnecting");
        loop_timer_start(c->step_timer, GOODBYE_MS, 0);
    } else {
        enter(c, WAITING);
    }
}

/* Half of it is left to chance, so that shards which lost the same node do not come back in step. The bound is short:
 * a dead node's address is given out for as long as its lease lasts, and the shard is deaf meanwhile. */
static int64_t backoff_ms(const struct connection *c)
{
    int64_t most = BACKOFF_FIRST_MS << (c->attempts < 6 ? c->attempts : 6);

    if (most > BACKOFF_MAX_MS)
        most = BACKOFF_MAX_MS;
    int64_t wait = most / 2 + (int64_t)(drand48() * (double)most / 2);
    if (!c->session.id[0] && wait < INVALID_WAIT_MIN)
        wait = INVALID_WAIT_MIN + (int64_t)(drand48() * INVALID_WAIT_SPAN); /* documented after an invalid session */
    return wait;
}

static void enter_waiting(struct connection *c)
{
    if (c->attempts > 0)
        c->o.stale(c->o.arg); /* perhaps the gateway has moved */
    loop_timer_start(c->step_timer, c->skip_wait ? 0 : backoff_ms(c), 0);
    c->attempts++;
    c->skip_wait = false;
}

/* The session's own address first; where that does not answer, the gateway's. */
static void url_write(const struct connection *c, struct buf *b)
{
    bool own = c->session.id[0] && c->session.url[0] && c->attempts % 2 == 1;
    const char *url = own ? c->session.url : c->o.upstream->gateway_url;
    const char *host = strstr(url, "://");

    buf_adds(b, url);
    if (!host || !strchr(host + 3, '/'))
        buf_addc(b, '/');
    buf_adds(b, "?v=10&encoding=json");
    if (c->o.compress)
        buf_adds(b, "&compress=zlib-stream");
}

static void enter_connecting(struct connection *c)
{
    struct buf BUF_AUTO url = BUF_INIT(1024), err = BUF_INIT(512);

    url_write(c, &url);
    inflate_free(c->inflate);
    c->inflate = inflate_new(LIMIT_WS_CLIENT_PAYLOAD_BYTES);
    struct ws_client_options o = {
        .url = url.data,
        .ca_file = c->o.ca_file,
        .cb = {on_open, on_message, on_close},
        .arg = c,
        .payload_max = LIMIT_WS_CLIENT_PAYLOAD_BYTES,
        .queue_bytes_max = SEND_QUEUE_BYTES,
        .connect_timeout_ms = CONNECT_MS,
    };
    c->paused = false;
    c->ws = ws_client_connect(&o, &err);
    if (!c->ws) {
        LOG_ERROR("gateway_url_invalid", "shard=%u error=\"%s\"", c->o.key.shard, err.data);
        enter(c, WAITING);
    }
}

static void on_permit(int64_t wait_ms, void *arg)
{
    struct connection *c = arg;

    c->calls--;
    if (c->dropped || c->leaving) {
        end_check(c);
        return;
    }
    if (c->step != PERMIT)
        return; /* closed meanwhile; the permit is wasted */
    if (wait_ms == 0) {
        enter(c, STARTING);
        send_identify(c);
    } else {
        loop_timer_start(c->step_timer, wait_ms > 0 ? wait_ms : 1000, 0);
    }
}

/* Asks for the permit to IDENTIFY, or waits where the day's are used up. */
static void enter_permit(struct connection *c)
{
    struct upstream *u = c->o.upstream;
    int64_t now = clock_mono_ms();

    if (u->starts_remaining <= 0 && now < u->starts_reset_ms) {
        LOG_ERROR("session_starts_used_up", "shard=%u reset_after_ms=%lld", c->o.key.shard,
                  (long long)(u->starts_reset_ms - now));
        c->o.stale(c->o.arg);
        loop_timer_start(c->step_timer, GATEWAY_FRESH_MS, 0);
        return;
    }
    c->calls++;
    identify_permit(&c->o.key, c->o.key.shard % u->max_concurrency, IDENTIFY_WINDOW, on_permit, c);
}

static void on_loaded(int error, const struct shard_session *s, void *arg)
{
    struct connection *c = arg;

    c->calls--;
    if (c->dropped || c->leaving) {
        end_check(c);
        return;
    }
    if (error) {
        loop_timer_start(c->step_timer, BACKOFF_FIRST_MS, 0);
        return;
    }
    c->session = *s;
    c->seq = s->seq;
    if (s->id[0]) {
        pipeline_session(c->pipeline, str_c(s->id), c->o.epoch, s->generation, s->seq);
        store(c); /* under our epoch: what the former holder still writes is refused from here on */
    }
    c->attempts = 1;
    enter(c, CONNECTING);
}

static void enter_loading(struct connection *c)
{
    c->calls++;
    session_load(&c->o.key, on_loaded, c);
}

static void on_step_timer(void *arg)
{
    struct connection *c = arg;

    switch (c->step) {
    case LOADING:
        enter_loading(c);
        break;
    case WAITING:
        if (c->ws)
            ws_client_abort(c->ws); /* no answer to our goodbye; on_close goes on */
        else if (pipeline_is_paused(c->pipeline))
            loop_timer_start(c->step_timer, BACKOFF_FIRST_MS, 0);
        else
            enter(c, CONNECTING);
        break;
    case PERMIT:
        enter_permit(c);
        break;
    case GREETING:
    case STARTING:
        LOG_WARN("shard_silent", "shard=%u step=%s", c->o.key.shard, step_names[c->step]);
        reconnect(c, false);
        break;
    case CONNECTING:
    case LIVE:
    case DOWN:
    case STEP_COUNT:
        break;
    }
}

static void enter(struct connection *c, enum step step)
{
    LOG_DEBUG("shard_step", "shard=%u from=%s to=%s attempts=%u", c->o.key.shard, step_names[c->step], step_names[step],
              c->attempts);
    set_live(c, step == LIVE);
    c->step = step;
    loop_timer_stop(c->step_timer);
    switch (step) {
    case LOADING:
        enter_loading(c);
        break;
    case WAITING:
        enter_waiting(c);
        break;
    case CONNECTING:
        enter_connecting(c);
        break;
    case GREETING:
        loop_timer_start(c->step_timer, GREETING_MS, 0);
        break;
    case PERMIT:
        enter_permit(c);
        break;
    case STARTING:
        loop_timer_start(c->step_timer, STARTING_MS, 0);
        break;
    case LIVE:
        c->attempts = 0;
        break;
    case DOWN:
    case STEP_COUNT:
        break;
    }
}

/* --- the pipeline's questions --- */

static bool may_publish(void *arg)
{
    struct connection *c = arg;

    return c->o.holds(c->o.key.shard, c->o.arg);
}

static void on_pause(bool paused, void *arg)
{
    struct connection *c = arg;

    if (paused != c->paused)
        LOG_INFO(paused ? "shard_paused" : "shard_goes_on", "shard=%u", c->o.key.shard);
    c->paused = paused;
    c->acked = true; /* the answer may wait in the socket */
    if (c->ws)
        ws_client_pause(c->ws, paused);
}

static void on_fenced(void *arg)
{
    struct connection *c = arg;

    LOG_WARN("shard_fenced", "shard=%u epoch=%llu", c->o.key.shard, (unsigned long long)c->o.epoch);
}

/* --- the public side --- */

struct connection *connection_new(const struct connection_options *o)
{
    struct connection *c = MEM_NEW(struct connection);
    struct pipeline_options po = {.cache = o->cache,
                                  .publisher = o->publisher,
                                  .application = o->key.application,
                                  .shard = o->key.shard,
                                  .shard_count = o->key.shard_count,
                                  .may_publish = may_publish,
                                  .confirmed = on_confirmed,
                                  .pause = on_pause,
                                  .fenced = on_fenced,
                                  .arg = c};

    c->o = *o;
    c->pipeline = pipeline_new(&po);
    c->step_timer = loop_timer_new(on_step_timer, c);
    c->beat_timer = loop_timer_new(on_beat, c);
    c->store_timer = loop_timer_new(on_store_timer, c);
    enter(c, LOADING);
    return c;
}

bool connection_is_live(const struct connection *c)
{
    return c->step == LIVE;
}

bool connection_is_down(const struct connection *c)
{
    return c->step == DOWN;
}

const char *connection_step(const struct connection *c)
{
    return step_names[c->step];
}

void connection_kick(struct connection *c)
{
    if (c->pipeline)
        pipeline_kick(c->pipeline);
}
