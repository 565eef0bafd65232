/* A gateway node: made, ticking, stopped; the door for upgrades. Loop thread. */
#include "gateway/server/server.h"

#include "gateway/server/payloads.h"
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/io/co.h"

#include <errno.h>

#define TICK_MS      50
#define STOP_WAIT_MS 1500 /* for clients to take op 7 and answer the close frame */

int gateway_spawn(struct gateway *g, void (*fn)(void *arg), void *arg)
{
    g->running++;
    int r = co_spawn(fn, arg);
    if (r < 0)
        g->running--;
    return r;
}

void gateway_leave(struct gateway *g)
{
    CHECK(g->running > 0);
    g->running--;
}

static void tick(void *arg)
{
    struct gateway *g = arg;
    int64_t now_ms = clock_mono_ms();

    conn_tick(g, now_ms);
    session_tick(g, now_ms);
    topic_tick(g, now_ms);
    standings_tick(g, now_ms);
    node_tick(g, now_ms);
    session_log_tick(g, now_ms);
    recent_tick(g, now_ms);
    adopt_tick(g, now_ms);
    past_tick(g, now_ms);
}

static void gateway_free(struct gateway *g)
{
    gateway_control_stop(g);
    gateway_metrics_stop(g);
    loop_timer_free(g->tick);
    session_log_stop(g); /* the last sessions go with it */
    standings_free(g);
    topics_free(g);
    adopt_stop(g);
    smap_done(&g->sessions);
    encoded_log_done(&g->log);
    mem_free(g->base_id);
    mem_free(g->node_id);
    mem_free(g->public_url);
    mem_free(g->voice_endpoint);
    mem_free(g);
}

int gateway_new(const struct gateway_options *o, struct gateway **ret)
{
    struct gateway *g = MEM_NEW(struct gateway);

    g->options = *o;
    g->ports = o->ports;
    if (!g->options.max_concurrency)
        g->options.max_concurrency = 1;
    if (!g->options.guilds_per_session)
        g->options.guilds_per_session = LIMIT_GUILDS_PER_SESSION;
    g->base_id = mem_strdup(o->node_id);
    g->node_id = mem_strdup(o->node_id);
    g->public_url = mem_strdup(o->public_url);
    g->voice_endpoint = o->voice_endpoint && *o->voice_endpoint ? mem_strdup(o->voice_endpoint) : NULL;
    g->options.node_id = g->options.public_url = NULL; /* the copies count */
    encoded_log_init(&g->log, LIMIT_REPLAY_TOTAL_BYTES);
    list_init(&g->repairs);
    list_init(&g->idle);
    list_init(&g->members_kept);
    list_init(&g->actives);
    g->standings = standings_new();
    list_init(&g->detached);
    list_init(&g->conns);
    flush_start();
    list_init(&g->readers);
    list_init(&g->recents);
    list_init(&g->pasts);
    session_log_start(g);
    int r = node_start(g);
    if (r < 0) {
        gateway_free(g);
        return r;
    }
    gateway_control_start(g);
    gateway_metrics_start(g);
    g->tick = loop_timer_new(tick, g);
    loop_timer_start(g->tick, TICK_MS, TICK_MS);
    *ret = g;
    return 0;
}

bool gateway_ready(const struct gateway *g)
{
    return g->ready;
}

const char *gateway_node_id(const struct gateway *g)
{
    return g->node_id;
}

struct gateway_counts gateway_counts(const struct gateway *g)
{
    return (struct gateway_counts){g->conn_count, (unsigned)g->sessions.count, (unsigned)g->topics.count};
}

/* 0: closed with 4012 once it is open. Version 9 and 10 are the same here. */
static int version_of(struct str v)
{
    uint64_t n;

    if (!v.p)
        return 10;
    return str_to_u64(v, &n) == 0 && (n == 9 || n == 10) ? (int)n : 0;
}

int gateway_upgrade(struct http_request *req, void *arg)
{
    struct gateway *g = arg;
    enum encoder_kind encoder;
    struct str path = req->path;

    if (!str_eq(path, STR("/")) && !str_eq(path, STR("/gateway")) && !str_eq(path, STR("/gateway/")))
        return 404;
    if (!g->ready || g->stopping)
        return 503;
    if (encoder_find(http_request_query(req, "encoding"), http_request_query(req, "compress"), &encoder) < 0)
        return 400;
    return conn_accept(g, req, encoder, version_of(http_request_query(req, "v")));
}

static void conns_abort(struct gateway *g)
{
    LIST_FOREACH_SAFE(it, &g->conns)
    ws_abort(LIST_ENTRY(it, struct conn, item)->ws);
}

static void sessions_end(struct gateway *g)
{
    while (g->sessions.count) {
        size_t cursor = 0;
        struct str id;
        for (struct session *s; (s = smap_next(&g->sessions, &cursor, &id));)
            session_end(s);
    }
}

void gateway_drain(struct gateway *g)
{
    release_all(g);
    node_leave(g);
}

void gateway_abandon(struct gateway *g)
{
    struct str id;

    g->stopping = g->draining = true;
    g->ready = false;
    for (size_t cursor = 0; g->sessions.count; cursor = 0) {
        struct session *s = smap_next(&g->sessions, &cursor, &id);
        s->handed = true;
        session_end(s);
    }
    session_log_stop(g);
    conns_abort(g);
    while (g->conn_count)
        co_sleep(10);
    node_forget(g);
    while (g->running)
        co_sleep(10);
    gateway_free(g);
}

void gateway_stop(struct gateway *g)
{
    release_all(g);
    g->stopping = true;
    int64_t deadline_ms = clock_mono_ms() + STOP_WAIT_MS;
    while (g->conn_count && clock_mono_ms() < deadline_ms)
        co_sleep(10);
    conns_abort(g);
    while (g->conn_count)
        co_sleep(10);
    sessions_end(g);
    standings_stop(g);
    node_stop(g);
    while (g->running)
        co_sleep(10);
    LOG_INFO("node stopped", "id=%s", g->node_id);
    gateway_free(g);
}
