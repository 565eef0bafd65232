/* A shard's events on their way: into the cache, then to the broker, each in order; what the broker confirmed without a
 * hole is the prefix from which a RESUME may begin. Failures of Redis and RabbitMQ are repeated until they pass; the
 * events wait here meanwhile, bounded, and the connection stops reading. Loop thread only.
 * Limits: LIMIT_SHARD_PENDING_*. */
#pragma once

#include "cache/writer.h"
#include "gateway/shard/depth.h"
#include "platform/io/amqp.h"

struct pipeline;

struct pipeline_options {
    struct cache_writer *cache;
    struct amqp_publisher *publisher;
    uint64_t application;
    unsigned shard, shard_count;
    uint64_t set;               /* generation of the set of shards */
    bool silent;                /* into the cache only, until pipeline_publish; */
    const struct crowd *crowds; /* by partition */
    /* The lease stands: asked before each batch that leaves. */
    bool (*may_publish)(void *arg);
    /* The confirmed prefix grew. */
    void (*confirmed)(void *arg);
    /* Full, or no longer: the connection should stop reading, or go on. */
    void (*pause)(bool paused, void *arg);
    /* The cache has seen a higher epoch: the shard is another's. */
    void (*fenced)(void *arg);
    void *arg;
};

struct pipeline *pipeline_new(const struct pipeline_options *o);
/* What waits is dropped: whoever holds the shard next sees it again by RESUME. */
void pipeline_free(struct pipeline *p);

/* Where the next events stand. A new session (or epoch) begins with nothing confirmed in it. */
void pipeline_session(struct pipeline *p, struct str session, uint64_t epoch, uint64_t generation, uint64_t confirmed);
/* One dispatch, copied. seq rises from call to call. */
void pipeline_push(struct pipeline *p, uint64_t seq, struct str type, struct str data);
/* For the silent: what comes from now on, and what came lately (SILENT_KEEP_MS), goes to the broker, too. What another
 * set of shards published up to now overlaps with that, so nothing is missed and nothing overtakes. */
void pipeline_publish(struct pipeline *p);
/* Tries again now (Redis or RabbitMQ came back, the lease was renewed). */
void pipeline_kick(struct pipeline *p);

uint64_t pipeline_confirmed(const struct pipeline *p);    /* the last seq of the prefix */
struct str pipeline_session_id(const struct pipeline *p); /* that it belongs to */
bool pipeline_is_empty(const struct pipeline *p);
bool pipeline_is_paused(const struct pipeline *p);
