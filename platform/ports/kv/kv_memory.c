/* `kv` inside one process. Everything happens at once, so every operation is atomic by itself. Expired entries are seen
 * as absent and are freed when their table has doubled. Loop thread. */
#include "platform/ports/kv/kv_memory.h"
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/map.h"
#include "platform/base/mem.h"

#include <errno.h>

/* Anything that ends by itself: the head of the structs below. */
struct expiring {
    int64_t until_ms;
};

struct node {
    struct expiring e;
    char *id, *url;
};

struct lease {
    struct expiring e;
    char *owner;
    uint64_t epoch; /* outlives its holder */
};

struct bucket {
    struct expiring e;
    int used;
};

struct value {
    struct expiring e;
    size_t len;
    char bytes[];
};

struct topic_entry {
    uint64_t number, event_id;
    int64_t at_ms;
};

struct topic {
    uint64_t number;
    char **nodes;
    unsigned node_count;
    struct topic_entry *log; /* a ring of the latest, allocated as it fills */
    unsigned log_len, log_cap, log_head;
};

struct table {
    struct smap map;
    size_t sweep_at;
};

struct kv_memory {
    struct kv kv;
    struct map topics;
    struct map entries[KV_KINDS];
    struct table nodes, leases, buckets, values;
    struct kv_memory_sessions *sessions;
};

#define SWEEP_MIN 256

static struct kv_memory *self_of(struct kv *kv)
{
    return (struct kv_memory *)(void *)kv;
}

struct map *kv_memory_entries(struct kv *kv, enum kv_kind kind)
{
    return &self_of(kv)->entries[kind];
}

static bool alive(const struct expiring *e)
{
    return e && e->until_ms > clock_mono_ms();
}

static void node_free(void *p)
{
    struct node *n = p;
    mem_free(n->id);
    mem_free(n->url);
    mem_free(n);
}

static void lease_free(void *p)
{
    mem_free(((struct lease *)p)->owner);
    mem_free(p);
}

/* --- tables --- */

static void table_done(struct table *t, void (*free_fn)(void *))
{
    size_t i = 0;
    struct str key;
    for (void *v; (v = smap_next(&t->map, &i, &key));)
        free_fn(v);
    smap_done(&t->map);
}

static void table_sweep(struct table *t, void (*free_fn)(void *))
{
    if (t->map.count < (t->sweep_at ? t->sweep_at : SWEEP_MIN))
        return;
    size_t i = 0;
    struct str key;
    for (void *v; (v = smap_next(&t->map, &i, &key));)
        if (!alive(v)) {
            smap_del(&t->map, key);
            free_fn(v);
        }
    t->sweep_at = t->map.count * 2 > SWEEP_MIN ? t->map.count * 2 : SWEEP_MIN;
}

static void table_put(struct table *t, const char *key, void *v, void (*free_fn)(void *))
{
    void *old = smap_put(&t->map, str_c(key), v);
    if (old)
        free_fn(old);
    table_sweep(t, free_fn);
}

/* --- nodes --- */

static int node_renew(struct kv *kv, const char *node_id, const char *url, int64_t ttl_ms, bool first)
{
    struct kv_memory *m = self_of(kv);
    struct node *n = smap_get(&m->nodes.map, str_c(node_id));
    if (!first && !alive(n ? &n->e : NULL))
        return -EOWNERDEAD;
    struct node *fresh = MEM_NEW(struct node);
    *fresh = (struct node){{clock_mono_ms() + ttl_ms}, mem_strdup(node_id), mem_strdup(url)};
    table_put(&m->nodes, node_id, fresh, node_free);
    return 0;
}

static int node_remove(struct kv *kv, const char *node_id)
{
    struct node *n = smap_del(&self_of(kv)->nodes.map, str_c(node_id));
    if (n)
        node_free(n);
    return 0;
}

static int nodes_list(struct kv *kv, struct arena *a, struct kv_node **ret, unsigned *ret_count)
{
    struct kv_memory *m = self_of(kv);
    struct kv_node *nodes = ARENA_ARRAY(a, struct kv_node, m->nodes.map.count + 1);
    unsigned count = 0;
    size_t i = 0;
    struct str key;
    for (struct node *n; (n = smap_next(&m->nodes.map, &i, &key));)
        if (alive(&n->e))
            nodes[count++] = (struct kv_node){arena_str(a, str_c(n->id)), arena_str(a, str_c(n->url))};
    *ret = nodes;
    *ret_count = count;
    return 0;
}

/* --- topics --- */

static struct topic *topic_of(struct kv_memory *m, uint64_t id)
{
    struct topic *t = map_get(&m->topics, id);
    if (!t) {
        t = MEM_NEW(struct topic);
        map_put(&m->topics, id, t);
    }
    return t;
}

static int topic_find_node(const struct topic *t, const char *node_id)
{
    for (unsigned i = 0; i < t->node_count; i++)
        if (strcmp(t->nodes[i], node_id) == 0)
            return (int)i;
    return -1;
}

static int interest_add(struct kv *kv, const char *node_id, const uint64_t *topics, unsigned count,
                        uint64_t *ret_numbers)
{
    for (unsigned i = 0; i < count; i++) {
        struct topic *t = topic_of(self_of(kv), topics[i]);
        if (topic_find_node(t, node_id) < 0) {
            t->nodes = mem_realloc(t->nodes, sizeof *t->nodes * (t->node_count + 1));
            t->nodes[t->node_count++] = mem_strdup(node_id);
        }
        ret_numbers[i] = t->number;
    }
    return 0;
}

static int interest_remove(struct kv *kv, const char *node_id, const uint64_t *topics, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct topic *t = topic_of(self_of(kv), topics[i]);
        int at = topic_find_node(t, node_id);
        if (at < 0)
            continue;
        mem_free(t->nodes[at]);
        t->nodes[at] = t->nodes[--t->node_count];
    }
    return 0;
}

static void route_fill(const struct topic *t, struct arena *a, struct kv_route *ret)
{
    *ret = (struct kv_route){.node_count = t->node_count};
    ret->node_ids = ARENA_ARRAY(a, const char *, t->node_count + 1);
    for (unsigned i = 0; i < t->node_count; i++)
        ret->node_ids[i] = arena_strdup(a, str_c(t->nodes[i]));
}

static void log_add(struct topic *t, uint64_t event_id)
{
    struct topic_entry e = {t->number, event_id, clock_mono_ms()};
    if (t->log_len == t->log_cap && t->log_cap < KV_TOPIC_LOG_MAX) {
        CHECK(t->log_head == 0);
        t->log_cap = t->log_cap ? t->log_cap * 2 : 16;
        t->log = mem_realloc(t->log, sizeof *t->log * t->log_cap);
    }
    if (t->log_len < t->log_cap) {
        t->log[t->log_len++] = e;
        return;
    }
    CHECK(t->log_cap > 0);
    t->log[t->log_head] = e;
    t->log_head = (t->log_head + 1) % t->log_cap;
}

/* The number event_id has already, or 0. */
static uint64_t log_find(const struct topic *t, uint64_t event_id)
{
    for (unsigned i = t->log_len; i-- > 0;)
        if (t->log[i].event_id == event_id)
            return t->log[i].number;
    return 0;
}

static int topics_next(struct kv *kv, struct arena *a, const uint64_t *topics, const uint64_t *event_ids,
                       unsigned count, struct kv_route *ret)
{
    for (unsigned i = 0; i < count; i++) {
        struct topic *t = topic_of(self_of(kv), topics[i]);
        uint64_t number = log_find(t, event_ids[i]);
        if (!number) {
            number = ++t->number;
            log_add(t, event_ids[i]);
        }
        route_fill(t, a, &ret[i]);
        ret[i].number = number;
    }
    return 0;
}

static int topic_route(struct kv *kv, struct arena *a, uint64_t topic, struct kv_route *ret)
{
    route_fill(topic_of(self_of(kv), topic), a, ret);
    return 0;
}

static int topic_events(struct kv *kv, uint64_t topic, uint64_t from, uint64_t to, uint64_t *ret_ids)
{
    const struct topic *t = topic_of(self_of(kv), topic);
    int64_t oldest = clock_mono_ms() - KV_TOPIC_LOG_MS;
    memset(ret_ids, 0, sizeof *ret_ids * (to - from + 1));
    for (unsigned i = 0; i < t->log_len; i++) {
        const struct topic_entry *e = &t->log[i];
        if (e->number >= from && e->number <= to && e->at_ms >= oldest)
            ret_ids[e->number - from] = e->event_id;
    }
    return 0;
}

/* --- leases --- */

static int lease_take(struct kv *kv, const char *name, const char *owner, int64_t ttl_ms, uint64_t *ret_epoch)
{
    struct kv_memory *m = self_of(kv);
    struct lease *l = smap_get(&m->leases.map, str_c(name));
    if (alive(l ? &l->e : NULL))
        return -EBUSY;
    uint64_t epoch = l ? l->epoch + 1 : 1;
    struct lease *fresh = MEM_NEW(struct lease);
    *fresh = (struct lease){{clock_mono_ms() + ttl_ms}, mem_strdup(owner), epoch};
    l = smap_put(&m->leases.map, str_c(name), fresh); /* never swept: epochs must rise */
    if (l)
        lease_free(l);
    *ret_epoch = epoch;
    return 0;
}

static struct lease *lease_held(struct kv *kv, const char *name, const char *owner, uint64_t epoch)
{
    struct lease *l = smap_get(&self_of(kv)->leases.map, str_c(name));
    return alive(l ? &l->e : NULL) && l->epoch == epoch && strcmp(l->owner, owner) == 0 ? l : NULL;
}

static int lease_renew(struct kv *kv, const char *name, const char *owner, uint64_t epoch, int64_t ttl_ms)
{
    struct lease *l = lease_held(kv, name, owner, epoch);
    if (!l)
        return -EOWNERDEAD;
    l->e.until_ms = clock_mono_ms() + ttl_ms;
    return 0;
}

static int lease_release(struct kv *kv, const char *name, const char *owner, uint64_t epoch)
{
    struct lease *l = lease_held(kv, name, owner, epoch);
    if (!l)
        return -EOWNERDEAD;
    l->e.until_ms = 0;
    return 0;
}

/* --- buckets --- */

static struct bucket *bucket_of(struct kv_memory *m, const struct kv_bucket *b)
{
    struct bucket *found = smap_get(&m->buckets.map, str_c(b->key));
    return alive(found ? &found->e : NULL) ? found : NULL;
}

static void bucket_use(struct kv_memory *m, const struct kv_bucket *b)
{
    struct bucket *found = bucket_of(m, b);
    if (!found) {
        found = MEM_NEW(struct bucket);
        found->e.until_ms = clock_mono_ms() + b->window_ms;
        table_put(&m->buckets, b->key, found, mem_free);
    }
    found->used++;
}

static int buckets_take(struct kv *kv, const struct kv_bucket *buckets, unsigned count, bool take,
                        struct kv_bucket_state *ret)
{
    struct kv_memory *m = self_of(kv);
    bool all = true;
    for (unsigned i = 0; i < count; i++) {
        const struct bucket *b = bucket_of(m, &buckets[i]);
        ret[i].allowed = !b || b->used < buckets[i].limit;
        all = all && ret[i].allowed;
    }
    for (unsigned i = 0; i < count; i++) {
        if (take && all)
            bucket_use(m, &buckets[i]);
        const struct bucket *b = bucket_of(m, &buckets[i]);
        int left = buckets[i].limit - (b ? b->used : 0);
        ret[i].remaining = left > 0 ? left : 0;
        ret[i].reset_after_ms = b ? b->e.until_ms - clock_mono_ms() : buckets[i].window_ms;
    }
    return 0;
}

static bool part_of(struct str key, struct str part)
{
    return !part.n || memmem(key.p, key.n, part.p, part.n);
}

static int buckets_list(struct kv *kv, struct arena *a, struct str part, unsigned max, struct kv_bucket_open *ret,
                        unsigned *ret_count)
{
    struct str key;
    size_t cursor = 0;

    for (const struct bucket *b; *ret_count < max && (b = smap_next(&self_of(kv)->buckets.map, &cursor, &key));)
        if (alive(&b->e) && part_of(key, part))
            ret[(*ret_count)++] = (struct kv_bucket_open){arena_str(a, key), b->used, b->e.until_ms - clock_mono_ms()};
    return 0;
}

static int buckets_advance(struct kv *kv, struct str part, int64_t ms, unsigned *ret_count)
{
    struct str key;
    size_t cursor = 0;

    for (struct bucket *b; (b = smap_next(&self_of(kv)->buckets.map, &cursor, &key));)
        if (alive(&b->e) && part_of(key, part)) {
            b->e.until_ms -= ms;
            ++*ret_count;
        }
    return 0;
}

/* --- values --- */

static int put(struct kv *kv, const char *key, struct str value, int64_t ttl_ms)
{
    struct value *v = mem_alloc(sizeof *v + value.n);
    v->e.until_ms = clock_mono_ms() + ttl_ms;
    v->len = value.n;
    memcpy(v->bytes, value.p, value.n);
    table_put(&self_of(kv)->values, key, v, mem_free);
    return 0;
}

static int get(struct kv *kv, struct arena *a, const char *key, struct str *ret)
{
    const struct value *v = smap_get(&self_of(kv)->values.map, str_c(key));
    if (!alive(v ? &v->e : NULL))
        return -ENOENT;
    *ret = arena_str(a, (struct str){v->bytes, v->len});
    return 0;
}

static int put_new(struct kv *kv, struct arena *a, const char *key, struct str value, int64_t ttl_ms,
                   struct str *ret_existing)
{
    return get(kv, a, key, ret_existing) == 0 ? -EEXIST : put(kv, key, value, ttl_ms);
}

static int del(struct kv *kv, const char *key)
{
    mem_free(smap_del(&self_of(kv)->values.map, str_c(key)));
    return 0;
}

/* --- */

struct kv_memory_sessions *kv_memory_sessions_of(struct kv *kv)
{
    return self_of(kv)->sessions;
}

static bool ready(const struct kv *kv)
{
    (void)kv;
    return true;
}

static void memory_close(struct kv *kv)
{
    struct kv_memory *m = self_of(kv);
    size_t i = 0;
    for (struct topic *t; (t = map_next(&m->topics, &i));) {
        for (unsigned k = 0; k < t->node_count; k++)
            mem_free(t->nodes[k]);
        mem_free(t->nodes);
        mem_free(t->log);
        mem_free(t);
    }
    map_done(&m->topics);
    for (int kind = 0; kind < KV_KINDS; kind++)
        kv_memory_entries_free(&m->entries[kind]);
    table_done(&m->nodes, node_free);
    table_done(&m->leases, lease_free);
    table_done(&m->buckets, mem_free);
    table_done(&m->values, mem_free);
    kv_memory_sessions_free(m->sessions);
    mem_free(m);
}

struct kv *kv_memory_open(void)
{
    static const struct kv_ops ops = {
        .close = memory_close,
        .ready = ready,
        .node_renew = node_renew,
        .node_remove = node_remove,
        .nodes_list = nodes_list,
        .interest_add = interest_add,
        .interest_remove = interest_remove,
        .topics_next = topics_next,
        .topic_route = topic_route,
        .topic_events = topic_events,
        .entry_change = kv_memory_entry_change,
        .entries_list = kv_memory_entries_list,
        .entries_load = kv_memory_entries_load,
        .entry_get = kv_memory_entry_get,
        .entries_count = kv_memory_entries_count,
        .entries_versions = kv_memory_entries_versions,
        .lease_take = lease_take,
        .lease_renew = lease_renew,
        .lease_release = lease_release,
        .buckets_take = buckets_take,
        .buckets_list = buckets_list,
        .buckets_advance = buckets_advance,
        .put = put,
        .put_new = put_new,
        .get = get,
        .del = del,
        .sessions_put = kv_memory_sessions_put,
        .session_get = kv_memory_session_get,
        .session_claim = kv_memory_session_claim,
        .session_del = kv_memory_session_del,
        .log_append = kv_memory_log_append,
        .log_read = kv_memory_log_read,
        .log_numbers = kv_memory_log_numbers,
        .log_drop = kv_memory_log_drop,
    };
    struct kv_memory *m = MEM_NEW(struct kv_memory);
    m->kv = (struct kv){.ops = &ops, .embedded = true};
    m->sessions = kv_memory_sessions_new();
    return &m->kv;
}
