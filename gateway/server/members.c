/* Op 8: members of a guild, in chunks. One coroutine for each request, LIMIT_MEMBERS_REQUESTS of a session at once.
 * Source: Discord API documentation, "Gateway Events: Request Guild Members". */
#include "gateway/server/server.h"

#include "gateway/server/requests.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/io/co.h"
#include "platform/ports/store/store.h"
#include "platform/protocol/intents.h"

#include <errno.h>

#define FULL_WAIT_MS 20

struct request {
    struct session *session;
    struct arena arena;
    struct members_request r;
    /* what is collected for the chunk being made */
    struct buf members, not_found;
    unsigned chunk_index, chunk_count, collected;
};

static void collect(struct request *q, const struct member *m)
{
    member_write(&q->members, m, true);
    q->collected++;
}

static void chunk_send(struct request *q)
{
    BUF_AUTO struct buf data = {0};

    jw_obj(&data);
    jw_kid(&data, "guild_id", q->r.guild_id);
    jw_key(&data, "members");
    buf_addf(&data, "[%.*s]", STR_ARG(buf_str(&q->members)));
    jw_ku64(&data, "chunk_index", q->chunk_index++);
    jw_ku64(&data, "chunk_count", q->chunk_count);
    jw_key(&data, "not_found");
    buf_addf(&data, "[%.*s]", STR_ARG(buf_str(&q->not_found)));
    if (q->r.presences && q->session->intents & INTENT_GUILD_PRESENCES) {
        jw_karr(&data, "presences");
        jw_arr_end(&data);
    }
    if (q->r.nonce.p)
        jw_kstr(&data, "nonce", q->r.nonce);
    jw_obj_end(&data);
    buf_clear(&q->members);
    buf_clear(&q->not_found);
    q->collected = 0;
    if (!q->session->ended)
        session_dispatch_own(q->session, EVENT_GUILD_MEMBERS_CHUNK, &data);
}

static void wait_for_room(const struct session *s)
{
    while (!s->ended && s->conn && s->conn->ws && ws_queued_bytes(s->conn->ws) > LIMIT_READY_QUEUE_BYTES)
        co_sleep(FULL_WAIT_MS);
}

/* ASCII letters match in either case, as people search. */
static bool has_prefix(struct str name, struct str prefix)
{
    return name.n >= prefix.n && str_eq_nocase((struct str){name.p, prefix.n}, prefix);
}

static bool matches(const struct member *m, struct str query)
{
    return has_prefix(m->user.username, query) || has_prefix(m->nick, query) || has_prefix(m->user.global_name, query);
}

static int by_ids(struct request *q)
{
    struct sql *db = q->session->g->ports->db;

    for (unsigned i = 0; i < q->r.user_count; i++) {
        struct arena a = {0};
        struct member m;
        int r = store_member_get(db, &a, q->r.guild_id, q->r.user_ids[i], &m);
        if (r == 0)
            collect(q, &m);
        else if (r == -ENOENT)
            jw_id(&q->not_found, q->r.user_ids[i]);
        arena_done(&a);
        if (r < 0 && r != -ENOENT)
            return r;
    }
    q->chunk_count = 1;
    chunk_send(q);
    return 0;
}

/* Pages through the guild; a whole list is sent page by page, a search when it is complete. */
static int by_query(struct request *q, int64_t member_count)
{
    bool all = q->r.limit == 0;
    uint64_t after = 0;

    q->chunk_count =
        all && member_count > 0 ? (unsigned)((member_count + LIMIT_MEMBERS_CHUNK - 1) / LIMIT_MEMBERS_CHUNK) : 1;
    for (unsigned count = LIMIT_MEMBERS_CHUNK; count == LIMIT_MEMBERS_CHUNK && !q->session->ended;) {
        struct arena a = {0};
        struct member *members;
        int r = store_members_list(q->session->g->ports->db, &a, q->r.guild_id, after, LIMIT_MEMBERS_CHUNK, &members,
                                   &count);
        for (unsigned i = 0; r == 0 && i < count; i++) {
            after = members[i].user.id;
            if (all || (q->collected < q->r.limit && matches(&members[i], q->r.query)))
                collect(q, &members[i]);
        }
        arena_done(&a);
        if (r < 0)
            return r;
        if (!all && q->collected == q->r.limit)
            break;
        if (all && q->chunk_index + 1 < q->chunk_count) {
            chunk_send(q);
            wait_for_room(q->session);
        }
    }
    do /* members left meanwhile: the client counts the chunks all the same */
        chunk_send(q);
    while (q->chunk_index < q->chunk_count && !q->session->ended);
    return 0;
}

static void request_run(void *arg)
{
    struct request *q = arg;
    struct session *s = q->session;
    struct gateway *g = s->g;
    struct topic *t = map_get(&g->topics, q->r.guild_id);
    int64_t member_count = t && t->guild ? t->guild->member_count : 0;
    int r = q->r.by_query ? by_query(q, member_count) : by_ids(q);

    if (r < 0)
        LOG_WARN("members not read", "guild=%llu error=%d", (unsigned long long)q->r.guild_id, -r);
    s->requests--;
    session_unref(s);
    buf_done(&q->members);
    buf_done(&q->not_found);
    arena_done(&q->arena);
    mem_free(q);
    gateway_leave(g);
}

/* What a session may not have is not answered with members: a list without the intent, a guild it is not in. */
static bool allowed(const struct session *s, const struct members_request *r)
{
    const struct topic *t = map_get(&s->g->topics, r->guild_id);

    if (!t || t->is_user || !topic_sub_find(t, s))
        return false;
    return !r->by_query || r->limit || s->intents & INTENT_GUILD_MEMBERS;
}

int members_begin(struct conn *c, const struct json_t *d)
{
    struct session *s = c->session;
    struct request *q = MEM_NEW(struct request);
    int close = members_request_read(d, &q->arena, &q->r);

    if (!close && !allowed(s, &q->r)) {
        q->r.user_count = 0;
        q->r.by_query = false; /* an empty chunk, so that nobody waits for ever */
    }
    if (!close && s->requests < LIMIT_MEMBERS_REQUESTS) {
        q->session = session_ref(s);
        s->requests++;
        if (gateway_spawn(c->g, request_run, q) == 0)
            return 0;
        s->requests--;
        session_unref(s);
    } else if (!close) {
        close = GATEWAY_CLOSE_RATE_LIMITED;
    }
    arena_done(&q->arena);
    mem_free(q);
    return close;
}
