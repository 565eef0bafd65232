/* Presences: what sessions say of their user becomes one entry for each guild and node, what entries say becomes
 * PRESENCE_UPDATE. Changes of a user in a guild are gathered for LIMIT_PRESENCE_SOON_MS (LIMIT_PRESENCE_LATER_MS when a
 * session went, since clients come back), so they cost one change in kv and one publish. Loop thread; putting runs on
 * coroutines. */
#include "gateway/server/presence_read.h"
#include "gateway/server/server.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/base/snowflake.h"
#include "platform/io/co.h"
#include "platform/protocol/intents.h"
#include "platform/protocol/json_text.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>

#define FLUSHERS      4
#define FLUSH_AT_ONCE 64
#define SCAN_MS       250

/* A user in a guild whose entry must be compared with its sessions here. */
struct dirty {
    struct list item; /* in standings.soon or .later; on none while it is being put */
    struct topic *topic;
    uint64_t user_id;
    int64_t due_ms;
    bool putting, again, later;
};

/* --- what a session says ---------------------------------------------------------------------------------------------
 */
static void text_free(struct str *s)
{
    mem_free((char *)(uintptr_t)s->p);
    *s = STR_NONE;
}

static int value_make(const struct session *s, const json_t *d, struct str *ret)
{
    struct presence_source from = {
        .is_bot = s->is_bot, .now_ms = clock_wall_ms(), .former = json_member(s->presence.value, STR("activities"))};
    BUF_AUTO struct buf activities = {0}, value = {0};
    enum presence_status status;
    int close = presence_read(d, &from, &status, &activities);

    *ret = STR_NONE;
    if (close || status == PRESENCE_OFFLINE)
        return close;
    presence_value_write(&value, status, (enum presence_device)s->presence.device, buf_str(&activities));
    ret->n = value.len;
    ret->p = mem_strndup(value.data, value.len);
    return 0;
}

static void session_mark(struct session *s)
{
    LIST_FOREACH(it, &s->subs)
    {
        struct topic *t = LIST_ENTRY(it, struct sub, item)->topic;
        if (t->standing)
            presence_mark(t, s->user_id, false);
    }
}

int presence_begin(struct session *s, const struct json_t *presence, const struct json_t *properties)
{
    json_t *plain = json_object();

    s->presence.device = (unsigned char)presence_device_read(properties, s->is_bot);
    int close = value_make(s, presence && !json_is_null(presence) ? presence : plain, &s->presence.value);
    json_decref(plain);
    return close;
}

/* What is too much waits: the last that was said counts when the window is over. */
int presence_update(struct session *s, const struct json_t *d)
{
    struct session_presence *p = &s->presence;
    int64_t now_ms = clock_mono_ms();
    struct str value;
    int close = value_make(s, d, &value);

    if (close)
        return close;
    if (now_ms - p->window_ms >= LIMIT_PRESENCE_WINDOW_MS) {
        p->window_ms = now_ms;
        p->updates = 0;
    }
    if (p->updates >= LIMIT_PRESENCE_UPDATES && s->g->options.limits) {
        text_free(&p->waiting);
        p->waiting = value;
        if (list_empty(&p->held_item))
            list_append(&s->g->standings->held, &p->held_item);
        return 0;
    }
    p->updates++;
    list_remove(&p->held_item);
    text_free(&p->waiting);
    text_free(&p->value);
    p->value = value;
    session_mark(s);
    return 0;
}

void presence_end(struct session *s)
{
    list_remove(&s->presence.held_item);
    text_free(&s->presence.waiting);
    text_free(&s->presence.value);
}

static void held_tick(struct gateway *g, int64_t now_ms)
{
    LIST_FOREACH_SAFE(it, &g->standings->held)
    {
        struct session_presence *p = LIST_ENTRY(it, struct session_presence, held_item);
        struct session *s = LIST_ENTRY(p, struct session, presence);
        if (now_ms - p->window_ms < LIMIT_PRESENCE_WINDOW_MS)
            continue;
        list_remove(it);
        text_free(&p->value);
        p->value = p->waiting;
        p->waiting = STR_NONE;
        p->window_ms = now_ms;
        p->updates = 1;
        if (!s->ended)
            session_mark(s);
    }
}

/* --- from sessions to entries ----------------------------------------------------------------------------------------
 */
void presence_mark(struct topic *t, uint64_t user_id, bool later)
{
    struct standings *n = t->g->standings;

    if (t->g->stopping || !t->standing || t->state != TOPIC_LIVE)
        return;
    later = later && !t->stale; /* its successor waits for it */
    struct dirty *d = map_get(&t->standing->dirty, user_id);
    if (d && d->putting) {
        d->again = true;
        return;
    }
    if (d && (later || !d->later))
        return;
    if (!d) {
        d = MEM_NEW(struct dirty);
        *d = (struct dirty){.topic = t, .user_id = user_id};
        list_init(&d->item);
        map_put(&t->standing->dirty, user_id, d);
        topic_pin(t);
    }
    d->later = later;
    d->due_ms = clock_mono_ms() + (later ? LIMIT_PRESENCE_LATER_MS : LIMIT_PRESENCE_SOON_MS);
    list_remove(&d->item);
    list_append(later ? &n->later : &n->soon, &d->item);
}

static void dirty_free(struct dirty *d)
{
    list_remove(&d->item);
    map_del(&d->topic->standing->dirty, d->user_id);
    topic_release(d->topic);
    mem_free(d);
}

void presence_forget_dirty(struct gateway *g)
{
    struct list *lists[] = {&g->standings->soon, &g->standings->later};

    for (int i = 0; i < 2; i++)
        LIST_FOREACH_SAFE(it, lists[i])
    dirty_free(LIST_ENTRY(it, struct dirty, item));
}

/* What this node's sessions in the guild say together. Nothing is written when all are offline or gone. */
static void sessions_merge(const struct topic *t, uint64_t user_id, struct buf *out)
{
    const struct topic *own = map_get(&t->g->topics, user_id);
    struct arena a = {0};
    unsigned count = 0;

    if (!own || !own->is_user)
        return;
    struct str *values = ARENA_ARRAY(&a, struct str, own->sub_count + 1);
    for (unsigned i = 0; i < own->sub_count; i++) {
        const struct session *s = own->subs[i]->session;
        if (s->presence.value.n && session_has_guild(s, t->id) && topic_sub_find(t, s))
            values[count++] = s->presence.value;
    }
    if (count)
        presence_merge(out, values, count);
    arena_done(&a);
}

static int put(struct dirty *d)
{
    struct topic *t = d->topic;
    struct arena a = {0};
    struct str self = str_c(t->g->standings->owner);
    uint64_t version = 0;
    BUF_AUTO struct buf wanted = {0};

    sessions_merge(t, d->user_id, &wanted);
    struct str has = entries_value(&t->standing->kinds[KV_PRESENCE], d->user_id, self, &version);
    if (str_eq(buf_str(&wanted), has) && (version || !has.n)) {
        arena_done(&a);
        return 0;
    }
    struct kv_change c = {.kind = KV_PRESENCE,
                          .topic = t->id,
                          .field = arena_printf(&a, "%llu:%s", (unsigned long long)d->user_id, self.p),
                          .value = buf_str(&wanted)};
    int r = standing_change(t, &c);
    arena_done(&a);
    return r == -EALREADY ? 0 : r;
}

static void flush(struct dirty *d)
{
    struct topic *t = d->topic;
    uint64_t user_id = d->user_id;

    list_remove(&d->item);
    d->putting = true;
    int r = put(d);
    bool again = d->again;
    dirty_free(d);
    if (again)
        presence_mark(t, user_id, false);
    else if (r < 0)
        presence_mark(t, user_id, true);
}

static struct dirty *due(const struct gateway *g)
{
    struct list *soon = list_first(&g->standings->soon), *later = list_first(&g->standings->later);
    struct dirty *d = soon ? LIST_ENTRY(soon, struct dirty, item) : NULL;
    int64_t now_ms = clock_mono_ms();

    if (d && d->due_ms <= now_ms)
        return d;
    d = later ? LIST_ENTRY(later, struct dirty, item) : NULL;
    return d && d->due_ms <= now_ms ? d : NULL;
}

static void flush_run(void *arg)
{
    struct gateway *g = arg;

    unsigned done = 0;

    for (struct dirty *d; !g->stopping && (d = due(g)); done++) {
        struct topic *t = d->topic;
        if (done % FLUSH_AT_ONCE == FLUSH_AT_ONCE - 1) { /* an embedded kv awaits nothing */
            co_sleep(1);
            continue;
        }
        topic_pin(t); /* flush lets it go and may mark it again */
        flush(d);
        topic_release(t);
    }
    g->standings->flushing--;
    gateway_leave(g);
}

void presence_tick(struct gateway *g, int64_t now_ms)
{
    struct standings *n = g->standings;

    while (n->flushing < FLUSHERS && !g->stopping && due(g)) {
        n->flushing++;
        if (gateway_spawn(g, flush_run, g) < 0) {
            n->flushing--;
            break;
        }
    }
    if (!list_empty(&n->held) && now_ms - n->scanned_ms >= SCAN_MS)
        held_tick(g, now_ms);
}

/* --- from entries to clients -----------------------------------------------------------------------------------------
 */
/* What the guild sees of the user; nothing is written when that is offline. */
static void user_merge(const struct entries_user *u, struct buf *out)
{
    struct arena a = {0};
    unsigned count = 0, all = 0;

    for (const struct entry *entry = u->first; entry; entry = entry->next)
        all++;
    struct str *values = ARENA_ARRAY(&a, struct str, all + 1);
    for (const struct entry *entry = u->first; entry; entry = entry->next)
        if (entry->value.p)
            values[count++] = entry->value;
    if (count == 1)
        buf_add_str(out, values[0]);
    else if (count)
        presence_merge(out, values, count);
    arena_done(&a);
}

/* FNV-1a, never 0. */
static uint64_t hash(struct str s)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
    return h | 1;
}

void presence_changed(struct entries_user *u, struct str old, void *topic)
{
    struct topic *t = topic;
    BUF_AUTO struct buf value = {0}, data = {0};

    (void)old;
    user_merge(u, &value);
    uint64_t now = value.len ? hash(buf_str(&value)) : 0;
    if (now == u->shown)
        return;
    u->shown = now;
    if (!t->sub_count || t->state != TOPIC_LIVE || t->stale)
        return;
    presence_write(&data, u->user_id, t->id, buf_str(&value));
    struct event e = {.id = snowflake_next(),
                      .topic = t->id,
                      .type = EVENT_PRESENCE_UPDATE,
                      .user_id = u->user_id,
                      .data = buf_str(&data)};
    dispatch_event(t, &e);
}

void presence_profile_changed(struct topic *t, const struct event *e)
{
    const struct entries_user *u = t->standing ? entries_user(&t->standing->kinds[KV_PRESENCE], e->user_id) : NULL;
    struct str user = json_member(e->data, STR("user"));
    BUF_AUTO struct buf value = {0}, data = {0};

    if (!user.n || !t->sub_count || t->stale)
        return;
    if (u)
        user_merge(u, &value);
    presence_write_user(&data, user, t->id, buf_str(&value));
    struct event update = {.id = snowflake_next(),
                           .topic = t->id,
                           .type = EVENT_PRESENCE_UPDATE,
                           .user_id = e->user_id,
                           .data = buf_str(&data)};
    dispatch_event(t, &update);
}

void presence_left(struct topic *t, uint64_t user_id)
{
    struct entries_user *u = t->standing ? entries_user(&t->standing->kinds[KV_PRESENCE], user_id) : NULL;

    if (u)
        u->shown = 0;
}

/* --- lists -----------------------------------------------------------------------------------------------------------
 */
void presence_add(const struct topic *t, uint64_t user_id, struct buf *array)
{
    const struct entries_user *u = t->standing ? entries_user(&t->standing->kinds[KV_PRESENCE], user_id) : NULL;
    BUF_AUTO struct buf value = {0};

    if (u)
        user_merge(u, &value);
    if (value.len)
        presence_write(array, user_id, 0, buf_str(&value));
}

/* The session's own: said before it was put. */
static void self_add(const struct sub *sub, struct buf *out)
{
    const struct entries_user *u = entries_user(&sub->topic->standing->kinds[KV_PRESENCE], sub->user_id);

    if (u && u->shown)
        presence_add(sub->topic, sub->user_id, out);
    else if (sub->session->presence.value.n)
        presence_write(out, sub->user_id, 0, sub->session->presence.value);
}

static void offline_add(const struct sub *sub, struct buf *out)
{
    const struct guild_state *g = sub->topic->guild;
    const struct entries *e = &sub->topic->standing->kinds[KV_PRESENCE];
    size_t cursor = 0;

    for (struct state_member *m; (m = map_next(&g->members, &cursor));) {
        const struct entries_user *u = entries_user(e, m->user_id);
        if (m->user_id != sub->user_id && !(u && u->shown))
            presence_write(out, m->user_id, 0, STR_NONE);
    }
}

/* Without the intent, and of the largest guilds, a session sees itself and those in voice channels. Offline members are
 * listed where all are ("if the size is greater than large_threshold", only the others). */
void presence_list_write(const struct sub *sub, struct buf *out)
{
    const struct topic *t = sub->topic;
    const struct guild_state *g = t->guild;
    bool all = sub->intents & INTENT_GUILD_PRESENCES && g->member_count <= LIMIT_PRESENCE_GUILD_MEMBERS;
    const struct entries *from = &t->standing->kinds[all ? KV_PRESENCE : KV_VOICE];
    /* of many, those whose members are listed */
    bool some = all && !g->members_complete && from->users.count > LIMIT_GUILD_ACTIVES;
    unsigned left = some ? LIMIT_GUILD_ACTIVES : UINT_MAX;
    size_t cursor = 0;

    jw_arr(out);
    self_add(sub, out);
    for (struct entries_user *u; left && (u = map_next(&from->users, &cursor));)
        if (u->user_id != sub->user_id && !(some && !guild_state_member(g, u->user_id))) {
            presence_add(t, u->user_id, out);
            left--;
        }
    if (all && g->members_complete && g->member_count <= sub->session->large_threshold)
        offline_add(sub, out);
    jw_arr_end(out);
}
