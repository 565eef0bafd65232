/* Letting go of sessions: one that another node asks for, or all of them when this one is drained. What a session was
 * sent and may not have received goes into the log (a bot's is there already), its record says "released", and from
 * that step on nothing is dispatched to it here. Coroutines. Limits: LIMIT_RELEASE_WAIT_MS, LIMIT_DRAIN_COPIES. */
#include "gateway/server/server.h"

#include "gateway/server/members_open.h"
#include "gateway/server/session_record.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"
#include "platform/ports/kv.h"
#include "platform/protocol/json_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define STEP_MS        10
#define ANSWER_MS      10000
#define RECORDS_A_CALL 256

METRIC_DEFINE(released, METRIC_COUNTER, "guildhall_gateway_sessions_released_total", "Sessions left to other nodes");

/* --- one session -----------------------------------------------------------------------------------------------------
 */
struct parting {
    struct session *session;
    struct arena arena;
    struct session_record record;
    struct str requests; /* op 8 under way */
};

static bool is_loading(const struct session *s)
{
    return s->starting || s->load_count || s->loaders;
}

/* Its numbers mean something to others, and its guilds have been announced. */
static bool can_part(const struct session *s)
{
    if (s->ended || s->handed || is_loading(s) || list_empty(&s->subs))
        return false;
    LIST_FOREACH(it, &s->subs)
    {
        const struct topic *t = LIST_ENTRY(it, struct sub, item)->topic;
        if (t->incarnation != s->g->incarnation || t->stale || t->state != TOPIC_LIVE)
            return false;
    }
    return true;
}

/* In one step: where it is, and that it goes no further here. */
static void part_begin(struct parting *p, struct session *s)
{
    struct topic *own = map_get(&s->g->topics, s->user_id);

    p->session = session_ref(s);
    session_record_fill(&p->record, s, 0, &p->arena);
    p->record.released = true;
    p->requests = members_open_texts(s, &p->arena, true);
    s->handed = true;
    while (!list_empty(&s->subs)) {
        struct sub *sub = LIST_ENTRY(s->subs.next, struct sub, item);
        session_log_seen(sub->topic);
        topic_sub_remove(sub);
    }
    if (own)
        session_log_topic_once(own);
}

static void part_end(struct parting *p)
{
    session_end(p->session);
    session_unref(p->session);
    arena_done(&p->arena);
}

static struct kv_session part_record(struct parting *p, uint64_t entry)
{
    BUF_AUTO struct buf json = {0};

    p->record.entry = entry;
    session_record_write(&p->record, &json);
    return (struct kv_session){p->session->id, session_log_owner(p->session->g), arena_str(&p->arena, buf_str(&json))};
}

static void copy_ring(struct session *s)
{
    for (unsigned i = 0; i < s->replay.count && !s->logged; i++) {
        enum redaction redaction;
        struct encoded *e = replay_at(&s->replay, i, &redaction);
        session_log_copy(s, s->seq - s->replay.count + 1 + i, e, redaction);
    }
}

static int release_one(struct session *s)
{
    struct gateway *g = s->g;
    struct parting p = {0};
    int64_t deadline_ms = clock_mono_ms() + LIMIT_RELEASE_WAIT_MS / 2;
    bool lost = false;

    session_ref(s);
    while (!s->ended && is_loading(s) && clock_mono_ms() < deadline_ms)
        co_sleep(STEP_MS);
    bool can = can_part(s);
    if (can && s->conn) /* its client is elsewhere */
        conn_close(s->conn, GATEWAY_CLOSE_UNKNOWN_ERROR);
    session_unref(s);
    if (!can || s->ended)
        return -ENOENT;
    part_begin(&p, s);
    copy_ring(s);
    uint64_t entry = session_log_flush(g);
    int r = session_log_wait(g, entry);
    struct kv_session record = part_record(&p, entry);
    if (r == 0)
        r = members_open_put(s, p.requests);
    if (r == 0)
        r = kv_sessions_put(g->ports->kv, &record, 1, LIMIT_SESSION_RECORD_MS, &lost);
    part_end(&p);
    metric_add(&released, r == 0);
    return r;
}

/* --- being asked -----------------------------------------------------------------------------------------------------
 */
struct asked {
    struct gateway *g;
    char id[SESSION_ID_CHARS + 1];
    uint64_t user_id, nonce;
};

static void asked_run(void *arg)
{
    struct asked *q = arg;
    struct gateway *g = q->g;
    char key[48];
    int64_t deadline_ms = clock_mono_ms() + LIMIT_RELEASE_WAIT_MS / 2;

    while (smap_get(&g->adopting, str_c(q->id)) && clock_mono_ms() < deadline_ms)
        co_sleep(STEP_MS);
    struct session *s = session_find(g, str_c(q->id));
    int r = s && s->user_id == q->user_id && session_log_on(g) ? release_one(s) : -ENOENT;
    snprintf(key, sizeof key, "release:%llu", (unsigned long long)q->nonce);
    (void)kv_put(g->ports->kv, key, r == 0 ? STR("released") : STR("unknown"), ANSWER_MS);
    mem_free(q);
    gateway_leave(g);
}

void release_asked(struct gateway *g, const struct event *e)
{
    struct str id = json_member(e->data, STR("session_id"));
    struct asked *q = MEM_NEW(struct asked);

    *q = (struct asked){.g = g, .user_id = json_member_id(e->data, STR("user_id"))};
    q->nonce = json_member_id(e->data, STR("nonce"));
    if (id.n == SESSION_ID_CHARS + 2) /* in quotes */
        memcpy(q->id, id.p + 1, SESSION_ID_CHARS);
    if (!*q->id || !q->nonce || gateway_spawn(g, asked_run, q) < 0)
        mem_free(q);
}

/* --- all of them -----------------------------------------------------------------------------------------------------
 */
struct copy {
    struct encoded *event;
    struct session *session;
    uint64_t seq;
    enum redaction redaction;
};

struct drain {
    struct gateway *g;
    struct parting *partings;
    unsigned count;
    struct copy *copies;
    size_t copy_count, copy_cap;
};

static bool anyone_busy(struct gateway *g)
{
    size_t cursor = 0;
    struct str id;

    for (struct session *s; (s = smap_next(&g->sessions, &cursor, &id));)
        if (is_loading(s) || members_unsent(s))
            return true;
    return false;
}

static void part_all(struct drain *d)
{
    size_t cursor = 0;
    struct str id;

    d->partings = mem_zalloc(sizeof *d->partings * (d->g->sessions.count + 1));
    for (struct session *s; (s = smap_next(&d->g->sessions, &cursor, &id));)
        if (can_part(s))
            part_begin(&d->partings[d->count++], s);
}

static void copies_add(struct drain *d, struct session *s, size_t most)
{
    unsigned from = s->replay.count > most ? s->replay.count - (unsigned)most : 0;

    for (unsigned i = from; i < s->replay.count; i++) {
        if (d->copy_count == d->copy_cap) {
            d->copy_cap = d->copy_cap ? d->copy_cap * 2 : 1024;
            d->copies = mem_realloc(d->copies, sizeof *d->copies * d->copy_cap);
        }
        struct copy *c = &d->copies[d->copy_count++];
        *c = (struct copy){.session = s, .seq = s->seq - s->replay.count + 1 + i};
        c->event = replay_at(&s->replay, i, &c->redaction);
    }
}

static int by_event(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct copy *)a)->event, y = (uintptr_t)((const struct copy *)b)->event;

    return x < y ? -1 : x > y;
}

/* Together by event, so that each is written once. */
static void copy_all(struct drain *d)
{
    size_t people = 0;

    for (unsigned i = 0; i < d->count; i++)
        people += !d->partings[i].session->logged;
    for (unsigned i = 0; i < d->count; i++)
        if (!d->partings[i].session->logged)
            copies_add(d, d->partings[i].session, LIMIT_DRAIN_COPIES / people);
    if (d->copy_count)
        qsort(d->copies, d->copy_count, sizeof *d->copies, by_event);
    for (size_t i = 0; i < d->copy_count; i++)
        session_log_copy(d->copies[i].session, d->copies[i].seq, d->copies[i].event, d->copies[i].redaction);
    mem_free(d->copies);
}

static int records_put(struct drain *d, uint64_t entry)
{
    struct kv_session *records = mem_alloc(sizeof *records * RECORDS_A_CALL);
    bool lost[RECORDS_A_CALL];
    int r = 0;

    for (unsigned i = 0; r == 0 && i < d->count; i += RECORDS_A_CALL) {
        unsigned n = 0;
        for (; n < RECORDS_A_CALL && i + n < d->count; n++)
            records[n] = part_record(&d->partings[i + n], entry);
        r = kv_sessions_put(d->g->ports->kv, records, n, LIMIT_SESSION_RECORD_MS, lost);
    }
    mem_free(records);
    return r;
}

static int requests_put(const struct drain *d)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < d->count; i++)
        r = members_open_put(d->partings[i].session, d->partings[i].requests);
    return r;
}

/* Op 7, and a close that leaves the session resumable. Source: "Gateway: Reconnect". */
static void conns_dismiss(struct gateway *g)
{
    LIST_FOREACH_SAFE(it, &g->conns)
    {
        struct conn *c = LIST_ENTRY(it, struct conn, item);
        conn_send_op(c, GATEWAY_OP_RECONNECT);
        conn_close(c, GATEWAY_CLOSE_UNKNOWN_ERROR);
    }
}

static void hand_over(struct gateway *g)
{
    struct drain d = {.g = g};
    int64_t deadline_ms = clock_mono_ms() + LIMIT_RELEASE_WAIT_MS;

    while ((anyone_busy(g) || session_log_behind(g)) && clock_mono_ms() < deadline_ms)
        co_sleep(STEP_MS);
    part_all(&d);
    copy_all(&d);
    uint64_t entry = session_log_flush(g);
    int r = session_log_wait(g, entry);
    if (r == 0)
        r = requests_put(&d);
    if (r == 0)
        r = records_put(&d, entry);
    LOG_INFO("node drained", "node=%s sessions=%u of=%zu copies=%zu error=%d", g->node_id, d.count, g->sessions.count,
             d.copy_count, -r);
    g->released = r == 0 ? d.count : 0;
    metric_add(&released, g->released);
    conns_dismiss(g);
    for (unsigned i = 0; i < d.count; i++)
        part_end(&d.partings[i]);
    mem_free(d.partings);
}

void release_all(struct gateway *g)
{
    if (g->draining)
        return;
    g->draining = true;
    g->ready = false;
    if (session_log_on(g) && kv_ready(g->ports->kv))
        hand_over(g);
    else
        conns_dismiss(g);
}
