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
    int starts_total, starts_remaining; /* the day's IDENTIFYs, when it was asked */
    int64_t starts_reset_after_ms;      /* until they are whole again, then */
    int64_t asked_ms;                   /* when the gateway's part was told */
};

/* GET /applications/@me. 0, -EACCES (the token is refused), -EHOSTDOWN (anything else; `err` gets one line). */
int upstream_ask_application(struct upstream *u, struct buf *err);
/* GET /gateway/bot. The same. */
int upstream_ask_gateway(struct upstream *u, struct buf *err);
