/* A shard process: Redis, RabbitMQ and the upstream, and the shards it holds by lease. Loop thread only. */
#pragma once

#include "gateway/shard/decompress.h"
#include "platform/base/buf.h"
#include <stdbool.h>

struct process;

struct process_options {
    const char *upstream, *upstream_ca; /* ca NULL: the system's */
    const char *token, *redis_url, *amqp_url;
    const char *worker_groups; /* comma-separated: whose queues are declared, so that nothing is lost before they run */
    const char *cache;         /* cache/selection.h */
    int cache_messages, cache_message_ttl_s;
    uint32_t intents;
    unsigned shard_count; /* 0: what the upstream recommends */
    unsigned shards_max;
    unsigned shed_depth; /* of a partition's queue; over it presence and typing are left out */
    int start_reserve;   /* percent of the day's IDENTIFYs that are kept */
    enum transport transport;
    /* For the first time, everything held runs. */
    void (*ready)(void *arg);
    void *arg;
};
/* NULL and err: a setting is malformed. */
struct process *process_new(const struct process_options *o, struct buf *err);
/* Leaves every shard without ending its session, then calls done(arg). */
void process_stop(struct process *p, void (*done)(void *arg), void *arg);
void process_free(struct process *p);

bool process_redis_ready(void *process);
bool process_broker_ready(void *process);
bool process_starts_ready(void *process); /* no shard waits for the upstream's next day to IDENTIFY */
bool process_shards_ready(void *process); /* it holds its share, and all of it is live */
