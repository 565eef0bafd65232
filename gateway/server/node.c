/* The node in kv and on the bus: its lease, its queue, and that its interest is what it follows. kv may restart empty
 * and the broker may lose the queue: then every topic's number is asked for, and what is missing is repaired. A lease
 * that lapsed (the process was stopped for long) means that others took the node for dead: it begins anew under another
 * id, and its sessions must identify again. Loop thread, coroutines. */
#include "gateway/server/server.h"

#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"
#include "platform/ports/kv.h"
#include "platform/protocol/json_text.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#define RENEWALS_A_LEASE  3
#define START_RETRY_MS    250
#define STALL_MS          1000 /* the process did not run for so long */
#define VERIFY_BATCH      256
#define INTEREST_RENEW_MS 3600000 /* kv forgets what is silent for 30 days */
#define STOP_WAIT_MS      1000

METRIC_DEFINE(lapses, METRIC_COUNTER, "guildhall_gateway_lease_lapses_total", "Times the node had to take a new id");
METRIC_DEFINE(foreign, METRIC_COUNTER, "guildhall_gateway_foreign_events_total",
              "Events of topics that this node does not follow (any more)");

/* --- events in -------------------------------------------------------------------------------------------------------
 */
static void token_revoked(struct gateway *g, const struct event *e)
{
    uint64_t user_id = json_member_id(e->data, STR("user_id")), version;

    if (!user_id || json_u64(json_member(e->data, STR("version")), &version) < 0)
        return;
    token_registry_revoke(g->options.tokens, user_id, version);
    struct topic *t = map_get(&g->topics, user_id);
    while (t && t->is_user && t->sub_count) {
        struct session *s = t->subs[t->sub_count - 1]->session;
        struct conn *c = s->conn;
        session_end(s);
        if (c)
            conn_close(c, GATEWAY_CLOSE_AUTHENTICATION_FAILED);
    }
}

static void on_delivery(const struct bus_delivery *d, void *arg)
{
    struct gateway *g = arg;

    if (d->event->type == EVENT_CONTROL_TOKEN_REVOKED) {
        token_revoked(g, d->event);
        if (d->tag)
            bus_ack(g->ports->bus, d->tag, d->epoch);
        return;
    }
    if (d->event->type == EVENT_CONTROL_SESSION_RELEASE) {
        release_asked(g, d->event);
        if (d->tag)
            bus_ack(g->ports->bus, d->tag, d->epoch);
        return;
    }
    struct topic *t = map_get(&g->topics, d->event->topic);
    if (t && t->is_user == d->event->topic_is_user) {
        topic_deliver(t, d);
        return;
    }
    metric_add(&foreign, 1);
    if (d->tag)
        bus_ack(g->ports->bus, d->tag, d->epoch);
}

/* --- lease -----------------------------------------------------------------------------------------------------------
 */
static int renew(struct gateway *g, bool first)
{
    return kv_node_renew(g->ports->kv, g->node_id, g->public_url, LIMIT_NODE_LEASE_MS, first);
}

static void new_id(struct gateway *g)
{
    uint32_t random;
    char id[128];

    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint32_t)clock_mono_ns();
    snprintf(id, sizeof id, "%.100s-%08x", g->base_id, random);
    mem_free(g->node_id);
    g->node_id = mem_strdup(id);
}

static void sessions_end_all(struct gateway *g)
{
    while (g->sessions.count) {
        size_t cursor = 0;
        struct str id;
        for (struct session *s; (s = smap_next(&g->sessions, &cursor, &id));)
            session_invalidate(s);
    }
}

/* Others stopped publishing to the old id: whatever came since is lost to its sessions. */
static void lapsed(struct gateway *g)
{
    LOG_WARN("node lease lapsed", "node=%s sessions=%zu", g->node_id, g->sessions.count);
    metric_add(&lapses, 1);
    g->ready = false;
    sessions_end_all(g);
    topic_forget_all(g);
    bus_unsubscribe(g->ports->bus, g->node_id);
    new_id(g);
    int64_t wait_ms = START_RETRY_MS;
    while (!g->stopping && (renew(g, true) < 0 || bus_subscribe(g->ports->bus, g->node_id, on_delivery, g) < 0))
        co_sleep(wait_ms);
    LOG_INFO("node", "id=%s url=%s", g->node_id, g->public_url);
    g->ready = !g->stopping;
}

/* True: this process did not run while its lease ended, so others took it for dead. In a Redis that began anew nothing
 * would say so, and two nodes would go on with the same sessions. */
static bool wait_asleep(const struct gateway *g, int64_t renewed_ms)
{
    int64_t end_ms = clock_mono_ms() + LIMIT_NODE_LEASE_MS / RENEWALS_A_LEASE;

    while (clock_mono_ms() < end_ms && !g->stopping) {
        int64_t before_ms = clock_mono_ms();
        co_sleep(100);
        if (clock_mono_ms() - before_ms > STALL_MS && clock_mono_ms() - renewed_ms > LIMIT_NODE_LEASE_MS)
            return before_ms - renewed_ms < LIMIT_NODE_LEASE_MS;
    }
    return false;
}

static void lease_run(void *arg)
{
    struct gateway *g = arg;
    int64_t renewed_ms = clock_mono_ms();

    while (!g->stopping) {
        bool slept = wait_asleep(g, renewed_ms);
        if (g->stopping || g->draining)
            continue;
        int64_t now_ms = clock_mono_ms();
        int r = slept ? -EOWNERDEAD : renew(g, false);
        if (r == -EOWNERDEAD)
            lapsed(g);
        if (r == 0 || r == -EOWNERDEAD)
            renewed_ms = r ? clock_mono_ms() : now_ms;
    }
    gateway_leave(g);
}

/* --- verifying -------------------------------------------------------------------------------------------------------
 */
static unsigned live_topics(const struct gateway *g, uint64_t *ids)
{
    unsigned count = 0;
    size_t cursor = 0;

    for (struct topic *t; (t = map_next(&g->topics, &cursor));)
        if (t->state == TOPIC_LIVE && !t->stale)
            ids[count++] = t->id;
    return count;
}

static void verify_one(struct gateway *g, uint64_t id, uint64_t incarnation, uint64_t last)
{
    struct topic *t = map_get(&g->topics, id);

    if (!t || t->state != TOPIC_LIVE || t->stale)
        return;
    if (t->incarnation != incarnation || last > t->numbers.last)
        topic_miss(t, t->incarnation == incarnation ? last : 0);
}

/* Registers the interest in all topics again, and finds those that are behind. False: kv is away, or new again. */
static bool verify_all(struct gateway *g)
{
    uint64_t incarnation = g->incarnation;
    uint64_t *ids = mem_alloc(sizeof *ids * (g->topics.count + 1)), numbers[VERIFY_BATCH];
    unsigned count = live_topics(g, ids);
    bool good = true;

    for (unsigned i = 0; i < count && good && !g->stopping; i += VERIFY_BATCH) {
        unsigned n = count - i < VERIFY_BATCH ? count - i : VERIFY_BATCH;
        good = kv_interest_add(g->ports->kv, g->node_id, ids + i, n, numbers) == 0 && incarnation == g->incarnation;
        for (unsigned k = 0; good && k < n; k++)
            verify_one(g, ids[i + k], incarnation, numbers[k]);
    }
    mem_free(ids);
    return good;
}

static void verify_run(void *arg)
{
    struct gateway *g = arg;

    while (g->verify_wanted && !g->stopping) {
        g->verify_wanted = false;
        (void)renew(g, false); /* the lease loop deals with what this says */
        if (!verify_all(g)) {
            g->verify_wanted = true;
            co_sleep(START_RETRY_MS);
        }
    }
    g->interest_renewed_ms = clock_mono_ms();
    g->verifying = false;
    gateway_leave(g);
}

static void verify(struct gateway *g)
{
    g->verify_wanted = true;
    if (g->verifying || g->stopping)
        return;
    g->verifying = true;
    if (gateway_spawn(g, verify_run, g) < 0)
        g->verifying = false;
}

static void on_incarnation(bool changed, void *arg)
{
    struct gateway *g = arg;

    if (changed) {
        g->incarnation++;
        standings_incarnation(g);
        session_log_again(g);
    }
    verify(g);
}

/* --- life ------------------------------------------------------------------------------------------------------------
 */
int node_start(struct gateway *g)
{
    kv_on_incarnation(g->ports->kv, on_incarnation, g);
    for (int r; (r = renew(g, true)) < 0;) {
        LOG_WARN("node not registered", "node=%s error=%d", g->node_id, -r);
        co_sleep(START_RETRY_MS);
    }
    int r = bus_subscribe(g->ports->bus, g->node_id, on_delivery, g);
    if (r < 0)
        return r;
    while (!bus_ready(g->ports->bus))
        co_sleep(20);
    g->bus_was_ready = true;
    g->interest_renewed_ms = clock_mono_ms();
    g->ready = true;
    LOG_INFO("node", "id=%s url=%s", g->node_id, g->public_url);
    return gateway_spawn(g, lease_run, g);
}

/* Removing the node is enough: publishers leave dead nodes out, and kv forgets their interest. */
void node_stop(struct gateway *g)
{
    node_leave(g);
    node_forget(g);
}

/* No more connections are sent here; the lease is not renewed any more either. */
void node_leave(struct gateway *g)
{
    (void)kv_node_remove(g->ports->kv, g->node_id);
}

void node_forget(struct gateway *g)
{
    kv_on_incarnation(g->ports->kv, NULL, NULL);
    bus_unsubscribe(g->ports->bus, g->node_id);
}

/* A queue that was away for long may have been deleted with what was in it; the numbers tell. */
void node_tick(struct gateway *g, int64_t now_ms)
{
    bool bus_is_ready = bus_ready(g->ports->bus);

    if (!g->ready)
        return;
    if ((bus_is_ready && !g->bus_was_ready) || now_ms - g->interest_renewed_ms > INTEREST_RENEW_MS || g->verify_wanted)
        verify(g);
    g->bus_was_ready = bus_is_ready;
}
