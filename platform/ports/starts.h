/* Starting sessions: how many a day a bot may, and how many of its shards within five seconds. Counted in kv, so for
 * all gateway nodes together; the API tells what is left. Coroutine.
 * Source: Discord API documentation, "Gateway: Session Start Limit Object", "Gateway: Max Concurrency". */
#pragma once

#include "platform/model/model.h"
#include "platform/ports/kv.h"

struct start_limits {
    int total;                /* a day */
    unsigned max_concurrency; /* buckets: shard_id % max_concurrency */
};

/* What holds for this application (NULL: one without a say): its own, or else the deployment's (0: 1). */
struct start_limits start_limits_of(const struct application *app, unsigned max_concurrency);

/* Takes one start of the day and the turn of the shard's bucket, or neither. ret_wait_ms: 0 when they were taken, else
 * how long until the next try can succeed. kv's errors: nothing is known, and nothing was taken. */
int start_take(struct kv *kv, uint64_t bot_id, uint32_t shard, const struct start_limits *l, int64_t *ret_wait_ms);

/* What is left of the day. kv's errors. */
int start_peek(struct kv *kv, uint64_t bot_id, const struct start_limits *l, struct kv_bucket_state *ret);
