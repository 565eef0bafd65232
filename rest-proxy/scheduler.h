/* Who goes next: for each bucket one FIFO of each priority, permits asked of the limiter for as many as wait (a few at
 * once); queues of one token that wait for its global limit take turns, those with a higher priority first. Loop thread
 * only. Limits: LIMIT_PROXY_QUEUE_*. */
#pragma once

#include "platform/base/list.h"
#include "rest-proxy/limiter.h"

struct scheduler;
struct queue;
struct co;
struct loop_timer;
struct metric;

enum job_result {
    JOB_GO,         /* send it, then tell scheduler_report */
    JOB_GONE,       /* the caller hung up: withdrawn */
    JOB_DEADLINE,   /* it would leave after its deadline (wait_ms: how long it would take) */
    JOB_QUEUE_FULL, /* too many wait for this bucket (wait_ms likewise) */
    JOB_OVERLOAD,   /* too many wait in the process, or more buckets than it may hold */
    JOB_LOCKED,     /* the token got 401 */
    JOB_GUARD,      /* too many invalid requests; wait_ms until it is over */
    JOB_DRAIN,      /* the process stops */
};

/* Lower ones go only while no higher one waits for the same bucket. */
enum job_priority { PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_LOW, PRIORITY_COUNT };

/* One request; caller's memory, for as long as it is in the scheduler's hands (scheduler_wait, then until the report).
 */
struct job {
    struct limiter_key key;
    enum job_priority priority;
    bool sublimit;       /* waits beside its bucket's queue, for a limit the headers do not tell of */
    int64_t deadline_ms; /* clock_mono_ms; 0: none */
    struct metric *wait; /* where to count the time it waited; NULL: nowhere */
    bool (*gone)(void *arg);
    void *gone_arg;
    /* the scheduler's */
    struct list link;
    struct queue *queue;
    struct scheduler *scheduler;
    struct co *co;
    struct loop_timer *timer;
    bool parked, done, leaving;
    enum job_result result;
    int64_t wait_ms;
    uint64_t queued_ns;
    char *bucket_id; /* the permit's; from JOB_GO to the report */
};

struct scheduler *scheduler_new(struct limiter *l);
void scheduler_free(struct scheduler *s); /* nothing may be queued */

/* Waits for a permit (on a coroutine). front: again, before all others, after a 429. */
enum job_result scheduler_wait(struct scheduler *s, struct job *j, bool front, int64_t *ret_wait_ms);
/* After JOB_GO, exactly once. */
void scheduler_report(struct scheduler *s, struct job *j, const struct limiter_outcome *o);
/* The job got a 429 for a limit that the headers do not tell of: it waits again, but beside its bucket's queue. */
void scheduler_block_sublimit(struct scheduler *s, struct job *j, int64_t wait_ms);
/* From now on nothing waits: what is queued, and what comes, ends with JOB_DRAIN. */
void scheduler_drain(struct scheduler *s);
unsigned scheduler_queued(const struct scheduler *s);
