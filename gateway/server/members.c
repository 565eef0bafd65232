/* Op 8: members of a guild, in chunks. One coroutine for each request, LIMIT_MEMBERS_REQUESTS of a session at once,
 * LIMIT_MEMBERS_REQUESTS_OPEN with those that wait. A whole guild is paged through; a prefix and ids are one read.
 * A session that goes to another node takes its requests along (members_open.c).
 * Source: Discord API documentation, "Gateway Events: Request Guild Members". */
#include "gateway/server/server.h"

#include "gateway/server/members_open.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/io/co.h"
#include "platform/ports/kv.h"
#include "platform/ports/store/store.h"
#include "platform/protocol/intents.h"
#include "platform/protocol/json_read.h"

#include <jansson.h>
#include <stdio.h>

#define FULL_WAIT_MS 20
#define PAGE         250 /* divides LIMIT_MEMBERS_CHUNK */
#define RETRIES      20
#define RETRY_MS     500

struct request {
    struct members_open open; /* r is in it */
    struct session *session;
    struct arena arena;
    struct buf chunk; /* the one being made: begun with its first member */
    struct buf not_found, presences;
    unsigned collected;
    bool continued; /* another node began it */
};

static bool goes_on(const struct request *q)
{
    const struct session *s = q->session;

    return !s->ended && !s->handed && !s->g->stopping;
}

static void chunk_begin(struct request *q)
{
    if (q->chunk.len)
        return;
    jw_obj(&q->chunk);
    jw_kid(&q->chunk, "guild_id", q->open.r.guild_id);
    jw_karr(&q->chunk, "members");
}

static void collected(struct request *q, uint64_t user_id)
{
    const struct topic *t = q->open.r.presences ? map_get(&q->session->g->topics, q->open.r.guild_id) : NULL;

    if (t)
        presence_add(t, user_id, &q->presences);
    q->collected++;
}

static void collect_json(struct request *q, uint64_t user_id, struct str json)
{
    chunk_begin(q);
    jw_raw(&q->chunk, json);
    collected(q, user_id);
}

static void collect(struct request *q, const struct member *m)
{
    chunk_begin(q);
    member_write(&q->chunk, m, true);
    collected(q, m->user.id);
}

static void list_write(struct buf *b, const char *key, const struct buf *elements)
{
    jw_karr(b, key);
    buf_add_str(b, buf_str(elements));
    jw_arr_end(b);
}

static void chunk_send(struct request *q)
{
    struct buf *b = &q->chunk;

    chunk_begin(q);
    jw_arr_end(b);
    jw_ku64(b, "chunk_index", q->open.at.index++);
    jw_ku64(b, "chunk_count", q->open.at.count);
    list_write(b, "not_found", &q->not_found);
    if (q->open.r.presences && q->session->intents & INTENT_GUILD_PRESENCES)
        list_write(b, "presences", &q->presences);
    if (q->open.r.nonce.p)
        jw_kstr(b, "nonce", q->open.r.nonce);
    jw_obj_end(b);
    if (!q->session->ended)
        session_dispatch_own(q->session, EVENT_GUILD_MEMBERS_CHUNK, b);
    buf_clear(b);
    buf_clear(&q->not_found);
    buf_clear(&q->presences);
    q->collected = 0;
}

/* Also while the client is away: what it cannot take now would push out what it needs for RESUME. A node that is
 * drained leaves the rest to the next one. */
static void wait_for_room(const struct request *q)
{
    const struct session *s = q->session;

    while (goes_on(q) &&
           (s->g->draining || !s->conn || (s->conn->ws && session_unsent_bytes(s) > LIMIT_READY_QUEUE_BYTES)))
        co_sleep(FULL_WAIT_MS);
}

/* --- the three kinds of requests -------------------------------------------------------------------------------------
 */
static bool is_among(const struct member *members, unsigned count, uint64_t user_id)
{
    for (unsigned i = 0; i < count; i++)
        if (members[i].user.id == user_id)
            return true;
    return false;
}

static int by_ids(struct request *q)
{
    struct member *members = NULL;
    unsigned count = 0;
    int r = q->open.r.user_count ? store_members_get(q->session->g->ports->db, &q->arena, q->open.r.guild_id,
                                                     q->open.r.user_ids, q->open.r.user_count, &members, &count)
                                 : 0;

    if (r < 0)
        return r;
    for (unsigned i = 0; i < count; i++)
        collect(q, &members[i]);
    for (unsigned i = 0; i < q->open.r.user_count; i++)
        if (!is_among(members, count, q->open.r.user_ids[i]))
            jw_id(&q->not_found, q->open.r.user_ids[i]);
    chunk_send(q);
    return 0;
}

static int by_prefix(struct request *q)
{
    struct member *members;
    unsigned count;
    int r = store_members_search(q->session->g->ports->db, &q->arena, q->open.r.guild_id, q->open.r.query,
                                 q->open.r.limit, &members, &count);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < count; i++)
        collect(q, &members[i]);
    chunk_send(q);
    return 0;
}

/* A small guild whose members are in memory. */
static int all_kept(struct request *q, const struct guild_state *g)
{
    size_t cursor = 0;

    for (const struct state_member *m; (m = map_next(&g->members, &cursor));)
        collect_json(q, m->user_id, m->json);
    chunk_send(q);
    return 0;
}

/* Less than a chunk at once: between two pages the loop does other things. */
static int page_collect(struct request *q, uint64_t *after, unsigned *ret_count)
{
    struct arena a = {0};
    struct member *members;
    int r = store_members_list(q->session->g->ports->db, &a, q->open.r.guild_id, *after, PAGE, &members, ret_count);

    for (unsigned i = 0; r == 0 && i < *ret_count; i++)
        collect(q, &members[i]);
    if (r == 0 && *ret_count)
        *after = members[*ret_count - 1].user.id;
    arena_done(&a);
    return r;
}

/* The store may be away for a while; the client counts on every chunk. */
static int page_collect_surely(struct request *q, uint64_t *after, unsigned *ret_count)
{
    int r = page_collect(q, after, ret_count);

    for (int left = RETRIES; r < 0 && left && goes_on(q); left--) {
        co_sleep(RETRY_MS);
        r = page_collect(q, after, ret_count);
    }
    return r;
}

/* Page by page, no faster than the client takes them. The last chunk takes what joined meanwhile. */
static int all_stored(struct request *q, int64_t member_count)
{
    struct members_at *at = &q->open.at;
    uint64_t after = at->after;
    int r = 0;

    if (!q->continued && member_count > LIMIT_MEMBERS_CHUNK)
        at->count = (unsigned)((member_count + LIMIT_MEMBERS_CHUNK - 1) / LIMIT_MEMBERS_CHUNK);
    if (at->count > 1)
        members_open_keep(q->session, &q->open);
    for (unsigned count = PAGE; r == 0 && count == PAGE && goes_on(q);) {
        r = page_collect_surely(q, &after, &count);
        if (q->collected == LIMIT_MEMBERS_CHUNK && at->index + 1 < at->count && goes_on(q)) {
            chunk_send(q);
            at->after = after;
            wait_for_room(q);
        }
    }
    while (r == 0 && at->index < at->count && goes_on(q))
        chunk_send(q); /* also empty ones when members left: the client counts them */
    return r;
}

static int all(struct request *q)
{
    const struct topic *t = map_get(&q->session->g->topics, q->open.r.guild_id);
    const struct guild_state *g = t ? t->guild : NULL;

    return g && g->members_complete && q->open.at.count == 1 ? all_kept(q, g) : all_stored(q, g ? g->member_count : 0);
}

/* --- who may ask what, how often -------------------------------------------------------------------------------------
 */
/* What a session may not have is not answered with members: the whole guild without the intent, a guild it is not in.
 */
static bool allowed(const struct session *s, const struct members_request *r)
{
    const struct topic *t = map_get(&s->g->topics, r->guild_id);

    if (!t || t->is_user || !topic_sub_find(t, s))
        return false;
    return !r->by_query || r->query.n || s->intents & INTENT_GUILD_MEMBERS;
}

static bool wants_all(const struct members_request *r)
{
    return r->by_query && r->query.n == 0 && r->limit == 0;
}

static void rate_limited_send(struct request *q, int64_t wait_ms)
{
    BUF_AUTO struct buf data = {0};

    jw_obj(&data);
    jw_ku64(&data, "opcode", GATEWAY_OP_REQUEST_GUILD_MEMBERS);
    jw_key(&data, "retry_after");
    jw_double(&data, (double)wait_ms / 1000.0);
    jw_kobj(&data, "meta");
    jw_kid(&data, "guild_id", q->open.r.guild_id);
    if (q->open.r.nonce.p)
        jw_kstr(&data, "nonce", q->open.r.nonce);
    jw_obj_end(&data);
    jw_obj_end(&data);
    if (!q->session->ended)
        session_dispatch_own(q->session, EVENT_RATE_LIMITED, &data);
}

/* A bot may have a whole guild once in LIMIT_MEMBERS_ALL_MS. True: it has been told to wait. Where kv is away, nobody
 * waits. */
static bool is_limited(struct request *q)
{
    const struct session *s = q->session;
    char key[64];
    struct kv_bucket_state state;

    if (!s->is_bot || !s->g->options.limits || !wants_all(&q->open.r) || q->continued)
        return false;
    snprintf(key, sizeof key, "chunks:{%llu}:%llu", (unsigned long long)s->user_id,
             (unsigned long long)q->open.r.guild_id);
    const struct kv_bucket bucket = {key, 1, LIMIT_MEMBERS_ALL_MS};
    if (kv_buckets_take(s->g->ports->kv, &bucket, 1, &state) < 0 || state.allowed)
        return false;
    rate_limited_send(q, state.reset_after_ms);
    return true;
}

static int answer(struct request *q)
{
    int r = 0;

    if (!allowed(q->session, &q->open.r)) {
        chunk_send(q); /* an empty one, so that nobody waits for ever */
        return 0;
    }
    if (is_limited(q))
        return 0;
    if (wants_all(&q->open.r))
        return all(q);
    for (int left = RETRIES; left && goes_on(q); left--) {
        r = q->open.r.by_query ? by_prefix(q) : by_ids(q);
        if (r == 0)
            break;
        co_sleep(RETRY_MS);
    }
    return r;
}

/* --- life ------------------------------------------------------------------------------------------------------------
 */
static void request_free(struct request *q)
{
    buf_done(&q->chunk);
    buf_done(&q->not_found);
    buf_done(&q->presences);
    arena_done(&q->arena);
    mem_free(q);
}

/* One that came along waits for its guild, too. */
static void wait_for_turn(const struct request *q)
{
    const struct session *s = q->session;

    while (goes_on(q) &&
           (s->g->draining || s->requests >= LIMIT_MEMBERS_REQUESTS || (q->continued && (s->load_count || s->loaders))))
        co_sleep(FULL_WAIT_MS);
}

static void request_run(void *arg)
{
    struct request *q = arg;
    struct session *s = q->session;
    struct gateway *g = s->g;

    wait_for_turn(q);
    s->requests++;
    int r = goes_on(q) ? answer(q) : 0;
    s->requests--;
    s->requests_open--;
    if (r < 0)
        LOG_WARN("members not read", "guild=%llu error=%d", (unsigned long long)q->open.r.guild_id, -r);
    members_open_end(s, &q->open);
    session_unref(s);
    request_free(q);
    gateway_leave(g);
}

static bool request_start(struct session *s, struct request *q)
{
    q->session = session_ref(s);
    s->requests_open++;
    list_append(&s->members_open, &q->open.item);
    if (gateway_spawn(s->g, request_run, q) == 0)
        return true;
    list_remove(&q->open.item);
    s->requests_open--;
    session_unref(s);
    return false;
}

bool members_unsent(const struct session *s)
{
    return s->requests_open && s->conn && s->conn->ws && session_unsent_bytes(s);
}

int members_begin(struct conn *c, const struct json_t *d)
{
    struct session *s = c->session;
    struct request *q = MEM_NEW(struct request);
    int close = members_request_read(d, &q->arena, &q->open.r);

    list_init(&q->open.item);
    q->open.at.count = 1;
    if (!close && s->requests_open >= LIMIT_MEMBERS_REQUESTS_OPEN)
        close = GATEWAY_CLOSE_RATE_LIMITED;
    if (!close && !request_start(s, q))
        close = GATEWAY_CLOSE_UNKNOWN_ERROR;
    if (close)
        request_free(q);
    return close;
}

void members_continue(struct session *s, struct str texts)
{
    json_t *list;
    size_t i;

    if (!texts.n || json_read(texts, &list, NULL) < 0)
        return;
    s->members_kept = true;
    for (i = 0; i < json_array_size(list) && s->requests_open < LIMIT_MEMBERS_REQUESTS_OPEN; i++) {
        struct request *q = MEM_NEW(struct request);
        q->continued = true;
        if (members_open_read(json_array_get(list, i), &q->arena, &q->open) < 0 || !request_start(s, q))
            request_free(q);
    }
    json_decref(list);
}
