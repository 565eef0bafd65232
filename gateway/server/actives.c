/* Who of a large guild GUILD_CREATE lists beside the session itself: those that are online or in a voice channel, and
 * those with a role or a nick. They are read when a session comes that may have them, and kept in the guild's state,
 * where events keep them true, for LIMIT_GUILD_MEMBERS_KEEP_MS after the last such session. Coroutines.
 * Limits: LIMIT_GUILD_ACTIVES of a guild, LIMIT_ACTIVES_KEPT of a node.
 * Source: Discord API documentation, "Gateway Events: Request Guild Members", "Guild Create". */
#include "gateway/server/server.h"

#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/io/co.h"
#include "platform/ports/store/store.h"

#define AT_ONCE 250 /* members written into the state in one loop turn */
/* Who comes online meanwhile is read, too; who has an entry and is no member is not asked for again and again. */
#define ROUNDS 2

bool actives_of(const struct topic *t)
{
    int64_t count = t->guild->member_count;

    return count > LIMIT_GUILD_MEMBERS_KEPT && count <= LIMIT_PRESENCE_GUILD_MEMBERS && !t->guild->members_complete;
}

/* --- what is kept ----------------------------------------------------------------------------------------------------
 */
void actives_drop(struct topic *t)
{
    list_remove(&t->actives_item);
    t->g->actives_count -= t->actives_count;
    t->actives_count = 0;
}

static void forget(struct topic *t)
{
    actives_drop(t);
    guild_state_members_forget(t->guild);
}

/* Also what is over LIMIT_ACTIVES_KEPT: a bot may come to a thousand large guilds within a minute. */
void actives_tick(struct gateway *g, int64_t now_ms)
{
    LIST_FOREACH_SAFE(it, &g->actives)
    {
        struct topic *t = LIST_ENTRY(it, struct topic, actives_item);
        if (now_ms - t->actives_used_ms < LIMIT_GUILD_MEMBERS_KEEP_MS && g->actives_count <= LIMIT_ACTIVES_KEPT)
            break;
        if (!t->guild->loading_members)
            forget(t);
    }
}

static void used(struct topic *t)
{
    actives_drop(t);
    t->actives_used_ms = clock_mono_ms();
    t->actives_count = (unsigned)t->guild->members.count;
    t->g->actives_count += t->actives_count;
    list_append(&t->g->actives, &t->actives_item);
}

/* --- reading ---------------------------------------------------------------------------------------------------------
 */
struct wanted {
    struct topic *topic;
    struct map seen;
    uint64_t *ids; /* LIMIT_GUILD_ACTIVES and the session's own */
    unsigned count;
};

static void want(struct wanted *w, uint64_t user_id)
{
    if (w->count > LIMIT_GUILD_ACTIVES || guild_state_member(w->topic->guild, user_id) || map_put(&w->seen, user_id, w))
        return;
    w->ids[w->count++] = user_id;
}

static void want_shown(struct wanted *w, enum kv_kind kind)
{
    const struct map *users = &w->topic->standing->kinds[kind].users;
    size_t cursor = 0;

    for (struct entries_user *u; w->count <= LIMIT_GUILD_ACTIVES && (u = map_next(users, &cursor));)
        if (u->shown)
            want(w, u->user_id);
}

static int want_marked(struct wanted *w)
{
    struct arena a = {0};
    uint64_t *ids;
    unsigned count;
    int r = store_members_marked(w->topic->g->ports->db, &a, w->topic->id, LIMIT_GUILD_ACTIVES, &ids, &count);

    for (unsigned i = 0; r == 0 && i < count; i++)
        want(w, ids[i]);
    arena_done(&a);
    return r;
}

/* In one query: a plan may walk the guild's members up to the last of them. */
static int members_read(const struct wanted *w)
{
    struct arena a = {0};
    struct member *members;
    unsigned count = 0;
    int r =
        w->count ? store_members_get(w->topic->g->ports->db, &a, w->topic->id, w->ids, w->count, &members, &count) : 0;

    for (unsigned i = 0; r == 0 && i < count; i++) {
        guild_state_member_put(w->topic->guild, &members[i]);
        if (i % AT_ONCE == AT_ONCE - 1)
            co_sleep(0);
    }
    arena_done(&a);
    return r;
}

static int wanted_read(struct wanted *w)
{
    struct guild_state *g = w->topic->guild;
    bool known = g->members_active;

    guild_state_members_begin(g);
    int r = known ? 0 : want_marked(w);
    if (r == 0)
        r = members_read(w);
    guild_state_members_end(g, false);
    g->members_active = r == 0;
    return r;
}

/* 1: somebody was missing. */
static int read_missing(struct topic *t, const struct session *s)
{
    struct wanted w = {.topic = t, .ids = mem_alloc(sizeof *w.ids * (LIMIT_GUILD_ACTIVES + 1))};
    int r = 0;

    want(&w, s->user_id);
    want_shown(&w, KV_VOICE);
    want_shown(&w, KV_PRESENCE);
    if (w.count || !t->guild->members_active) {
        r = wanted_read(&w);
        r = r < 0 ? r : 1;
    }
    map_done(&w.seen);
    mem_free(w.ids);
    return r;
}

int actives_need(struct topic *t, const struct session *s)
{
    int r = 1;

    for (int round = 0; r > 0 && round < ROUNDS && !t->guild->members_complete;) {
        if (t->guild->loading_members) {
            int waited = topic_wait(t);
            if (waited < 0)
                return waited;
            continue;
        }
        r = read_missing(t, s);
        round++;
        used(t);
        topic_wake(t, 0);
    }
    return r < 0 ? r : 0;
}
