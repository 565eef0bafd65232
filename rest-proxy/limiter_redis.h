/* The limiter that any number of proxies share through Redis. Every decision is one script on the keys of one token; a
 * proxy asks for up to LIMIT_PROXY_PERMITS_MAX permits at once and reports without waiting. A limiter_local goes along
 * as the mirror of what this process did: it estimates waits, tells a Redis that has forgotten everything what this
 * proxy knows, and decides alone, with this proxy's part of each limit, while Redis cannot be reached. Loop thread. */
#pragma once

#include "platform/io/redis.h"
#include "rest-proxy/limiter.h"

struct limiter_redis_options {
    const char *url;    /* as redis_new */
    const char *egress; /* proxies of one name send from one address and share the guard; copied */
    int global_per_second, invalid_max;
    int64_t (*now_ms)(void); /* of this process */
    bool own_time;           /* tests: the scripts go by now_ms, too */
};
/* NULL and `err` when the URL is malformed. Connecting goes on in the background; until then it decides alone. */
struct limiter *limiter_redis_new(const struct limiter_redis_options *o, struct buf *err);
/* Coroutine: tells the others that this proxy goes, so that they need not wait for its silence. */
void limiter_redis_leave(struct limiter *l);
/* What it does every LIMIT_PROXY_BEAT_MS; for tests whose time moves faster. */
void limiter_redis_beat(struct limiter *l);
struct redis *limiter_redis_connection(struct limiter *l);
/* Decides with Redis now (else alone), and what it knows of the proxies that are alive. */
bool limiter_redis_shared(const struct limiter *l);
int limiter_redis_proxies(const struct limiter *l);
/* 16 hexadecimal digits, unlike those of every other process. */
const char *limiter_redis_id(const struct limiter *l);
