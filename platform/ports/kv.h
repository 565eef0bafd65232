/* Port `kv`: small shared state with expiry, every operation atomic. Embedded: in process. Distributed: Redis (Lua
 * where it takes more than one command; keys that one script touches share a hash tag). Coroutine only, but where it
 * says otherwise. Every call: 0 or what it lists, -EHOSTDOWN when the store cannot be reached (nothing is known then).
 */
#pragma once

#include "platform/base/arena.h"
#include "platform/base/buf.h"

struct kv;

/* url NULL: in process. Otherwise redis://... NULL and err: malformed. */
struct kv *kv_open(const char *redis_url, struct buf *err);
void kv_close(struct kv *kv);
bool kv_ready(const struct kv *kv); /* any time */
bool kv_is_embedded(const struct kv *kv);

/* --- incarnation. Interest and numbers live in one: it changes when Redis restarts empty, or fails over. -------------
 * fn is called on the loop each time the connection is there again and each time the incarnation turned out new: nodes
 * must register themselves and their interest again. */
void kv_on_incarnation(struct kv *kv, void (*fn)(bool changed, void *arg), void *arg);

/* --- gateway nodes --------------------------------------------------------------------------------------------------
 */
struct kv_node {
    struct str id, url;
};
/* Puts or renews a node's lease. -EOWNERDEAD: the lease had lapsed in between (the node must take a new id and end its
 * old sessions). first: taking it, not renewing. */
int kv_node_renew(struct kv *kv, const char *node_id, const char *url, int64_t ttl_ms, bool first);
int kv_node_remove(struct kv *kv, const char *node_id);
int kv_nodes_list(struct kv *kv, struct arena *a, struct kv_node **ret, unsigned *ret_count);

/* --- topics: interest and numbers -----------------------------------------------------------------------------------
 */
/* Registers node_id as interested in each topic and answers each topic's last number in the same step. */
int kv_interest_add(struct kv *kv, const char *node_id, const uint64_t *topics, unsigned count, uint64_t *ret_numbers);
int kv_interest_remove(struct kv *kv, const char *node_id, const uint64_t *topics, unsigned count);

struct kv_route {
    uint64_t number;       /* the event's, within the topic */
    bool all;              /* a young incarnation: publish to every live node */
    const char **node_ids; /* the interested nodes; with `all`: every live node */
    unsigned node_count;
};
/* Takes the topic's next number for event_id and answers who wants it, in one step. The pair (number, event_id) is kept
 * for 5 minutes (the latest 1,024 of a topic) for kv_topic_events, and so that an event that is published again,
 * because nobody knows whether it was, goes out under the number it has: receivers drop what is below the number they
 * are at. */
int kv_topic_next(struct kv *kv, struct arena *a, uint64_t topic, uint64_t event_id, struct kv_route *ret);
/* The same for several events of several topics in one step, in order. */
int kv_topics_next(struct kv *kv, struct arena *a, const uint64_t *topics, const uint64_t *event_ids, unsigned count,
                   struct kv_route *ret);
/* Who wants the topic, without taking a number (ret->number is 0): for events that are not stored, such as typing. */
int kv_topic_route(struct kv *kv, struct arena *a, uint64_t topic, struct kv_route *ret);
/* The event ids that numbers from..to went to (0 where unknown), to - from + 1 of them, at most 1,000. */
int kv_topic_events(struct kv *kv, uint64_t topic, uint64_t from, uint64_t to, uint64_t *ret_ids);

/* --- entries: what is so in a guild as long as a session lasts -------------------------------------------------------
 * Presences and voice states of a topic: a value for each field, and for each kind a version that rises by one with
 * every change. They live in the incarnation like the topic's numbers. Nothing here expires with a process: a value
 * names its owner, and who reads judges whether that is alive. */
enum kv_kind { KV_PRESENCE, KV_VOICE };
#define KV_KINDS 2

struct kv_entry {
    struct str field, value;
};
struct kv_change {
    enum kv_kind kind;
    uint64_t topic;
    struct str field, value; /* value.n 0: removes the field */
    struct str expect;       /* n > 0: only when the present value begins with this */
    bool if_version;         /* only when the version is still this one */
    uint64_t version;
};
/* One step: the change, its version (ret->number) and who wants to hear of it. -EALREADY: it is so already, no version
 * is taken. -EAGAIN: a condition does not hold; nothing happened. */
int kv_entry_change(struct kv *kv, struct arena *a, const struct kv_change *change, struct kv_route *ret);
/* All of one kind, in no order, and the version they are true at. */
int kv_entries_list(struct kv *kv, struct arena *a, enum kv_kind kind, uint64_t topic, struct kv_entry **ret,
                    unsigned *ret_count, uint64_t *ret_version);
/* Both kinds of many topics at once: ret[topic index * KV_KINDS + kind]. */
struct kv_entries {
    struct kv_entry *list;
    unsigned count;
    uint64_t version;
};
int kv_entries_load(struct kv *kv, struct arena *a, const uint64_t *topics, unsigned count, struct kv_entries *ret);
/* One field. -ENOENT. */
int kv_entry_get(struct kv *kv, struct arena *a, enum kv_kind kind, uint64_t topic, struct str field, struct str *ret);
int kv_entries_count(struct kv *kv, enum kv_kind kind, uint64_t topic, unsigned *ret);
/* The versions of both kinds: ret_versions[topic index * KV_KINDS + kind]. */
int kv_entries_versions(struct kv *kv, const uint64_t *topics, unsigned count, uint64_t *ret_versions);

/* --- leases with fencing --------------------------------------------------------------------------------------------
 */
/* Takes a free or expired lease: *ret_epoch is higher than any epoch it had before. -EBUSY: somebody holds it. */
int kv_lease_take(struct kv *kv, const char *name, const char *owner, int64_t ttl_ms, uint64_t *ret_epoch);
/* -EOWNERDEAD: not ours any more. */
int kv_lease_renew(struct kv *kv, const char *name, const char *owner, uint64_t epoch, int64_t ttl_ms);
int kv_lease_release(struct kv *kv, const char *name, const char *owner, uint64_t epoch);
/* Takes the lowest free number of 0..max: leases "<name>:<n>". -EBUSY: none is free. */
int kv_lease_take_any(struct kv *kv, const char *name, const char *owner, unsigned max, int64_t ttl_ms,
                      unsigned *ret_number, uint64_t *ret_epoch);

/* --- buckets ---------------------------------------------------------------------------------------------------------
 */
struct kv_bucket {
    const char *key;
    int limit;         /* tokens in a window */
    int64_t window_ms; /* a fixed window that opens with its first token */
};
struct kv_bucket_state {
    bool allowed;
    int remaining;
    int64_t reset_after_ms;
};
/* Takes one token from each of the buckets, or from none: when one is empty, all `allowed` are false but for those that
 * had tokens. Also from a callback: see kv_buckets_take_async. */
int kv_buckets_take(struct kv *kv, const struct kv_bucket *buckets, unsigned count, struct kv_bucket_state *ret);
/* Looks without taking. */
int kv_bucket_peek(struct kv *kv, const struct kv_bucket *b, struct kv_bucket_state *ret);

/* The open buckets whose key contains `part`, at most `max`. Walks over every key: for operators, not for requests. */
struct kv_bucket_open {
    struct str key;
    int used;
    int64_t reset_after_ms;
};
int kv_buckets_list(struct kv *kv, struct arena *a, struct str part, unsigned max, struct kv_bucket_open **ret,
                    unsigned *ret_count);
/* Lets them reset `ms` earlier; those whose time is over are gone. ret_count: how many were touched. */
int kv_buckets_advance(struct kv *kv, struct str part, int64_t ms, unsigned *ret_count);

/* --- plain values
 * ----------------------------------------------------------------------------------------------------- */
int kv_put(struct kv *kv, const char *key, struct str value, int64_t ttl_ms);
/* -EEXIST: there already (*ret_existing, in the arena). */
int kv_put_new(struct kv *kv, struct arena *a, const char *key, struct str value, int64_t ttl_ms,
               struct str *ret_existing);
/* -ENOENT. */
int kv_get(struct kv *kv, struct arena *a, const char *key, struct str *ret);
int kv_del(struct kv *kv, const char *key);

/* --- sessions that another node may take over ------------------------------------------------------------------------
 * A record says who holds a session (`owner`, opaque) and what it is (`value`, opaque). Keys are session ids. */
struct kv_session {
    const char *id, *owner;
    struct str value;
};
/* Puts or renews the records, unless somebody else is the owner of one: then ret_lost[i] is true and it stays as it is.
 */
int kv_sessions_put(struct kv *kv, const struct kv_session *sessions, unsigned count, int64_t ttl_ms, bool *ret_lost);
/* -ENOENT. Owner and value in the arena. */
int kv_session_get(struct kv *kv, struct arena *a, const char *id, struct str *ret_owner, struct str *ret_value);
/* Makes `to` the owner. -ENOENT, -EBUSY (somebody else than `from` is the owner by now). */
int kv_session_claim(struct kv *kv, const char *id, const char *from, const char *to, int64_t ttl_ms);
/* Nothing happens when somebody else is the owner, or there is none. */
int kv_session_del(struct kv *kv, const char *id, const char *owner);

/* --- session logs: entries in the order of their numbers, and beside them the number that each topic has reached
 * ------ One writer a log. The topics' numbers belong to the incarnation they were written in. */
#define KV_LOG_TOPICS_MAX     2048
#define KV_LOG_NUMBER_UNKNOWN UINT64_MAX

struct kv_log_append {
    const char *log;
    uint64_t number; /* from 1, rising */
    uint64_t oldest; /* entries before it are dropped */
    struct str entry;
    const uint64_t *topics, *numbers; /* written in the same step; at most KV_LOG_TOPICS_MAX */
    unsigned topic_count;
    int64_t ttl_ms; /* the log is kept so long after its last entry */
};
/* Any time on the loop. Everything is copied. fn is called once, never from inside: 0, or -EHOSTDOWN (the entry may be
 * there all the same). What is appended first is there first. */
void kv_log_append(struct kv *kv, const struct kv_log_append *l, void (*fn)(int error, void *arg), void *arg);

struct kv_log_entry {
    uint64_t number;
    struct str bytes;
};
/* The first entries from number `from` on, at most `max`: *ret_count 0 at the log's end, and of a log that is not. */
int kv_log_read(struct kv *kv, struct arena *a, const char *log, uint64_t from, unsigned max, struct kv_log_entry **ret,
                unsigned *ret_count);
/* KV_LOG_NUMBER_UNKNOWN where none was written in this incarnation. */
int kv_log_numbers(struct kv *kv, const char *log, const uint64_t *topics, unsigned count, uint64_t *ret_numbers);
int kv_log_drop(struct kv *kv, const char *log);
