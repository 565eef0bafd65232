/* Op 8: members of a guild, in chunks. One coroutine for each request, LIMIT_MEMBERS_REQUESTS of a session at once,
 * LIMIT_MEMBERS_REQUESTS_OPEN with those that wait. A whole guild is paged through; a prefix and ids are one read.
 * Source: Discord API documentation, "Gateway Events: Request Guild Members". */
#include "gateway/server/server.h"

#include "gateway/server/requests.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/io/co.h"
#include "platform/ports/kv.h"
#include "platform/ports/store/store.h"
#include "platform/protocol/intents.h"

#include <stdio.h>

#define FULL_WAIT_MS 20
#define PAGE         250 /* divides LIMIT_MEMBERS_CHUNK */
#define RETRIES      20
#define RETRY_MS     500

struct request {
    struct session *session;
    struct arena arena;
    struct members_request r;
    struct buf chunk; /* the one being made: begun with its first member */
    struct buf not_found, presences;
    unsigned chunk_index, chunk_count, collected;
};

static void chunk_begin(struct request *q)
{
    if (q->chunk.len)
        return;
    jw_obj(&q->chunk);
    jw_kid(&q->chunk, "guild_id", q->r.guild_id);
    jw_karr(&q->chunk, "members");
}

static void collected(struct request *q, uint64_t user_id)
{
    const struct topic *t = q->r.presences ? map_get(&q->session->g->topics, q->r.guild_id) : NULL;

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
    jw_ku64(b, "chunk_index", q->chunk_index++);
    jw_ku64(b, "chunk_count", q->chunk_count);
    list_write(b, "not_found", &q->not_found);
    if (q->r.presences && q->session->intents & INTENT_GUILD_PRESENCES)
        list_write(b, "presences", &q->presences);
    if (q->r.nonce.p)
        jw_kstr(b, "nonce", q->r.nonce);
    jw_obj_end(b);
    if (!q->session->ended)
        session_dispatch_own(q->session, EVENT_GUILD_MEMBERS_CHUNK, b);
    buf_clear(b);
    buf_clear(&q->not_found);
    buf_clear(&q->presences);
    q->collected = 0;
}

/* Also while the client is away: what it cannot take now would push out what it needs for RESUME. */
static void wait_for_room(const struct session *s)
{
    while (!s->ended && !s->g->stopping &&
           (!s->conn || (s->conn->ws && session_unsent_bytes(s) > LIMIT_READY_QUEUE_BYTES)))
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
    int r = q->r.user_count ? store_members_get(q->session->g->ports->db, &q->arena, q->r.guild_id, q->r.user_ids,
                                                q->r.user_count, &members, &count)
                            : 0;

    if (r < 0)
        return r;
    for (unsigned i = 0; i < count; i++)
        collect(q, &members[i]);
    for (unsigned i = 0; i < q->r.user_count; i++)
        if (!is_among(members, count, q->r.user_ids[i]))
            jw_id(&q->not_found, q->r.user_ids[i]);
    chunk_send(q);
    return 0;
}

static int by_prefix(struct request *q)
{
    struct member *members;
    unsigned count;
    int r = store_members_search(q->session->g->ports->db, &q->arena, q->r.guild_id, q->r.query, q->r.limit, &members,
                                 &count);

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
    int r = store_members_list(q->session->g->ports->db, &a, q->r.guild_id, *after, PAGE, &members, ret_count);

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

    for (int left = RETRIES; r < 0 && left && !q->session->ended && !q->session->g->stopping; left--) {
        co_sleep(RETRY_MS);
        r = page_collect(q, after, ret_count);
    }
    return r;
}

/* Page by page, no faster than the client takes them. The last chunk takes what joined meanwhile. */
static int all_stored(struct request *q, int64_t member_count)
{
    uint64_t after = 0;
    int r = 0;

    if (member_count > LIMIT_MEMBERS_CHUNK)
        q->chunk_count = (unsigned)((member_count + LIMIT_MEMBERS_CHUNK - 1) / LIMIT_MEMBERS_CHUNK);
    for (unsigned count = PAGE; r == 0 && count == PAGE && !q->session->ended;) {
        r = page_collect_surely(q, &after, &count);
        if (q->collected == LIMIT_MEMBERS_CHUNK && q->chunk_index + 1 < q->chunk_count) {
            chunk_send(q);
            wait_for_room(q->session);
        }
    }
    while (r == 0 && q->chunk_index < q->chunk_count && !q->session->ended)
        chunk_send(q); /* also empty ones when members left: the client counts them */
    return r;
}

static int all(struct request *q)
{
    const struct topic *t = map_get(&q->session->g->topics, q->r.guild_id);
    const struct guild_state *g = t ? t->guild : NULL;

    return g && g->members_complete ? all_kept(q, g) : all_stored(q, g ? g->member_count : 0);
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
    jw_kid(&data, "guild_id", q->r.guild_id);
    if (q->r.nonce.p)
        jw_kstr(&data, "nonce", q->r.nonce);
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

    if (!s->is_bot || !s->g->options.limits || !wants_all(&q->r))
        return false;
    snprintf(key, sizeof key, "chunks:{%llu}:%llu", (unsigned long long)s->user_id, (unsigned long long)q->r.guild_id);
    const struct kv_bucket bucket = {key, 1, LIMIT_MEMBERS_ALL_MS};
    if (kv_buckets_take(s->g->ports->kv, &bucket, 1, &state) < 0 || state.allowed)
        return false;
    rate_limited_send(q, state.reset_after_ms);
    return true;
}

static int answer(struct request *q)
{
    int r = 0;

    if (!allowed(q->session, &q->r)) {
        chunk_send(q); /* an empty one, so that nobody waits for ever */
        return 0;
    }
    if (is_limited(q))
        return 0;
    if (wants_all(&q->r))
        return all(q);
    for (int left = RETRIES; left && !q->session->ended && !q->session->g->stopping; left--) {
        r = q->r.by_query ? by_prefix(q) : by_ids(q);
        if (r == 0)
            break;
        co_sleep(RETRY_MS);
    }
    return r;
}

/* --- life ------------------------------------------------------------------------------------------------------------
 */
static void request_run(void *arg)
{
    struct request *q = arg;
    struct session *s = q->session;
    struct gateway *g = s->g;

    while (s->requests >= LIMIT_MEMBERS_REQUESTS && !s->ended)
        co_sleep(FULL_WAIT_MS);
    s->requests++;
    int r = s->ended ? 0 : answer(q);
    s->requests--;
    s->requests_open--;
    if (r < 0)
        LOG_WARN("members not read", "guild=%llu error=%d", (unsigned long long)q->r.guild_id, -r);
    session_unref(s);
    buf_done(&q->chunk);
    buf_done(&q->not_found);
    buf_done(&q->presences);
    arena_done(&q->arena);
    mem_free(q);
    gateway_leave(g);
}

int members_begin(struct conn *c, const struct json_t *d)
{
    struct session *s = c->session;
    struct request *q = MEM_NEW(struct request);
    int close = members_request_read(d, &q->arena, &q->r);

    if (!close && s->requests_open < LIMIT_MEMBERS_REQUESTS_OPEN) {
        q->session = session_ref(s);
        q->chunk_count = 1;
        s->requests_open++;
        if (gateway_spawn(c->g, request_run, q) == 0)
            return 0;
        s->requests_open--;
        session_unref(s);
        close = GATEWAY_CLOSE_UNKNOWN_ERROR;
    } else if (!close) {
        close = GATEWAY_CLOSE_RATE_LIMITED;
    }
    arena_done(&q->arena);
    mem_free(q);
    return close;
}
