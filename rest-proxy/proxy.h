/* The rest-proxy: HTTP/1.1 in, the upstream's API out, rate limits kept in between. Loop thread only. */
#pragma once

#include "platform/io/http_server.h"

struct proxy;

struct proxy_options {
    const char *listen;      /* "host:port"; port 0 takes a free one */
    const char *upstream;    /* up to and with /api */
    const char *upstream_ca; /* NULL: the system's */
    const char *redis_url;   /* NULL: limits are this process's own */
    const char *egress;      /* the address that requests leave from; with redis_url */
    int global_per_second;   /* of each token; 0: none */
    int invalid_max;         /* invalid requests in 10 minutes; 0: no guard */
};
/* 0, or as http_listener_start with one line in err. */
int proxy_start(const struct proxy_options *o, struct proxy **ret, struct buf *err);
/* New limits, from the next permit on. */
void proxy_configure(struct proxy *p, int global_per_second, int invalid_max);
/* Redis is there and decides (false also without redis_url). */
bool proxy_limits_shared(const struct proxy *p);
int proxy_port(const struct proxy *p);
/* What is queued ends with 503, what is in flight is waited for (grace_ms at most); then done(arg), and it is freed. */
void proxy_stop(struct proxy *p, int64_t grace_ms, void (*done)(void *arg), void *arg);

/* `guildhall rest-proxy`: settings are loaded, the loop is made. Returns the exit status. */
int proxy_main(void);
