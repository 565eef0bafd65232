/* Standing: copies of kv's entries, kept true. Loop thread; what reaches kv runs on coroutines.
 * Limits: LIMIT_STANDING_*. */
#include "gateway/server/standing.h"

#include "gateway/server/server.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/base/snowflake.h"
#include "platform/ports/entries.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/json_text.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#define SCAN_MS     250
#define ALIVE_MS    5000 /* how often a node says that it lives, and asks about the others */
#define CHECK_BATCH 256

METRIC_DEFINE(changes, METRIC_COUNTER, "guildhall_gateway_standing_changes_total",
              "Presences and voice states this node changed");
METRIC_DEFINE(reloads, METRIC_COUNTER, "guildhall_gateway_standing_reloads_total",
              "Guilds whose presences and voice states were read again because a change was missing");
METRIC_DEFINE(deaths, METRIC_COUNTER, "guildhall_gateway_standing_deaths_total",
              "Other nodes found dead, whose presences and voice states were dropped");

static const entries_fn shown[KV_KINDS] = {[KV_PRESENCE] = presence_changed, [KV_VOICE] = voice_changed};

/* --- owners ----------------------------------------------------------------------------------------------------------
 */
struct owner {
    int64_t alive_ms; /* heard of, or met first */
    bool dead;
};

struct standings *standings_new(void)
{
    struct standings *n = MEM_NEW(struct standings);
    unsigned char bytes[6];

    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        memcpy(bytes, &(uint64_t){clock_mono_ns()}, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(n->owner + 2 * i, 3, "%02x", bytes[i]);
    list_init(&n->behind);
    list_init(&n->soon);
    list_init(&n->later);
    list_init(&n->held);
    return n;
}

void standings_free(struct gateway *g)
{
    struct standings *n = g->standings;
    struct str name;
    size_t i = 0;

    presence_forget_dirty(g);
    LIST_FOREACH_SAFE(it, &n->behind) /* topics live a moment longer */
    list_remove(it);
    for (struct owner *o; (o = smap_next(&n->owners, &i, &name));)
        mem_free(o);
    smap_done(&n->owners);
    mem_free(n);
}

/* Whom an entry belongs to: its field says it, or its value (voice.c) begins with it. */
static struct str owner_of(const struct entry *entry)
{
    struct str name = STR_NONE;

    if (*entry->owner)
        return str_c(entry->owner);
    (void)json_str_plain(json_member(entry->value, STR("owner")), &name);
    return name;
}

static const struct owner *owner_meet(struct standings *n, struct str name)
{
    struct owner *o = smap_get(&n->owners, name);

    if (!o && name.n && !str_eq(name, str_c(n->owner))) {
        o = MEM_NEW(struct owner);
        o->alive_ms = clock_mono_ms();
        smap_put(&n->owners, name, o);
    }
    return o;
}

static void on_change(struct topic *t, enum kv_kind kind, struct entries_user *u, struct str old)
{
    for (const struct entry *entry = u->first; entry; entry = entry->next)
        if (entry->value.p)
            (void)owner_meet(t->g->standings, owner_of(entry));
    shown[kind](u, old, t);
}

static void on_presence(struct entries_user *u, struct str old, void *arg)
{
    on_change(arg, KV_PRESENCE, u, old);
}

static void on_voice(struct entries_user *u, struct str old, void *arg)
{
    on_change(arg, KV_VOICE, u, old);
}

static const entries_fn on_kind[KV_KINDS] = {[KV_PRESENCE] = on_presence, [KV_VOICE] = on_voice};

static void key_of(char out[48], struct str owner)
{
    snprintf(out, 48, "owner:%.*s", STR_ARG(owner));
}

static bool owned_by(struct entry *entry, void *arg)
{
    return str_eq(owner_of(entry), str_c(arg));
}

/* The copy forgets at once; kv's entries are removed by whoever of the living comes first. */
static void bury_in(struct topic *t, const char *owner)
{
    for (int kind = 0; kind < KV_KINDS; kind++) {
        struct entries *e = &t->standing->kinds[kind];
        struct arena a = {0};
        struct kv_entry *list = ARENA_ARRAY(&a, struct kv_entry, e->users.count + 1);
        unsigned count = 0;
        size_t cursor = 0;
        for (struct entries_user *u; (u = map_next(&e->users, &cursor));)
            for (struct entry *entry = u->first; entry; entry = entry->next)
                if (entry->value.p && owned_by(entry, (char *)(uintptr_t)owner)) {
                    list[count].value = arena_str(&a, entry->value);
                    list[count++].field = arena_printf(&a, "%llu%s%s", (unsigned long long)u->user_id,
                                                       *entry->owner ? ":" : "", entry->owner);
                    break;
                }
        entries_drop(e, owned_by, (char *)(uintptr_t)owner, on_kind[kind], t);
        for (unsigned i = 0; i < count && !t->stale; i++)
            (void)standing_change(
                t, &(struct kv_change){
                       .kind = (enum kv_kind)kind, .topic = t->id, .field = list[i].field, .expect = list[i].value});
        arena_done(&a);
    }
}

static unsigned guilds_of(const struct gateway *g, uint64_t *ids)
{
    unsigned count = 0;
    size_t cursor = 0;

    for (struct topic *t; (t = map_next(&g->topics, &cursor));)
        if (t->standing && t->state == TOPIC_LIVE && !t->stale)
            ids[count++] = t->id;
    return count;
}

static struct topic *guild_pin(struct gateway *g, uint64_t id)
{
    struct topic *t = map_get(&g->topics, id);

    if (!t || !t->standing || t->state != TOPIC_LIVE || t->stale)
        return NULL;
    topic_pin(t);
    return t;
}

static void bury(struct gateway *g, const char *owner)
{
    uint64_t *ids = mem_alloc(sizeof *ids * (g->topics.count + 1));
    unsigned count = guilds_of(g, ids);

    LOG_INFO("node is dead", "run=%s", owner);
    metric_add(&deaths, 1);
    for (unsigned i = 0; i < count && !g->stopping; i++) {
        struct topic *t = guild_pin(g, ids[i]);
        if (!t)
            continue;
        bury_in(t, owner);
        topic_release(t);
    }
    mem_free(ids);
}

/* Nothing is judged by a kv that cannot be asked. */
static void owner_ask(struct gateway *g, struct str name)
{
    struct owner *o = smap_get(&g->standings->owners, name);
    struct arena a = {0};
    struct str got;
    char key[48];

    key_of(key, name);
    int r = kv_get(g->ports->kv, &a, key, &got);
    if (r == 0) {
        o->alive_ms = clock_mono_ms();
        o->dead = false;
    } else if (r == -ENOENT && !o->dead && clock_mono_ms() - o->alive_ms > LIMIT_STANDING_OWNER_MS) {
        char owner[ENTRY_OWNER_CHARS + 1];
        snprintf(owner, sizeof owner, "%.*s", STR_ARG(name));
        o->dead = true;
        bury(g, owner);
    }
    arena_done(&a);
}

static void owners_ask(struct gateway *g)
{
    struct arena a = {0};
    struct str name, *names = ARENA_ARRAY(&a, struct str, g->standings->owners.count + 1);
    unsigned count = 0;
    size_t i = 0;

    while (smap_next(&g->standings->owners, &i, &name))
        names[count++] = arena_str(&a, name);
    for (unsigned n = 0; n < count && !g->stopping; n++)
        owner_ask(g, names[n]);
    arena_done(&a);
}

static void say_alive(struct gateway *g)
{
    char key[48];

    key_of(key, str_c(g->standings->owner));
    (void)kv_put(g->ports->kv, key, STR("1"), LIMIT_NODE_LEASE_MS);
}

void standings_stop(struct gateway *g)
{
    char key[48];

    key_of(key, str_c(g->standings->owner));
    (void)kv_del(g->ports->kv, key);
}

/* --- one guild -------------------------------------------------------------------------------------------------------
 */
struct standing *standing_new(struct topic *t)
{
    struct standing *s = MEM_NEW(struct standing);

    s->topic = t;
    for (int kind = 0; kind < KV_KINDS; kind++)
        entries_init(&s->kinds[kind]);
    list_init(&s->behind_item);
    return s;
}

void standing_free(struct standing *s)
{
    if (!s)
        return;
    list_remove(&s->behind_item);
    for (int kind = 0; kind < KV_KINDS; kind++)
        entries_done(&s->kinds[kind]);
    map_done(&s->dirty);
    mem_free(s);
}

static void behind(struct topic *t, int64_t wait_ms)
{
    struct standing *s = t->standing;
    bool missing = entries_behind(&s->kinds[KV_PRESENCE]) || entries_behind(&s->kinds[KV_VOICE]);

    if (!missing || !list_empty(&s->behind_item)) {
        if (!missing)
            list_remove(&s->behind_item);
        return;
    }
    s->behind_due_ms = clock_mono_ms() + wait_ms;
    list_append(&t->g->standings->behind, &s->behind_item);
}

/* Own presences are compared with the sessions there are: kv may have one of a session that has ended. */
static void own_mark(struct topic *t)
{
    const struct entries *e = &t->standing->kinds[KV_PRESENCE];
    struct str self = str_c(t->g->standings->owner);
    uint64_t version;
    size_t cursor = 0;

    for (struct entries_user *u; (u = map_next(&e->users, &cursor));)
        if (entries_value(e, u->user_id, self, &version).p)
            presence_mark(t, u->user_id, false);
    voice_own_check(t);
}

static int kind_load(struct topic *t, enum kv_kind kind)
{
    struct arena a = {0};
    struct kv_entry *list;
    unsigned count;
    uint64_t version;
    int r = kv_entries_list(t->g->ports->kv, &a, kind, t->id, &list, &count, &version);

    if (r == 0 && !t->stale)
        entries_load(&t->standing->kinds[kind], list, count, version, on_kind[kind], t);
    else
        t->standing->kinds[kind].lost = true;
    arena_done(&a);
    return r;
}

void standing_reload(struct topic *t, enum kv_kind kind)
{
    (void)kind_load(t, kind);
}

static void take(struct topic *t, const struct kv_entries *read)
{
    for (int kind = 0; kind < KV_KINDS; kind++)
        if (read)
            entries_load(&t->standing->kinds[kind], read[kind].list, read[kind].count, read[kind].version,
                         on_kind[kind], t);
        else
            t->standing->kinds[kind].lost = true;
}

void standing_begin(struct topic *t)
{
    own_mark(t);
    behind(t, LIMIT_STANDING_GAP_MS);
}

void standing_load(struct gateway *g, struct topic **topics, unsigned count)
{
    struct arena a = {0};
    uint64_t incarnation = g->incarnation, *ids = ARENA_ARRAY(&a, uint64_t, count + 1);
    struct kv_entries *read = ARENA_ARRAY(&a, struct kv_entries, (size_t)count * KV_KINDS + 1);

    for (unsigned i = 0; i < count; i++)
        ids[i] = topics[i]->id;
    int r = kv_entries_load(g->ports->kv, &a, ids, count, read);
    bool good = r == 0 && incarnation == g->incarnation;
    for (unsigned i = 0; i < count; i++)
        take(topics[i], good ? read + (size_t)i * KV_KINDS : NULL);
    arena_done(&a);
}

static void apply(struct topic *t, const struct kv_change *c, uint64_t version)
{
    entries_apply(&t->standing->kinds[c->kind], version, c->field, c->value, on_kind[c->kind], t);
    behind(t, LIMIT_STANDING_GAP_MS);
}

void standing_deliver(struct topic *t, const struct event *e)
{
    uint64_t kind, version;
    struct kv_change c = {.topic = t->id, .value = json_member(e->data, STR("value"))};
    const char *self = t->g->standings->owner;

    if (!t->standing || json_u64(json_member(e->data, STR("kind")), &kind) < 0 || kind >= KV_KINDS ||
        json_u64(json_member(e->data, STR("version")), &version) < 0 ||
        json_str_plain(json_member(e->data, STR("field")), &c.field) < 0)
        return;
    c.kind = (enum kv_kind)kind;
    apply(t, &c, version);
    const char *colon = memchr(c.field.p, ':', c.field.n);
    uint64_t user_id;
    if (colon && strncmp(colon + 1, self, strlen(self)) == 0 &&
        snowflake_parse((struct str){c.field.p, (size_t)(colon - c.field.p)}, &user_id) == 0)
        presence_mark(t, user_id, false); /* somebody took this node for dead */
}

int standing_change(struct topic *t, const struct kv_change *change)
{
    struct arena a = {0};
    struct kv_route route;
    uint64_t incarnation = t->g->incarnation;
    int r = kv_entry_change(t->g->ports->kv, &a, change, &route);

    if (r == 0) {
        metric_add(&changes, 1);
        if (incarnation == t->g->incarnation && !t->stale)
            apply(t, change, route.number);
        entries_publish(t->g->ports, &a, change, &route, t->g->node_id);
    }
    arena_done(&a);
    return r;
}

/* --- staying true ----------------------------------------------------------------------------------------------------
 */
static void repair_one(struct gateway *g, struct topic *t)
{
    struct standing *s = t->standing;

    list_remove(&s->behind_item);
    for (int kind = 0; kind < KV_KINDS && !t->stale; kind++)
        if (entries_behind(&s->kinds[kind]) && kind_load(t, (enum kv_kind)kind) == 0)
            metric_add(&reloads, 1);
    own_mark(t);
    behind(t, g->stopping ? 0 : LIMIT_STANDING_GAP_MS);
}

static struct topic *due(struct gateway *g)
{
    LIST_FOREACH(it, &g->standings->behind)
    {
        struct standing *s = LIST_ENTRY(it, struct standing, behind_item);
        if (s->behind_due_ms <= clock_mono_ms() && s->topic->state == TOPIC_LIVE && !s->topic->stale)
            return s->topic;
    }
    return NULL;
}

static void repair_run(void *arg)
{
    struct gateway *g = arg;

    for (struct topic *t; !g->stopping && (t = due(g));) {
        topic_pin(t);
        repair_one(g, t);
        topic_release(t);
    }
    g->standings->repairing = false;
    gateway_leave(g);
}

static void compare(struct gateway *g, uint64_t id, const uint64_t *versions)
{
    struct topic *t = map_get(&g->topics, id);

    if (!t || !t->standing || t->state != TOPIC_LIVE)
        return;
    for (int kind = 0; kind < KV_KINDS; kind++)
        t->standing->kinds[kind].expected = versions[kind];
    behind(t, LIMIT_STANDING_GAP_MS);
}

static void versions_check(struct gateway *g)
{
    uint64_t incarnation = g->incarnation;
    uint64_t *ids = mem_alloc(sizeof *ids * (g->topics.count + 1));
    uint64_t *versions = mem_alloc(sizeof *versions * CHECK_BATCH * KV_KINDS);
    unsigned count = guilds_of(g, ids);

    for (unsigned i = 0; i < count && !g->stopping; i += CHECK_BATCH) {
        unsigned n = count - i < CHECK_BATCH ? count - i : CHECK_BATCH;
        if (kv_entries_versions(g->ports->kv, ids + i, n, versions) < 0 || incarnation != g->incarnation)
            break;
        for (unsigned k = 0; k < n; k++)
            compare(g, ids[i + k], versions + (size_t)k * KV_KINDS);
    }
    mem_free(versions);
    mem_free(ids);
}

static void check_run(void *arg)
{
    struct gateway *g = arg;
    struct standings *n = g->standings;

    say_alive(g);
    owners_ask(g);
    if (clock_mono_ms() - n->checked_ms > LIMIT_STANDING_CHECK_MS) {
        versions_check(g);
        n->checked_ms = clock_mono_ms();
    }
    n->checking = false;
    gateway_leave(g);
}

void standings_incarnation(struct gateway *g)
{
    size_t cursor = 0;

    for (struct topic *t; (t = map_next(&g->topics, &cursor));) {
        if (!t->standing)
            continue;
        for (int kind = 0; kind < KV_KINDS; kind++)
            entries_reset(&t->standing->kinds[kind]);
        list_remove(&t->standing->behind_item);
        if (t->state == TOPIC_LIVE && !t->stale) {
            behind(t, LIMIT_STANDING_YOUNG_MS);
            own_mark(t);
        }
    }
}

void standings_tick(struct gateway *g, int64_t now_ms)
{
    struct standings *n = g->standings;

    presence_tick(g, now_ms);
    if (now_ms - n->scanned_ms < SCAN_MS || g->stopping)
        return;
    n->scanned_ms = now_ms;
    if (!n->repairing && due(g)) {
        n->repairing = true;
        if (gateway_spawn(g, repair_run, g) < 0)
            n->repairing = false;
    }
    if (!n->checking && (!n->alive_ms || now_ms - n->alive_ms > ALIVE_MS)) {
        n->alive_ms = now_ms;
        n->checking = true;
        if (gateway_spawn(g, check_run, g) < 0)
            n->checking = false;
    }
}
