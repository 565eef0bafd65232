/* What the upstream's HTTP API tells a shard process: whose token it is, where its gateway is, what may be started.
 * Coroutine only. */
#pragma once

#include "platform/base/buf.h"

struct http_client;

struct upstream {
    struct http_client *client;
    const char *base_url; /* up to and with /api */
    const char *token;
    uint64_t application; /* 0: not asked yet */
    char gateway_url[256];
    unsigned shards; /* recommended */
    unsigned max_concurrency;
    int starts_remaining;    /* of the day's IDENTIFYs */
    int64_t starts_reset_ms; /* clock_mono_ms when they are whole again */
    int64_t asked_ms;        /* when the gateway's part was told */
};

/* GET /applications/@me. 0, -EACCES (the token is refused), -EHOSTDOWN (anything else; `err` gets one line). */
int upstream_ask_application(struct upstream *u, struct buf *err);
/* GET /gateway/bot. The same. */
int upstream_ask_gateway(struct upstream *u, struct buf *err);
