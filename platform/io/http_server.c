/* HTTP listeners: accepting, timeouts, stopping. Loop thread only. At most LIMIT_HTTP_CONNECTIONS sockets are open. */
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/io/http_conn.h"
#include "platform/io/loop.h"
#include "platform/io/tls.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>

#define LISTEN_BACKLOG 4096
#define SWEEP_MS_MAX   1000
#define SWEEP_MS_MIN   10

static void on_connection(uv_stream_t *handle, int status)
{
    struct http_listener *l = handle->data;
    struct stream *s = status == 0 ? stream_accept(handle, l->tls) : NULL;

    if (s)
        http_conn_start(l, s);
}

/* The oldest stand first on each list. */
static void sweep(void *arg)
{
    struct http_listener *l = arg;
    int64_t now = clock_mono_ms();

    for (int state = 0; state < HTTP_CONN_STATES; state++) {
        int64_t timeout = l->timeout_ms[state];
        for (struct list *first; timeout && (first = list_first(&l->conns[state])) != NULL;) {
            struct http_conn *c = http_conn_of(first);
            if (http_conn_since_ms(c) + timeout > now)
                break;
            http_conn_timed_out(c);
        }
    }
}

/* "host:port" or "[v6]:port" to an address. Asks the resolver, so only at start. */
static int resolve(const char *listen, struct sockaddr_storage *ret, struct buf *err)
{
    const char *colon = strrchr(listen, ':');
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found;

    if (!colon || !colon[1]) {
        buf_addf(err, "listen %s: expected host:port", listen);
        return -EINVAL;
    }
    uint64_t port;
    if (str_to_u64(str_c(colon + 1), &port) < 0 || port > 65535) {
        buf_addf(err, "listen %s: the port must be a number from 0 to 65535", listen);
        return -EINVAL;
    }
    struct str host = {listen, (size_t)(colon - listen)};
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = (struct str){host.p + 1, host.n - 2};
    MEM_AUTO char *name = mem_strndup(host.p, host.n);
    int r = getaddrinfo(*name && strcmp(name, "*") != 0 ? name : NULL, colon + 1, &hints, &found);
    if (r != 0) {
        buf_addf(err, "listen %s: %s", listen, gai_strerror(r));
        return -EINVAL;
    }
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

static int listen_at(struct http_listener *l, const struct sockaddr_storage *addr, struct buf *err)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } bound = {0};
    int len = sizeof(bound);
    int r = uv_tcp_bind(&l->tcp, (const struct sockaddr *)addr, 0);

    if (r == 0)
        r = uv_listen((uv_stream_t *)&l->tcp, LISTEN_BACKLOG, on_connection);
    if (r == 0)
        r = uv_tcp_getsockname(&l->tcp, &bound.any, &len);
    if (r < 0) {
        buf_addf(err, "listen %s: %s", l->o.listen, uv_strerror(r));
        return r;
    }
    l->port = ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port);
    return 0;
}

static void listener_free(struct http_listener *l)
{
    tls_context_free(l->tls);
    mem_free(l);
}

static void on_failed_start_closed(uv_handle_t *handle)
{
    listener_free(handle->data);
}

static struct http_listener *listener_new(const struct http_listener_options *o)
{
    struct http_listener *l = MEM_NEW(struct http_listener);

    l->o = *o;
    if (!l->o.body_max)
        l->o.body_max = LIMIT_HTTP_BODY_BYTES;
    l->timeout_ms[HTTP_CONN_IDLE] = o->idle_ms ? o->idle_ms : LIMIT_HTTP_IDLE_MS;
    l->timeout_ms[HTTP_CONN_READING] = o->request_ms ? o->request_ms : LIMIT_HTTP_REQUEST_MS;
    l->timeout_ms[HTTP_CONN_WRITING] = LIMIT_HTTP_STALL_MS;
    for (int state = 0; state < HTTP_CONN_STATES; state++)
        list_init(&l->conns[state]);
    CHECK(uv_tcp_init(loop_uv(), &l->tcp) == 0);
    l->tcp.data = l;
    return l;
}

static void sweep_start(struct http_listener *l)
{
    int64_t every = l->timeout_ms[HTTP_CONN_IDLE];

    if (l->timeout_ms[HTTP_CONN_READING] < every)
        every = l->timeout_ms[HTTP_CONN_READING];
    every /= 4;
    every = every > SWEEP_MS_MAX ? SWEEP_MS_MAX : every < SWEEP_MS_MIN ? SWEEP_MS_MIN : every;
    l->sweep = loop_timer_new(sweep, l);
    loop_timer_start(l->sweep, every, every);
}

int http_listener_start(const struct http_listener_options *o, struct http_listener **ret, struct buf *err)
{
    struct sockaddr_storage addr;

    CHECK(o->handler);
    int r = resolve(o->listen, &addr, err);
    if (r < 0)
        return r;
    struct http_listener *l = listener_new(o);
    if (o->tls_cert)
        r = tls_context_new(o->tls_cert, o->tls_key ? o->tls_key : "", &l->tls, err);
    if (r == 0)
        r = listen_at(l, &addr, err);
    if (r < 0) {
        uv_close((uv_handle_t *)&l->tcp, on_failed_start_closed);
        return r;
    }
    /* the caller's strings need not live on */
    l->o.listen = l->o.tls_cert = l->o.tls_key = NULL;
    sweep_start(l);
    *ret = l;
    return 0;
}

int http_listener_port(const struct http_listener *l)
{
    return l->port;
}

static void listener_end(void *arg)
{
    struct http_listener *l = arg;

    loop_timer_free(l->sweep);
    loop_timer_free(l->grace);
    if (l->done)
        l->done(l->done_arg);
    listener_free(l);
}

static void listener_check(struct http_listener *l)
{
    if (!l->deaf || l->ended || l->conn_count)
        return;
    l->ended = true;
    loop_post(listener_end, l);
}

void http_listener_conn_gone(struct http_listener *l)
{
    CHECK(l->conn_count > 0);
    l->conn_count--;
    listener_check(l);
}

static void grace_over(void *arg)
{
    struct http_listener *l = arg;

    for (int state = 0; state < HTTP_CONN_STATES; state++)
        for (struct list *first; (first = list_first(&l->conns[state])) != NULL;)
            http_conn_detach(http_conn_of(first));
}

static void on_deaf(uv_handle_t *handle)
{
    struct http_listener *l = handle->data;

    l->deaf = true;
    listener_check(l);
}

void http_listener_stop(struct http_listener *l, int64_t grace_ms, void (*done)(void *arg), void *arg)
{
    CHECK(!l->stopping);
    l->stopping = true;
    l->done = done;
    l->done_arg = arg;
    l->grace = loop_timer_new(grace_over, l);
    loop_timer_start(l->grace, grace_ms, 0);
    /* the listening socket goes first: whoever comes now is to find another node */
    uv_close((uv_handle_t *)&l->tcp, on_deaf);
    for (int state = 0; state < HTTP_CONN_STATES; state++)
        LIST_FOREACH_SAFE(it, &l->conns[state])
    http_conn_drain(http_conn_of(it));
}
