/* How long the workers' queues are: on /metrics, and what a shard leaves out because of it. Loop thread only. */
#pragma once

#include "cache/broker.h"

struct depth;

struct depth_options {
    const char *amqp_url;
    uint64_t application;
    const char *const *groups;
    int group_count;
    const struct broker_topology *topology; /* declared first; must outlive it */
    unsigned shed_depth;                    /* a partition's queue that is longer is crowded */
};
/* NULL and err: malformed url. */
struct depth *depth_new(const struct depth_options *o, struct buf *err);
void depth_free(struct depth *d);
/* By partition: crowded in some group. Valid for as long as d. */
const bool *depth_crowded(const struct depth *d);
