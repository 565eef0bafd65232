/* Bringing guilds to a session: each is loaded (or is there), the session is subscribed, GUILD_CREATE leaves. A few at
 * once for each session, and no faster than its socket takes them. Coroutines.
 * Limits: LIMIT_LOADS_PER_SESSION, LIMIT_READY_QUEUE_BYTES. */
#include "gateway/server/server.h"

#include "gateway/server/payloads.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/io/co.h"
#include "platform/ports/store/store.h"
#include "platform/protocol/intents.h"

#include <errno.h>

#define FULL_WAIT_MS 20
#define RETRY_MS     500
#define RETRY_MAX_MS 10000

/* --- members ---------------------------------------------------------------------------------------------------------
 */
static bool wants_list(const struct session *s)
{
    return !s->is_bot || s->intents & INTENT_GUILD_PRESENCES;
}

static bool has_members_for(const struct topic *t, const struct session *s)
{
    const struct guild_state *g = t->guild;

    if (g->members_complete)
        return true;
    return guild_state_member(g, s->user_id) && !(wants_list(s) && g->member_count <= LIMIT_GUILD_MEMBERS_KEPT);
}

static int all_read(struct topic *t, struct arena *a, bool *ret_complete)
{
    struct member *members;
    unsigned count;
    int r = store_members_list(t->g->ports->db, a, t->id, 0, LIMIT_GUILD_MEMBERS_KEPT + 1, &members, &count);

    for (unsigned i = 0; r == 0 && i < count; i++)
        guild_state_member_put(t->guild, &members[i]);
    *ret_complete = r == 0 && count <= LIMIT_GUILD_MEMBERS_KEPT;
    return r;
}

static int self_read(struct topic *t, struct arena *a, uint64_t user_id)
{
    struct member self;
    int r = store_member_get(t->g->ports->db, a, t->id, user_id, &self);

    if (r == 0)
        guild_state_member_put(t->guild, &self);
    return r == -ENOENT ? 0 : r;
}

static int members_read(struct topic *t, const struct session *s, bool all)
{
    struct arena a = {0};
    bool complete = false;

    guild_state_members_begin(t->guild);
    int r = all ? all_read(t, &a, &complete) : 0;
    if (r == 0 && !complete)
        r = self_read(t, &a, s->user_id);
    guild_state_members_end(t->guild, complete);
    if (complete)
        topic_members_used(t);
    topic_wake(t, 0);
    arena_done(&a);
    return r;
}

/* The session's own member, and where it may list them and they are few, all of the guild's; of more, the active ones.
 */
static int members_need(struct topic *t, const struct session *s)
{
    if (wants_list(s) && actives_of(t))
        return actives_need(t, s);
    while (!has_members_for(t, s)) {
        if (t->guild->loading_members) {
            int r = topic_wait(t);
            if (r < 0)
                return r;
            continue;
        }
        return members_read(t, s, wants_list(s) && t->guild->member_count <= LIMIT_GUILD_MEMBERS_KEPT);
    }
    if (t->guild->members_complete)
        topic_members_used(t);
    return 0;
}

/* --- one guild -------------------------------------------------------------------------------------------------------
 */
static void subscribe(struct topic *t, struct session *s, bool startup)
{
    struct state_member *self = guild_state_member(t->guild, s->user_id);

    if (s->ended || topic_sub_find(t, s))
        return;
    if (self) {
        dispatch_guild_create(topic_sub_add(t, s, self), startup);
    } else if (startup && session_wants(s, EVENT_GUILD_DELETE, true)) {
        /* READY named the guild, meanwhile the user has left it */
        BUF_AUTO struct buf data = {0};
        payload_guild_delete(&data, t->id, false);
        session_dispatch_own(s, EVENT_GUILD_DELETE, &data);
    }
}

struct missing {
    struct sub *sub;
    bool changed;
};

static void dispatch_one(const struct event *e, void *arg)
{
    struct missing *m = arg;

    if (m->sub->session->known && map_get(m->sub->session->known, e->id))
        return; /* it was the last that the other node dispatched */
    m->changed |= dispatch_missed(m->sub, e);
}

/* In one step: what was missed, and the subscription. */
static int adopt(struct topic *t, struct session *s, uint64_t after)
{
    int r = recent_reach(t, after);
    struct state_member *self = guild_state_member(t->guild, s->user_id);

    if (r < 0 || s->ended || t->stale || topic_sub_find(t, s))
        return r;
    if (!self) {
        subscribe(t, s, true); /* it has left meanwhile */
        return 0;
    }
    struct missing m = {.sub = topic_sub_add(t, s, self)};
    dispatch_sub_begin(m.sub);
    recent_each(t, after, dispatch_one, &m);
    if (m.changed)
        dispatch_visible(m.sub);
    return 0;
}

static int load_one(struct session *s, const struct load *l)
{
    struct topic *t;
    int r = topic_acquire(s->g, l->guild_id, false, &t);

    if (r < 0)
        return r;
    r = s->ended || topic_sub_find(t, s) ? 0 : members_need(t, s);
    if (r == 0 && !t->stale && l->adopt)
        r = adopt(t, s, l->after);
    else if (r == 0 && !t->stale)
        subscribe(t, s, l->startup);
    else if (r == 0)
        r = -EAGAIN;
    topic_release(t);
    return r;
}

/* What was missed cannot be had: the client must identify again. Or the guild is no more. */
static bool adopt_again(struct session *s, const struct load *l, int error)
{
    BUF_AUTO struct buf data = {0};

    if (error == -ENODATA || error == -ETIMEDOUT) {
        LOG_WARN("session not caught up", "id=%s guild=%llu error=%d", s->id, (unsigned long long)l->guild_id, -error);
        session_invalidate(s);
        return false;
    }
    if (error != -ENOENT)
        return true;
    payload_guild_delete(&data, l->guild_id, false);
    if (session_wants(s, EVENT_GUILD_DELETE, true))
        session_dispatch_own(s, EVENT_GUILD_DELETE, &data);
    return false;
}

/* The store or kv may be away for a while: the guild stays unavailable so long. */
static void load_surely(struct session *s, const struct load *l)
{
    int64_t wait_ms = RETRY_MS;

    for (int r; !s->ended && !s->g->stopping && (r = load_one(s, l)) < 0;) {
        if (l->adopt ? !adopt_again(s, l, r) : r == -ENOENT)
            return;
        LOG_WARN("guild not loaded", "guild=%llu error=%d next_ms=%lld", (unsigned long long)l->guild_id, -r,
                 (long long)wait_ms);
        co_sleep(wait_ms);
        wait_ms = wait_ms * 2 < RETRY_MAX_MS ? wait_ms * 2 : RETRY_MAX_MS;
    }
}

static void wait_for_room(const struct session *s)
{
    while (!s->ended && s->conn && s->conn->ws && session_unsent_bytes(s) > LIMIT_READY_QUEUE_BYTES)
        co_sleep(FULL_WAIT_MS);
}

/* --- the guilds to come: a queue in an array, whose begin moves ------------------------------------------------------
 */
/* Room for `more` at the end. */
static void loads_reserve(struct session *s, unsigned more)
{
    if (s->load_at + s->load_count + more > s->load_cap && s->load_at && s->load_at >= s->load_count) {
        /* as many were taken before, so each of them pays for one move */
        memmove(s->loads, s->loads + s->load_at, sizeof *s->loads * s->load_count);
        s->load_at = 0;
    }
    unsigned needed = s->load_at + s->load_count + more;
    if (needed <= s->load_cap)
        return;
    s->load_cap = s->load_cap * 2 > needed ? s->load_cap * 2 : needed;
    s->loads = mem_realloc(s->loads, sizeof *s->loads * s->load_cap);
}

static void loads_push(struct session *s, struct load l)
{
    loads_reserve(s, 1);
    s->loads[s->load_at + s->load_count++] = l;
}

static struct load load_take(struct session *s)
{
    struct load l = s->loads[s->load_at++];

    if (--s->load_count == 0)
        s->load_at = 0;
    return l;
}

static void load_batch(struct session *s, const struct load *loads, unsigned count)
{
    uint64_t ids[LIMIT_LOADS_AT_ONCE];
    struct topic *topics[LIMIT_LOADS_AT_ONCE];
    unsigned listed = s->large_threshold < LIMIT_GUILD_MEMBERS_KEPT ? s->large_threshold : LIMIT_GUILD_MEMBERS_KEPT;

    for (unsigned i = 0; i < count; i++)
        ids[i] = loads[i].guild_id;
    unsigned loaded = topics_preload(s->g, ids, count, s->user_id, wants_list(s) ? listed : 0, topics);
    uint64_t turn_ns = clock_mono_ns();
    for (unsigned i = 0; i < count; i++) {
        wait_for_room(s);
        load_surely(s, &loads[i]);
        if (clock_mono_ns() - turn_ns > LIMIT_LOAD_TURN_NS) {
            co_sleep(0);
            turn_ns = clock_mono_ns();
        }
    }
    for (unsigned i = 0; i < loaded; i++)
        topic_release(topics[i]);
}

static void loader_run(void *arg)
{
    struct session *s = arg;
    struct gateway *g = s->g;
    struct load batch[LIMIT_LOADS_AT_ONCE];

    while (s->load_count && !s->ended) {
        unsigned count = 0;
        wait_for_room(s);
        while (s->load_count && count < LIMIT_LOADS_AT_ONCE)
            batch[count++] = load_take(s);
        load_batch(s, batch, count);
    }
    if (--s->loaders == 0 && !s->load_count) {
        mem_free(s->loads);
        s->loads = NULL;
        s->load_at = s->load_cap = 0;
        session_log_loaded(s);
    }
    session_unref(s);
    gateway_leave(g);
}

static void loader_start(struct session *s)
{
    while (s->load_count && s->loaders < LIMIT_LOADS_PER_SESSION && !s->ended) {
        s->loaders++;
        session_ref(s);
        if (gateway_spawn(s->g, loader_run, s) == 0)
            continue;
        s->loaders--;
        session_unref(s);
        if (!s->loaders) /* nobody would come back to it */
            session_invalidate(s);
        return;
    }
}

void loader_add(struct session *s, uint64_t guild_id, bool startup)
{
    if (s->ended)
        return;
    loads_push(s, (struct load){.guild_id = guild_id, .startup = startup});
    if (!s->starting)
        loader_start(s);
}

void loader_adopt(struct session *s, uint64_t guild_id, uint64_t after)
{
    if (s->ended)
        return;
    loads_push(s, (struct load){.guild_id = guild_id, .adopt = true, .after = after});
    loader_start(s);
}

/* What control events named meanwhile comes after them. */
void loader_begin(struct session *s, const uint64_t *guild_ids, unsigned count)
{
    unsigned meanwhile = s->load_count;

    loads_reserve(s, count);
    if (meanwhile)
        memmove(s->loads + count, s->loads + s->load_at, sizeof *s->loads * meanwhile);
    s->load_at = 0;
    s->load_count += count;
    for (unsigned i = 0; i < count; i++)
        s->loads[i] = (struct load){.guild_id = guild_ids[i], .startup = true};
    if (!s->load_count)
        session_log_loaded(s);
    loader_start(s);
}
