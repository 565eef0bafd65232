/* Port `kv`: chooses the implementation, and what does not depend on it. */
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/ports/kv/kv_private.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

struct kv *kv_open(const char *redis_url, struct buf *err)
{
    return redis_url ? kv_redis_open(redis_url, err) : kv_memory_open();
}

void kv_close(struct kv *kv)
{
    kv->ops->close(kv);
}

bool kv_ready(const struct kv *kv)
{
    return kv->ops->ready(kv);
}

bool kv_is_embedded(const struct kv *kv)
{
    return kv->embedded;
}

void kv_on_incarnation(struct kv *kv, void (*fn)(bool changed, void *arg), void *arg)
{
    kv->on_incarnation = fn;
    kv->on_incarnation_arg = arg;
}

int kv_node_renew(struct kv *kv, const char *node_id, const char *url, int64_t ttl_ms, bool first)
{
    return kv->ops->node_renew(kv, node_id, url, ttl_ms, first);
}

int kv_node_remove(struct kv *kv, const char *node_id)
{
    return kv->ops->node_remove(kv, node_id);
}

int kv_nodes_list(struct kv *kv, struct arena *a, struct kv_node **ret, unsigned *ret_count)
{
    return kv->ops->nodes_list(kv, a, ret, ret_count);
}

int kv_interest_add(struct kv *kv, const char *node_id, const uint64_t *topics, unsigned count, uint64_t *ret_numbers)
{
    return count ? kv->ops->interest_add(kv, node_id, topics, count, ret_numbers) : 0;
}

int kv_interest_remove(struct kv *kv, const char *node_id, const uint64_t *topics, unsigned count)
{
    return count ? kv->ops->interest_remove(kv, node_id, topics, count) : 0;
}

int kv_topic_next(struct kv *kv, struct arena *a, uint64_t topic, uint64_t event_id, struct kv_route *ret)
{
    return kv->ops->topics_next(kv, a, &topic, &event_id, 1, ret);
}

int kv_topics_next(struct kv *kv, struct arena *a, const uint64_t *topics, const uint64_t *event_ids, unsigned count,
                   struct kv_route *ret)
{
    return count ? kv->ops->topics_next(kv, a, topics, event_ids, count, ret) : 0;
}

int kv_topic_route(struct kv *kv, struct arena *a, uint64_t topic, struct kv_route *ret)
{
    return kv->ops->topic_route(kv, a, topic, ret);
}

int kv_topic_events(struct kv *kv, uint64_t topic, uint64_t from, uint64_t to, uint64_t *ret_ids)
{
    CHECK(from <= to && to - from < 1000);
    return kv->ops->topic_events(kv, topic, from, to, ret_ids);
}

int kv_entry_change(struct kv *kv, struct arena *a, const struct kv_change *change, struct kv_route *ret)
{
    return kv->ops->entry_change(kv, a, change, ret);
}

int kv_entries_list(struct kv *kv, struct arena *a, enum kv_kind kind, uint64_t topic, struct kv_entry **ret,
                    unsigned *ret_count, uint64_t *ret_version)
{
    return kv->ops->entries_list(kv, a, kind, topic, ret, ret_count, ret_version);
}

int kv_entries_load(struct kv *kv, struct arena *a, const uint64_t *topics, unsigned count, struct kv_entries *ret)
{
    return count ? kv->ops->entries_load(kv, a, topics, count, ret) : 0;
}

int kv_entry_get(struct kv *kv, struct arena *a, enum kv_kind kind, uint64_t topic, struct str field, struct str *ret)
{
    return kv->ops->entry_get(kv, a, kind, topic, field, ret);
}

int kv_entries_count(struct kv *kv, enum kv_kind kind, uint64_t topic, unsigned *ret)
{
    return kv->ops->entries_count(kv, kind, topic, ret);
}

int kv_entries_versions(struct kv *kv, const uint64_t *topics, unsigned count, uint64_t *ret_versions)
{
    return count ? kv->ops->entries_versions(kv, topics, count, ret_versions) : 0;
}

int kv_lease_take(struct kv *kv, const char *name, const char *owner, int64_t ttl_ms, uint64_t *ret_epoch)
{
    return kv->ops->lease_take(kv, name, owner, ttl_ms, ret_epoch);
}

int kv_lease_renew(struct kv *kv, const char *name, const char *owner, uint64_t epoch, int64_t ttl_ms)
{
    return kv->ops->lease_renew(kv, name, owner, epoch, ttl_ms);
}

int kv_lease_release(struct kv *kv, const char *name, const char *owner, uint64_t epoch)
{
    return kv->ops->lease_release(kv, name, owner, epoch);
}

static unsigned random_number(void)
{
    unsigned n = 0;
    if (getrandom(&n, sizeof n, 0) != sizeof n)
        n = (unsigned)clock_mono_ns();
    return n;
}

/* One try after the other: each is atomic, and whoever loses one goes on to the next. The first is left to chance: in a
 * kv that forgot everything, a process that starts hardly takes what another is about to take back. */
int kv_lease_take_any(struct kv *kv, const char *name, const char *owner, unsigned max, int64_t ttl_ms,
                      unsigned *ret_number, uint64_t *ret_epoch)
{
    unsigned first = (unsigned)(random_number() % (max + 1));
    for (unsigned i = 0; i <= max; i++) {
        unsigned n = (first + i) % (max + 1);
        char numbered[128];
        snprintf(numbered, sizeof numbered, "%s:%u", name, n);
        int r = kv_lease_take(kv, numbered, owner, ttl_ms, ret_epoch);
        if (r == 0)
            *ret_number = n;
        if (r != -EBUSY)
            return r;
    }
    return -EBUSY;
}

int kv_buckets_take(struct kv *kv, const struct kv_bucket *buckets, unsigned count, struct kv_bucket_state *ret)
{
    CHECK(count <= KV_BUCKETS_MAX);
    return count ? kv->ops->buckets_take(kv, buckets, count, true, ret) : 0;
}

int kv_bucket_peek(struct kv *kv, const struct kv_bucket *b, struct kv_bucket_state *ret)
{
    return kv->ops->buckets_take(kv, b, 1, false, ret);
}

int kv_buckets_list(struct kv *kv, struct arena *a, struct str part, unsigned max, struct kv_bucket_open **ret,
                    unsigned *ret_count)
{
    *ret = ARENA_ARRAY(a, struct kv_bucket_open, max);
    *ret_count = 0;
    return kv->ops->buckets_list(kv, a, part, max, *ret, ret_count);
}

int kv_buckets_advance(struct kv *kv, struct str part, int64_t ms, unsigned *ret_count)
{
    *ret_count = 0;
    return kv->ops->buckets_advance(kv, part, ms, ret_count);
}

int kv_put(struct kv *kv, const char *key, struct str value, int64_t ttl_ms)
{
    return kv->ops->put(kv, key, value, ttl_ms);
}

int kv_put_new(struct kv *kv, struct arena *a, const char *key, struct str value, int64_t ttl_ms,
               struct str *ret_existing)
{
    return kv->ops->put_new(kv, a, key, value, ttl_ms, ret_existing);
}

int kv_get(struct kv *kv, struct arena *a, const char *key, struct str *ret)
{
    return kv->ops->get(kv, a, key, ret);
}

int kv_del(struct kv *kv, const char *key)
{
    return kv->ops->del(kv, key);
}

int kv_sessions_put(struct kv *kv, const struct kv_session *sessions, unsigned count, int64_t ttl_ms, bool *ret_lost)
{
    return count ? kv->ops->sessions_put(kv, sessions, count, ttl_ms, ret_lost) : 0;
}

int kv_session_get(struct kv *kv, struct arena *a, const char *id, struct str *ret_owner, struct str *ret_value)
{
    return kv->ops->session_get(kv, a, id, ret_owner, ret_value);
}

int kv_session_claim(struct kv *kv, const char *id, const char *from, const char *to, int64_t ttl_ms)
{
    return kv->ops->session_claim(kv, id, from, to, ttl_ms);
}

int kv_session_del(struct kv *kv, const char *id, const char *owner)
{
    return kv->ops->session_del(kv, id, owner);
}

void kv_log_append(struct kv *kv, const struct kv_log_append *l, void (*fn)(int error, void *arg), void *arg)
{
    CHECK(l->topic_count <= KV_LOG_TOPICS_MAX && l->number > 0);
    kv->ops->log_append(kv, l, fn, arg);
}

int kv_log_read(struct kv *kv, struct arena *a, const char *log, uint64_t from, unsigned max, struct kv_log_entry **ret,
                unsigned *ret_count)
{
    return kv->ops->log_read(kv, a, log, from, max, ret, ret_count);
}

int kv_log_numbers(struct kv *kv, const char *log, const uint64_t *topics, unsigned count, uint64_t *ret_numbers)
{
    return count ? kv->ops->log_numbers(kv, log, topics, count, ret_numbers) : 0;
}

int kv_log_drop(struct kv *kv, const char *log)
{
    return kv->ops->log_drop(kv, log);
}
