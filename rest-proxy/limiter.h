/* What decides whether a request may leave: buckets, the global limit of each token, the guard against too many invalid
 * requests, locks on tokens that got 401. An interface, because the same state may be one process's own (limiter_local)
 * or be shared by all proxies; therefore answers come through a callback, at once or later. Loop thread only. */
#pragma once

#include "platform/base/buf.h"
#include "rest-proxy/route.h"
#include "rest-proxy/window.h"

struct limiter_key {
    struct str token; /* hash of the Authorization header as hex; empty: there was none */
    struct route route;
};

enum limiter_verdict {
    LIMITER_GO,           /* `granted` permits */
    LIMITER_WAIT,         /* the bucket: ask again after wait_ms (-1: after the next report), and after each report */
    LIMITER_WAIT_GLOBAL,  /* the token's global limit: the same, for all of the token's buckets */
    LIMITER_TOKEN_LOCKED, /* the token got 401: nothing is sent until it is unlocked */
    LIMITER_GUARD,        /* too many invalid requests from this address: nothing is sent for wait_ms */
    LIMITER_FULL,         /* more buckets than the process may hold */
    LIMITER_MOVED,        /* the key's bucket_id is another one by now: ask with that */
};

struct limiter_grant {
    enum limiter_verdict verdict;
    unsigned granted;
    int64_t wait_ms;
};
typedef void (*limiter_fn)(const struct limiter_grant *g, void *arg);

struct limiter_outcome {
    enum { LIMITER_UNUSED, LIMITER_LOST, LIMITER_ANSWERED } kind;
    int status;
    struct str bucket; /* X-RateLimit-Bucket; empty: absent */
    struct window_answer answer;
    /* of a 429 */
    enum { LIMITER_SCOPE_USER, LIMITER_SCOPE_GLOBAL, LIMITER_SCOPE_SHARED, LIMITER_SCOPE_SUBLIMIT } scope;
    int64_t retry_after_ms;
};

struct limiter_stats {
    uint64_t buckets, tokens, tokens_locked, invalid_requests; /* the last: in the last 10 minutes */
};

struct limiter;
struct limiter_ops {
    /* Appends the id of the bucket the key belongs to as far as is known now; it changes when the route's bucket hash
     * is learned, and then stays. */
    void (*bucket_id)(struct limiter *l, const struct limiter_key *key, struct buf *out);
    /* Asks for 1..want permits of the bucket. done may be called before it returns. */
    void (*acquire)(struct limiter *l, struct str bucket_id, const struct limiter_key *key, unsigned want,
                    limiter_fn done, void *arg);
    /* What became of one permit of that bucket; each is reported once. */
    void (*report)(struct limiter *l, struct str bucket_id, const struct limiter_key *key,
                   const struct limiter_outcome *o);
    /* Blocks a bucket that only a sublimit's requests stand in. */
    void (*block)(struct limiter *l, struct str bucket_id, int64_t wait_ms);
    /* The least time until the n-th request from now may leave, as far as is known; 0: perhaps at once. */
    int64_t (*estimate_ms)(struct limiter *l, struct str bucket_id, unsigned n);
    /* The token may be used again. -ENOENT: it was not locked. -EHOSTDOWN: the others cannot be told. May await. */
    int (*unlock)(struct limiter *l, struct str token);
    /* New limits, from the next permit on; as in limiter_local_options. */
    void (*configure)(struct limiter *l, int global_per_second, int invalid_max);
    void (*stats)(struct limiter *l, struct limiter_stats *ret);
    void (*free)(struct limiter *l);
};
struct limiter {
    const struct limiter_ops *ops;
};
