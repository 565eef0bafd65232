/* Private to kv_redis*.c: `kv` on Redis. Topics and node leases live in an incarnation, which is a run of the Redis
 * server: its key prefix carries the server's run id, so that nothing of an earlier run (or of a replica that lagged
 * behind) is ever taken for the present. Keys that one script touches share a hash tag. */
#pragma once

#include "platform/base/map.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"
#include "platform/io/redis.h"
#include "platform/ports/kv/kv_private.h"

/* A node as this process knows it, for publishing to all and for forgetting dead nodes' interest. */
struct known_node {
    char *id;
    int64_t first_seen_ms, last_live_ms;
};

struct kv_redis {
    struct kv kv;
    struct redis *redis;
    struct loop_timer *refresh;
    char incarnation[12];      /* the run id's first characters; "" before the first connection */
    int64_t young_until_ms;    /* publish to all until then */
    char node_incarnation[12]; /* in which our node's lease was last renewed */
    struct smap known;
    bool closing;
};

#define KV_YOUNG_MS         15000 /* nodes renew every few seconds: by then each has registered again */
#define KV_NODES_REFRESH_MS 3000
#define KV_NODE_FORGET_MS   60000        /* dead for so long: its interest is removed where it is met */
#define KV_TOPIC_KEEP_MS    "2592000000" /* a silent topic's number is kept 30 days */
#define KV_COMMAND_MS       2000
#define KV_AT_ONCE          1000 /* commands of one call under way */

static inline struct kv_redis *kv_redis_of(struct kv *kv)
{
    return (struct kv_redis *)(void *)kv;
}

/* Runs a script on a coroutine. 0 and a reply to free; -EHOSTDOWN. */
int kv_redis_script(struct kv_redis *k, const char *script, int key_count, int argc, const struct str *argv,
                    struct redis_reply **ret);
/* Runs an error reply and adapter errors through one door: 0 or -EHOSTDOWN. */
int kv_redis_check(int error, const struct redis_reply *reply);
/* One plain command on a coroutine; the same results. */
int kv_redis_command(struct kv_redis *k, int argc, const struct str *argv, struct redis_reply **ret);

/* kv_redis_topics.c */
int kv_redis_interest_add(struct kv *kv, const char *node_id, const uint64_t *topics, unsigned count,
                          uint64_t *ret_numbers);
int kv_redis_interest_remove(struct kv *kv, const char *node_id, const uint64_t *topics, unsigned count);
int kv_redis_topics_next(struct kv *kv, struct arena *a, const uint64_t *topics, const uint64_t *event_ids,
                         unsigned count, struct kv_route *ret);
int kv_redis_topic_route(struct kv *kv, struct arena *a, uint64_t topic, struct kv_route *ret);
int kv_redis_topic_events(struct kv *kv, uint64_t topic, uint64_t from, uint64_t to, uint64_t *ret_ids);

/* Reads a script's answer (a number, then node ids) as the route of `topic`. */
void kv_redis_route_take(struct kv_redis *k, struct arena *a, uint64_t topic, const struct redis_reply *reply,
                         struct kv_route *ret);

/* kv_redis_entries.c */
int kv_redis_entry_change(struct kv *kv, struct arena *a, const struct kv_change *change, struct kv_route *ret);
int kv_redis_entries_list(struct kv *kv, struct arena *a, enum kv_kind kind, uint64_t topic, struct kv_entry **ret,
                          unsigned *ret_count, uint64_t *ret_version);
int kv_redis_entries_load(struct kv *kv, struct arena *a, const uint64_t *topics, unsigned count,
                          struct kv_entries *ret);
int kv_redis_entry_get(struct kv *kv, struct arena *a, enum kv_kind kind, uint64_t topic, struct str field,
                       struct str *ret);
int kv_redis_entries_count(struct kv *kv, enum kv_kind kind, uint64_t topic, unsigned *ret);
int kv_redis_entries_versions(struct kv *kv, const uint64_t *topics, unsigned count, uint64_t *ret_versions);

/* kv_redis_nodes.c */
int kv_redis_node_renew(struct kv *kv, const char *node_id, const char *url, int64_t ttl_ms, bool first);
int kv_redis_node_remove(struct kv *kv, const char *node_id);
int kv_redis_nodes_list(struct kv *kv, struct arena *a, struct kv_node **ret, unsigned *ret_count);
struct known_node *kv_redis_known(struct kv_redis *k, struct str id);
void kv_redis_known_done(struct kv_redis *k);
/* Coroutine: reads the live nodes into `known`. */
void kv_redis_refresh(void *arg);

/* kv_redis_buckets.c */
int kv_redis_buckets_list(struct kv *kv, struct arena *a, struct str part, unsigned max, struct kv_bucket_open *ret,
                          unsigned *ret_count);
int kv_redis_buckets_advance(struct kv *kv, struct str part, int64_t ms, unsigned *ret_count);

/* kv_redis_sessions.c */
int kv_redis_sessions_put(struct kv *kv, const struct kv_session *sessions, unsigned count, int64_t ttl_ms,
                          bool *ret_lost);
int kv_redis_session_get(struct kv *kv, struct arena *a, const char *id, struct str *ret_owner, struct str *ret_value);
int kv_redis_session_claim(struct kv *kv, const char *id, const char *from, const char *to, int64_t ttl_ms);
int kv_redis_session_del(struct kv *kv, const char *id, const char *owner);
void kv_redis_log_append(struct kv *kv, const struct kv_log_append *l, void (*fn)(int error, void *arg), void *arg);
int kv_redis_log_read(struct kv *kv, struct arena *a, const char *log, uint64_t from, unsigned max,
                      struct kv_log_entry **ret, unsigned *ret_count);
int kv_redis_log_numbers(struct kv *kv, const char *log, const uint64_t *topics, unsigned count, uint64_t *ret_numbers);
int kv_redis_log_drop(struct kv *kv, const char *log);
