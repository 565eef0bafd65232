/* `kv` inside one process: entries. A topic's fields are few where many change at once, and looked up by hash. Loop
 * thread. */
#include "platform/base/map.h"
#include "platform/base/mem.h"
#include "platform/ports/kv/kv_private.h"

#include <errno.h>

struct text {
    size_t len;
    char bytes[];
};

struct entries {
    uint64_t version;
    struct smap fields; /* -> struct text */
};

void kv_memory_entries_free(struct map *map)
{
    size_t cursor = 0;

    for (struct entries *e; (e = map_next(map, &cursor));) {
        struct str field;
        size_t i = 0;
        for (struct text *t; (t = smap_next(&e->fields, &i, &field));)
            mem_free(t);
        smap_done(&e->fields);
        mem_free(e);
    }
    map_done(map);
}

static struct entries *entries_of(struct kv *kv, enum kv_kind kind, uint64_t topic)
{
    struct map *map = kv_memory_entries(kv, kind);
    struct entries *e = map_get(map, topic);

    if (!e) {
        e = MEM_NEW(struct entries);
        map_put(map, topic, e);
    }
    return e;
}

static struct str text_of(const struct text *t)
{
    return t ? (struct str){t->bytes, t->len} : STR_NONE;
}

static struct text *text_new(struct str s)
{
    struct text *t = mem_alloc(sizeof *t + s.n);

    t->len = s.n;
    memcpy(t->bytes, s.p, s.n);
    return t;
}

int kv_memory_entry_change(struct kv *kv, struct arena *a, const struct kv_change *c, struct kv_route *ret)
{
    struct entries *e = entries_of(kv, c->kind, c->topic);
    struct str now = text_of(smap_get(&e->fields, c->field));

    if ((c->expect.n && !str_starts(now, c->expect)) || (c->if_version && e->version != c->version))
        return -EAGAIN;
    if (str_eq(now, c->value))
        return -EALREADY;
    mem_free(c->value.n ? smap_put(&e->fields, c->field, text_new(c->value)) : smap_del(&e->fields, c->field));
    (void)kv->ops->topic_route(kv, a, c->topic, ret);
    ret->number = ++e->version;
    return 0;
}

int kv_memory_entries_list(struct kv *kv, struct arena *a, enum kv_kind kind, uint64_t topic, struct kv_entry **ret,
                           unsigned *ret_count, uint64_t *ret_version)
{
    struct entries *e = entries_of(kv, kind, topic);
    struct kv_entry *list = ARENA_ARRAY(a, struct kv_entry, e->fields.count + 1);
    unsigned count = 0;
    struct str field;
    size_t i = 0;

    for (struct text *t; (t = smap_next(&e->fields, &i, &field));)
        list[count++] = (struct kv_entry){arena_str(a, field), arena_str(a, text_of(t))};
    *ret = list;
    *ret_count = count;
    *ret_version = e->version;
    return 0;
}

int kv_memory_entries_load(struct kv *kv, struct arena *a, const uint64_t *topics, unsigned count,
                           struct kv_entries *ret)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned kind = 0; kind < KV_KINDS; kind++) {
            struct kv_entries *e = &ret[i * KV_KINDS + kind];
            (void)kv_memory_entries_list(kv, a, (enum kv_kind)kind, topics[i], &e->list, &e->count, &e->version);
        }
    return 0;
}

int kv_memory_entry_get(struct kv *kv, struct arena *a, enum kv_kind kind, uint64_t topic, struct str field,
                        struct str *ret)
{
    const struct text *t = smap_get(&entries_of(kv, kind, topic)->fields, field);

    if (!t)
        return -ENOENT;
    *ret = arena_str(a, text_of(t));
    return 0;
}

int kv_memory_entries_count(struct kv *kv, enum kv_kind kind, uint64_t topic, unsigned *ret)
{
    *ret = (unsigned)entries_of(kv, kind, topic)->fields.count;
    return 0;
}

int kv_memory_entries_versions(struct kv *kv, const uint64_t *topics, unsigned count, uint64_t *ret_versions)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned kind = 0; kind < KV_KINDS; kind++)
            ret_versions[i * KV_KINDS + kind] = entries_of(kv, (enum kv_kind)kind, topics[i])->version;
    return 0;
}
