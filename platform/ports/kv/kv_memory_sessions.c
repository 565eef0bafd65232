/* `kv` inside one process: session records and session logs. What has expired is seen as absent and freed when its key
 * is met again or the port closes: only tests, and nodes that share a process, come here. Loop thread. */
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/list.h"
#include "platform/base/map.h"
#include "platform/base/mem.h"
#include "platform/io/loop.h"
#include "platform/ports/kv/kv_memory.h"

#include <errno.h>

struct record {
    int64_t until_ms;
    char *owner;
    struct str value; /* owned */
};

struct entry {
    struct list item;
    uint64_t number;
    size_t len;
    char bytes[];
};

struct log {
    int64_t until_ms;
    struct list entries;
    struct map numbers; /* topic -> number + 1 */
};

struct kv_memory_sessions {
    struct smap records, logs;
};

struct kv_memory_sessions *kv_memory_sessions_new(void)
{
    return MEM_NEW(struct kv_memory_sessions);
}

static void record_free(struct record *r)
{
    mem_free(r->owner);
    mem_free((char *)r->value.p);
    mem_free(r);
}

static void log_free(struct log *l)
{
    LIST_FOREACH_SAFE(it, &l->entries)
    mem_free(LIST_ENTRY(it, struct entry, item));
    map_done(&l->numbers);
    mem_free(l);
}

void kv_memory_sessions_free(struct kv_memory_sessions *m)
{
    size_t cursor = 0;
    struct str key;
    for (struct record *r; (r = smap_next(&m->records, &cursor, &key));)
        record_free(r);
    cursor = 0;
    for (struct log *l; (l = smap_next(&m->logs, &cursor, &key));)
        log_free(l);
    smap_done(&m->records);
    smap_done(&m->logs);
    mem_free(m);
}

/* --- records --- */

static struct record *record_of(struct kv *kv, const char *id)
{
    struct smap *records = &kv_memory_sessions_of(kv)->records;
    struct record *r = smap_get(records, str_c(id));
    if (!r || r->until_ms > clock_mono_ms())
        return r;
    record_free(smap_del(records, str_c(id)));
    return NULL;
}

int kv_memory_sessions_put(struct kv *kv, const struct kv_session *sessions, unsigned count, int64_t ttl_ms,
                           bool *ret_lost)
{
    for (unsigned i = 0; i < count; i++) {
        const struct kv_session *s = &sessions[i];
        struct record *old = record_of(kv, s->id);
        ret_lost[i] = old && strcmp(old->owner, s->owner) != 0;
        if (ret_lost[i])
            continue;
        struct record *r = MEM_NEW(struct record);
        char *value = mem_alloc(s->value.n + 1);
        if (s->value.n)
            memcpy(value, s->value.p, s->value.n);
        *r = (struct record){clock_mono_ms() + ttl_ms, mem_strdup(s->owner), {value, s->value.n}};
        (void)smap_put(&kv_memory_sessions_of(kv)->records, str_c(s->id), r);
        if (old)
            record_free(old);
    }
    return 0;
}

int kv_memory_session_get(struct kv *kv, struct arena *a, const char *id, struct str *ret_owner, struct str *ret_value)
{
    const struct record *r = record_of(kv, id);
    if (!r)
        return -ENOENT;
    *ret_owner = arena_str(a, str_c(r->owner));
    *ret_value = arena_str(a, r->value);
    return 0;
}

int kv_memory_session_claim(struct kv *kv, const char *id, const char *from, const char *to, int64_t ttl_ms)
{
    struct record *r = record_of(kv, id);
    if (!r)
        return -ENOENT;
    if (strcmp(r->owner, from) != 0)
        return -EBUSY;
    mem_free(r->owner);
    r->owner = mem_strdup(to);
    r->until_ms = clock_mono_ms() + ttl_ms;
    return 0;
}

int kv_memory_session_del(struct kv *kv, const char *id, const char *owner)
{
    const struct record *r = record_of(kv, id);
    if (r && strcmp(r->owner, owner) == 0)
        record_free(smap_del(&kv_memory_sessions_of(kv)->records, str_c(id)));
    return 0;
}

/* --- logs --- */

static struct log *log_of(struct kv *kv, const char *name)
{
    struct smap *logs = &kv_memory_sessions_of(kv)->logs;
    struct log *l = smap_get(logs, str_c(name));
    if (!l || l->until_ms > clock_mono_ms())
        return l;
    log_free(smap_del(logs, str_c(name)));
    return NULL;
}

static void log_trim(struct log *l, uint64_t oldest)
{
    LIST_FOREACH_SAFE(it, &l->entries)
    {
        struct entry *e = LIST_ENTRY(it, struct entry, item);
        if (e->number >= oldest)
            break;
        list_remove(it);
        mem_free(e);
    }
}

struct told {
    void (*fn)(int error, void *arg);
    void *arg;
};

static void tell(void *arg)
{
    struct told *t = arg;
    t->fn(0, t->arg);
    mem_free(t);
}

void kv_memory_log_append(struct kv *kv, const struct kv_log_append *a, void (*fn)(int error, void *arg), void *arg)
{
    struct log *l = log_of(kv, a->log);
    if (!l) {
        l = MEM_NEW(struct log);
        list_init(&l->entries);
        (void)smap_put(&kv_memory_sessions_of(kv)->logs, str_c(a->log), l);
    }
    struct entry *e = mem_alloc(sizeof *e + a->entry.n);
    e->number = a->number;
    e->len = a->entry.n;
    if (e->len)
        memcpy(e->bytes, a->entry.p, e->len);
    list_append(&l->entries, &e->item);
    log_trim(l, a->oldest);
    for (unsigned i = 0; i < a->topic_count; i++)
        (void)map_put(&l->numbers, a->topics[i], (void *)(uintptr_t)(a->numbers[i] + 1));
    l->until_ms = clock_mono_ms() + a->ttl_ms;
    struct told *t = MEM_NEW(struct told);
    *t = (struct told){fn, arg};
    loop_post(tell, t);
}

int kv_memory_log_read(struct kv *kv, struct arena *a, const char *name, uint64_t from, unsigned max,
                       struct kv_log_entry **ret, unsigned *ret_count)
{
    const struct log *l = log_of(kv, name);
    struct kv_log_entry *entries = ARENA_ARRAY(a, struct kv_log_entry, max + 1);
    unsigned count = 0;
    for (struct list *it = l ? l->entries.next : NULL; it && it != &l->entries && count < max; it = it->next) {
        const struct entry *e = LIST_ENTRY(it, struct entry, item);
        if (e->number >= from)
            entries[count++] = (struct kv_log_entry){e->number, arena_str(a, (struct str){e->bytes, e->len})};
    }
    *ret = entries;
    *ret_count = count;
    return 0;
}

int kv_memory_log_numbers(struct kv *kv, const char *name, const uint64_t *topics, unsigned count,
                          uint64_t *ret_numbers)
{
    const struct log *l = log_of(kv, name);
    for (unsigned i = 0; i < count; i++) {
        uintptr_t number = l ? (uintptr_t)map_get(&l->numbers, topics[i]) : 0;
        ret_numbers[i] = number ? number - 1 : KV_LOG_NUMBER_UNKNOWN;
    }
    return 0;
}

int kv_memory_log_drop(struct kv *kv, const char *name)
{
    struct log *l = smap_del(&kv_memory_sessions_of(kv)->logs, str_c(name));
    if (l)
        log_free(l);
    return 0;
}
