/* Private to the port: what an implementation of `kv` provides. */
#pragma once

#include "platform/ports/kv.h"

struct kv_ops {
    void (*close)(struct kv *kv);
    bool (*ready)(const struct kv *kv);
    int (*node_renew)(struct kv *kv, const char *node_id, const char *url, int64_t ttl_ms, bool first);
    int (*node_remove)(struct kv *kv, const char *node_id);
    int (*nodes_list)(struct kv *kv, struct arena *a, struct kv_node **ret, unsigned *ret_count);
    int (*interest_add)(struct kv *kv, const char *node_id, const uint64_t *topics, unsigned count,
                        uint64_t *ret_numbers);
    int (*interest_remove)(struct kv *kv, const char *node_id, const uint64_t *topics, unsigned count);
    int (*topics_next)(struct kv *kv, struct arena *a, const uint64_t *topics, const uint64_t *event_ids,
                       unsigned count, struct kv_route *ret);
    int (*topic_route)(struct kv *kv, struct arena *a, uint64_t topic, struct kv_route *ret);
    int (*topic_events)(struct kv *kv, uint64_t topic, uint64_t from, uint64_t to, uint64_t *ret_ids);
    int (*entry_change)(struct kv *kv, struct arena *a, const struct kv_change *change, struct kv_route *ret);
    int (*entries_list)(struct kv *kv, struct arena *a, enum kv_kind kind, uint64_t topic, struct kv_entry **ret,
                        unsigned *ret_count, uint64_t *ret_version);
    int (*entries_load)(struct kv *kv, struct arena *a, const uint64_t *topics, unsigned count, struct kv_entries *ret);
    int (*entry_get)(struct kv *kv, struct arena *a, enum kv_kind kind, uint64_t topic, struct str field,
                     struct str *ret);
    int (*entries_count)(struct kv *kv, enum kv_kind kind, uint64_t topic, unsigned *ret);
    int (*entries_versions)(struct kv *kv, const uint64_t *topics, unsigned count, uint64_t *ret_versions);
    int (*lease_take)(struct kv *kv, const char *name, const char *owner, int64_t ttl_ms, uint64_t *ret_epoch);
    int (*lease_renew)(struct kv *kv, const char *name, const char *owner, uint64_t epoch, int64_t ttl_ms);
    int (*lease_release)(struct kv *kv, const char *name, const char *owner, uint64_t epoch);
    int (*buckets_take)(struct kv *kv, const struct kv_bucket *buckets, unsigned count, bool take,
                        struct kv_bucket_state *ret);
    int (*buckets_list)(struct kv *kv, struct arena *a, struct str part, unsigned max, struct kv_bucket_open *ret,
                        unsigned *ret_count);
    int (*buckets_advance)(struct kv *kv, struct str part, int64_t ms, unsigned *ret_count);
    int (*put)(struct kv *kv, const char *key, struct str value, int64_t ttl_ms);
    int (*put_new)(struct kv *kv, struct arena *a, const char *key, struct str value, int64_t ttl_ms,
                   struct str *ret_existing);
    int (*get)(struct kv *kv, struct arena *a, const char *key, struct str *ret);
    int (*del)(struct kv *kv, const char *key);
    int (*sessions_put)(struct kv *kv, const struct kv_session *sessions, unsigned count, int64_t ttl_ms,
                        bool *ret_lost);
    int (*session_get)(struct kv *kv, struct arena *a, const char *id, struct str *ret_owner, struct str *ret_value);
    int (*session_claim)(struct kv *kv, const char *id, const char *from, const char *to, int64_t ttl_ms);
    int (*session_del)(struct kv *kv, const char *id, const char *owner);
    void (*log_append)(struct kv *kv, const struct kv_log_append *l, void (*fn)(int error, void *arg), void *arg);
    int (*log_read)(struct kv *kv, struct arena *a, const char *log, uint64_t from, unsigned max,
                    struct kv_log_entry **ret, unsigned *ret_count);
    int (*log_numbers)(struct kv *kv, const char *log, const uint64_t *topics, unsigned count, uint64_t *ret_numbers);
    int (*log_drop)(struct kv *kv, const char *log);
};

/* The head of every implementation's struct. */
struct kv {
    const struct kv_ops *ops;
    bool embedded;
    void (*on_incarnation)(bool changed, void *arg);
    void *on_incarnation_arg;
};

/* (number, event id) pairs are kept so long, and at most so many for a topic. */
#define KV_TOPIC_LOG_MS  300000
#define KV_TOPIC_LOG_MAX 1024
#define KV_BUCKETS_MAX   8 /* in one call */

struct kv *kv_memory_open(void);
/* kv_memory_entries.c; `map` is the kind's table, zeroed at first. */
struct map;
struct map *kv_memory_entries(struct kv *kv, enum kv_kind kind);
void kv_memory_entries_free(struct map *map);
int kv_memory_entry_change(struct kv *kv, struct arena *a, const struct kv_change *change, struct kv_route *ret);
int kv_memory_entries_list(struct kv *kv, struct arena *a, enum kv_kind kind, uint64_t topic, struct kv_entry **ret,
                           unsigned *ret_count, uint64_t *ret_version);
int kv_memory_entries_load(struct kv *kv, struct arena *a, const uint64_t *topics, unsigned count,
                           struct kv_entries *ret);
int kv_memory_entry_get(struct kv *kv, struct arena *a, enum kv_kind kind, uint64_t topic, struct str field,
                        struct str *ret);
int kv_memory_entries_count(struct kv *kv, enum kv_kind kind, uint64_t topic, unsigned *ret);
int kv_memory_entries_versions(struct kv *kv, const uint64_t *topics, unsigned count, uint64_t *ret_versions);
struct kv *kv_redis_open(const char *url, struct buf *err);
