/* Which set of shards an application runs, in Redis, for all its shard processes: the current one (generation, count)
 * and, during a reshard, the next. Processes tell how far they are with the next set; the one whose word completes a
 * phase moves the plan on, in the same script. A set that was the current one stands in the plan until each of its
 * shards has ended, so that whoever outlives its holders reads what only its sessions had. Loop thread only.
 *
 * gh:<application>:{shards}:set (hash): generation, count; next_generation, next_count, phase (1: the next set gets
 * ready and publishes nothing; 2: both publish) while a reshard goes on; s:<shard>: how far a shard of the next set is;
 * e:<generation>: count of a set that ends, x:<generation>:<shard>: that shard has ended; queues: the most shards that
 * ever were; alive_until: when nobody can be running any more (ms of Redis' clock). */
#pragma once

#include "platform/io/redis.h"

#define SHARD_ENDINGS_MAX 6

enum shard_phase { SHARD_PHASE_NONE, SHARD_PHASE_PREPARE, SHARD_PHASE_OVERLAP };
enum shard_progress { SHARD_NOT_READY, SHARD_READY, SHARD_PUBLISHES };

/* A set that was the current one. */
struct shard_ending {
    uint64_t generation;
    unsigned count, left; /* left: shards that have not ended */
    struct str ended;     /* for each shard '1' where it has; valid during shard_plan_tell's done only */
};

struct shard_plan {
    uint64_t generation, next_generation; /* next: 0 where there is none */
    unsigned count, next_count, queues;
    enum shard_phase phase;
    unsigned next_ready;                            /* shards of the next set that are ready, or publish */
    bool alive;                                     /* shard processes ran lately */
    struct shard_ending endings[SHARD_ENDINGS_MAX]; /* the oldest first */
    unsigned ending_count;
};

struct shard_ended {
    uint64_t generation;
    unsigned shard;
};

/* What a process knows and wants. */
struct shard_plan_word {
    uint64_t application;
    uint64_t generation; /* of the set it runs; 0: it has just begun */
    unsigned count;      /* of that set; or how many shards it was told to begin with */
    bool told;           /* the operator named that count: it holds where nobody else runs */
    uint64_t next_generation;
    const unsigned *shards; /* of the next set, held here, and how far each is */
    const enum shard_progress *progress;
    unsigned shard_count;
    const struct shard_ended *ended; /* of sets that end */
    unsigned ended_count;
};
/* done's plan is valid during the call; error: 0, -EHOSTDOWN. A Redis that forgot is told again. */
void shard_plan_tell(struct redis *r, const struct shard_plan_word *w,
                     void (*done)(int error, const struct shard_plan *plan, void *arg), void *arg);

/* Coroutine. Begins a reshard to `count`, in place of one to another count that goes on. 0, -EALREADY (that is the
 * current count, and no reshard goes on), -EBUSY (an older set of that count has not ended: workers could not tell the
 * two apart), -ENOENT (no shard process ever ran for this application), -EHOSTDOWN. */
int shard_plan_begin(struct redis *r, uint64_t application, unsigned count);
/* Coroutine. 0, -ENOENT, -EHOSTDOWN. */
int shard_plan_read(struct redis *r, uint64_t application, struct shard_plan *ret);
