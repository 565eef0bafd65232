/* The limiter of one process, and what limiter_redis needs of it beyond the interface: there it is the mirror of what
 * this process did, and decides alone while Redis is away. Loop thread only. */
#pragma once

#include "rest-proxy/limiter.h"

struct limiter_local_options {
    int global_per_second; /* for each token; 0: no limit */
    int invalid_max;       /* in 10 minutes; 0: no guard */
    int64_t (*now_ms)(void);
};
struct limiter *limiter_local_new(const struct limiter_local_options *o);

/* Somebody else has granted n permits: they are only counted, to be reported later as if taken here. False: there is
 * no room for another bucket or token, nothing was counted. */
bool limiter_local_charge(struct limiter *l, struct str bucket_id, const struct limiter_key *key, unsigned n);
/* From now on take only the part of each limit that is due to one of `count`. */
void limiter_local_share(struct limiter *l, int count, int number);
/* Somebody else has learned the bucket of the key's route. */
void limiter_local_learn_hash(struct limiter *l, const struct limiter_key *key, struct str hash);
/* NULL when it is not known. Until the limiter is called again. */
const struct window *limiter_local_window(struct limiter *l, struct str bucket_id);
/* Calls fn for each bucket whose window is open. */
void limiter_local_each_open(struct limiter *l, void (*fn)(struct str bucket_id, const struct window *w, void *arg),
                             void *arg);
bool limiter_outcome_is_invalid(const struct limiter_outcome *o);
/* A 401 that voids the token. */
bool limiter_outcome_locks(const struct limiter_outcome *o, const struct limiter_key *key);
