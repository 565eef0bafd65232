/* Private to the port: what an implementation of `bus` provides. */
#pragma once

#include "platform/ports/bus.h"

struct bus_ops {
    void (*close)(struct bus *b);
    bool (*ready)(const struct bus *b);
    int (*publish)(struct bus *b, const struct event *e, const char *const *node_ids, unsigned node_count);
    /* NULL: one after the other */
    void (*publish_many)(struct bus *b, struct bus_publication *publications, unsigned count);
    int (*broadcast)(struct bus *b, const struct event *e);
    int (*subscribe)(struct bus *b, const char *node_id, bus_fn fn, void *arg);
    void (*unsubscribe)(struct bus *b, const char *node_id);
    void (*ack)(struct bus *b, uint64_t tag, uint64_t epoch);
};

/* The head of every implementation's struct. */
struct bus {
    const struct bus_ops *ops;
    bool embedded, transient;
};

struct bus *bus_memory_open(void);
struct bus *bus_rabbit_open(const char *url, struct buf *err);
