/* How long the workers' queues are: on /metrics, and what a shard leaves out because of it. Loop thread only. */
#pragma once

#include "cache/broker.h"

struct depth;

/* How it is with a partition's longest queue. */
struct crowd {
    bool crowded; /* presence and typing are not for it */
    bool filling; /* soon the broker may refuse what comes */
};

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
/* By partition, over all groups. Valid for as long as d. */
const struct crowd *depth_crowds(const struct depth *d);
