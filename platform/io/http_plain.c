/* Plain HTTP/1.1 to other servers: connections kept for each host and port, one call at a time on each; calls for which
 * there is none wait their turn. Loop thread. Only a whole answer ends a call within the turn; whatever fails is told
 * in the next one. Limits: http_client_options, LIMIT_HTTP_CLIENT_*. Source: RFC 9112. */
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/map.h"
#include "platform/base/mem.h"
#include "platform/io/http_answer.h"
#include "platform/io/http_call.h"
#include "platform/io/http_request.h"
#include "platform/io/loop.h"
#include "platform/io/stream.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

#define SWEEP_MS      50
#define ADDRESSES_MAX 8
#define DOUBT_MS      1000 /* a connection idle for so long is looked at before it is used */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct http_plain {
    struct http_client *client;
    struct smap origins;
    struct list idle; /* connections, those idle longest first */
    struct loop_timer *sweep;
    bool sweeping;
};

/* A host and port; there while it has connections or calls. */
struct http_plain_origin {
    struct http_plain *pool; /* NULL: only the resolver still knows it */
    char *key, *host, port[8];
    struct list idle;      /* connections, the last used one last */
    struct list resolving; /* connections that wait for addresses */
    struct list waiting;   /* calls that wait for a connection */
    unsigned conn_count;
    union address addresses[ADDRESSES_MAX];
    unsigned address_count;
    int64_t addresses_until_ms;
    uv_getaddrinfo_t resolver;
    bool resolver_runs;
    bool settling; /* not to be freed below its own feet */
};

struct http_plain_conn {
    struct http_plain_origin *origin;
    struct list link;      /* on the origin's idle or resolving */
    struct list idle_link; /* on the pool's idle */
    struct stream *stream;
    struct http_call *call; /* NULL: idle */
    struct http_answer answer;
    struct buf out; /* the request under way */
    unsigned address_at;
    int64_t since_ms, idle_ms_max;
    bool connected;
    bool kept;    /* it was idle: its peer may close it at any moment */
    bool writing; /* the stream needs `out` */
    bool dead;    /* freed as soon as it is not writing */
};

static void place(struct http_plain_origin *o, struct http_call *call);
static void conn_open(struct http_plain_origin *o, struct http_call *call);

/* --- ends --- */

static void call_fail(struct http_call *call, int error, bool maybe_sent)
{
    buf_done(&call->plain.request);
    list_remove(&call->plain.waiting);
    call->way = HTTP_CALL_NOWHERE;
    call->result.maybe_sent = maybe_sent;
    http_call_end_later(call, error);
}

static void conn_free(struct http_plain_conn *c)
{
    buf_done(&c->out);
    mem_free(c);
}

/* Its call, if any, is the caller's again; origin_settle must follow. */
static void conn_drop(struct http_plain_conn *c)
{
    list_remove(&c->link);
    list_remove(&c->idle_link);
    c->origin->conn_count--;
    if (c->call)
        c->call->plain.conn = NULL;
    c->call = NULL;
    if (c->stream)
        stream_abort(c->stream);
    c->dead = true;
    if (!c->writing)
        conn_free(c);
}

static void origin_free(struct http_plain_origin *o)
{
    mem_free(o->key);
    mem_free(o->host);
    mem_free(o);
}

/* After a connection went: those who wait get new ones, and an origin that nobody uses is forgotten. */
static void origin_settle(struct http_plain_origin *o)
{
    struct http_client *client = o->pool->client;

    if (o->settling)
        return;
    o->settling = true;
    while (!client->closing && !list_empty(&o->waiting) && o->conn_count < (unsigned)client->connections_max) {
        struct http_call *call = LIST_ENTRY(list_first(&o->waiting), struct http_call, plain.waiting);
        list_remove(&call->plain.waiting);
        conn_open(o, call);
    }
    o->settling = false;
    if (o->conn_count > 0 || o->resolver_runs || !list_empty(&o->waiting))
        return;
    smap_del(&o->pool->origins, str_c(o->key));
    origin_free(o);
}

/* Ends connection and call. */
static void conn_fail(struct http_plain_conn *c, int error, bool maybe_sent)
{
    struct http_plain_origin *o = c->origin;
    struct http_call *call = c->call;

    conn_drop(c);
    if (call)
        call_fail(call, error, maybe_sent);
    origin_settle(o);
}

/* --- sending --- */

static void on_sent(void *arg, int error)
{
    struct http_plain_conn *c = arg;

    (void)error; /* the stream tells its end by itself */
    c->writing = false;
    if (c->dead)
        conn_free(c);
}

/* The request is its call's again. */
static void request_back(struct http_plain_conn *c)
{
    struct buf *request = &c->call->plain.request;

    if (c->writing) {
        buf_add_str(request, buf_str(&c->out));
    } else {
        *request = c->out;
        c->out = BUF_INIT(0);
    }
}

/* False: the connection had ended and took nothing; it is gone, and the call stands where it stood. */
static bool conn_send(struct http_plain_conn *c, struct http_call *call)
{
    c->call = call;
    call->plain.conn = c;
    c->out = call->plain.request;
    call->plain.request = BUF_INIT(c->out.max);
    http_answer_begin(&c->answer, call->plain.to_head, &call->result.headers, &call->result.body);
    uv_buf_t buf = uv_buf_init(c->out.data, (unsigned)c->out.len);
    /* one buffer: an error at once means that none of it was taken */
    int r = stream_write(c->stream, &buf, 1, on_sent, c);
    c->writing = r == 1;
    if (r >= 0)
        return true;
    request_back(c);
    conn_drop(c);
    return false;
}

/* A kept connection that its peer has closed meanwhile, or said something on. */
static bool conn_is_stale(const struct http_plain_conn *c)
{
    char byte;

    return recv(stream_descriptor(c->stream), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
           (errno != EAGAIN && errno != EWOULDBLOCK);
}

/* The last used one is the least likely to be closed by its peer. */
static struct http_plain_conn *idle_take(struct http_plain_origin *o)
{
    while (!list_empty(&o->idle)) {
        struct http_plain_conn *c = LIST_ENTRY(o->idle.prev, struct http_plain_conn, link);
        if (clock_mono_ms() - c->since_ms < DOUBT_MS || !conn_is_stale(c)) {
            list_remove(&c->link);
            list_remove(&c->idle_link);
            return c;
        }
        conn_drop(c);
    }
    return NULL;
}

/* A call gets a connection, or stands in line for one. */
static void place(struct http_plain_origin *o, struct http_call *call)
{
    struct http_plain_conn *c;

    while ((c = idle_take(o)) != NULL)
        if (conn_send(c, call))
            return;
    if (o->conn_count < (unsigned)o->pool->client->connections_max)
        conn_open(o, call);
    else
        list_append(&o->waiting, &call->plain.waiting);
}

/* The connection is free: for who waits, or for later. */
static void conn_release(struct http_plain_conn *c)
{
    struct http_plain_origin *o = c->origin;

    buf_done(&c->out);
    c->kept = true;
    while (!list_empty(&o->waiting)) {
        struct http_call *call = LIST_ENTRY(list_first(&o->waiting), struct http_call, plain.waiting);
        list_remove(&call->plain.waiting);
        if (http_call_unwanted(call)) {
            call_fail(call, -ECANCELED, false);
            continue;
        }
        if (!conn_send(c, call))
            place(o, call);
        return;
    }
    c->since_ms = clock_mono_ms();
    c->idle_ms_max = LIMIT_HTTP_CLIENT_IDLE_MS;
    if (c->answer.idle_s > 0 && c->answer.idle_s * (int64_t)750 < c->idle_ms_max)
        c->idle_ms_max = c->answer.idle_s * (int64_t)750; /* well before the peer closes it */
    list_append(&o->idle, &c->link);
    list_append(&o->pool->idle, &c->idle_link);
}

/* --- what the connection says --- */

static void conn_answered(struct http_plain_conn *c, bool clean)
{
    struct http_plain_origin *o = c->origin;
    struct http_call *call = c->call;

    c->call = NULL;
    call->plain.conn = NULL;
    call->way = HTTP_CALL_NOWHERE;
    call->result.status = c->answer.status;
    if (clean && c->answer.keep_alive && !c->writing) {
        conn_release(c);
    } else {
        conn_drop(c);
        origin_settle(o);
    }
    http_call_end(call, 0);
}

static void on_read(struct stream *s, char *data, size_t len, void *owner)
{
    struct http_plain_conn *c = owner;
    size_t used;

    (void)s;
    if (!c->call) {
        conn_fail(c, 0, false); /* nobody asked */
        return;
    }
    int r = http_answer_feed(&c->answer, data, len, &used);
    if (r < 0)
        conn_fail(c, r, true);
    else if (r == 1)
        conn_answered(c, used == len);
}

/* A kept connection may end while a request is on its way to it: what can do no harm twice is sent once more. */
static bool may_repeat(const struct http_plain_conn *c)
{
    return c->kept && !c->answer.begun && c->call->plain.repeatable && !c->call->plain.repeated;
}

static void on_end(struct stream *s, int error, void *owner)
{
    struct http_plain_conn *c = owner;
    struct http_plain_origin *o = c->origin;
    struct http_call *call = c->call;

    (void)s;
    if (!call || !may_repeat(c)) {
        if (call && error == 0 && http_answer_end(&c->answer) == 1)
            conn_answered(c, false);
        else
            conn_fail(c, -EPROTO, true);
        return;
    }
    call->plain.repeated = true;
    request_back(c);
    conn_drop(c);
    conn_open(o, call);
}

static const struct stream_callbacks callbacks = {on_read, on_end};

/* --- connecting --- */

static void conn_connect(struct http_plain_conn *c);

static void on_connected(struct stream *s, int error, void *arg)
{
    struct http_plain_conn *c = arg;
    struct http_plain_origin *o = c->origin;
    struct http_call *call = c->call;

    if (error) {
        stream_abort(s);
        c->stream = NULL;
        conn_connect(c);
        return;
    }
    c->connected = true;
    if (http_call_unwanted(call)) {
        c->call = NULL;
        call_fail(call, -ECANCELED, false);
        conn_release(c);
    } else if (!conn_send(c, call)) {
        call_fail(call, -EPROTO, false);
        origin_settle(o);
    }
}

/* To the name's next address. */
static void conn_connect(struct http_plain_conn *c)
{
    struct http_plain_origin *o = c->origin;

    list_remove(&c->link);
    while (c->address_at < o->address_count) {
        const struct sockaddr *to = &o->addresses[c->address_at++].any;
        if (http_client_may_reach(o->pool->client, to))
            c->stream = stream_connect(to, on_connected, c);
        if (c->stream) {
            stream_set_owner(c->stream, &callbacks, c);
            return;
        }
    }
    conn_fail(c, -ECONNREFUSED, false);
}

static void addresses_take(struct http_plain_origin *o, const struct addrinfo *found)
{
    o->address_count = 0;
    for (; found && o->address_count < ADDRESSES_MAX; found = found->ai_next)
        if (found->ai_addrlen <= sizeof(union address))
            memcpy(&o->addresses[o->address_count++], found->ai_addr, found->ai_addrlen);
    o->addresses_until_ms = clock_mono_ms() + LIMIT_HTTP_CLIENT_NAME_MS;
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct http_plain_origin *o = req->data;

    o->resolver_runs = false;
    if (status == 0)
        addresses_take(o, found);
    uv_freeaddrinfo(found);
    if (!o->pool) {
        origin_free(o);
        return;
    }
    o->settling = true;
    while (!list_empty(&o->resolving)) {
        struct http_plain_conn *c = LIST_ENTRY(list_first(&o->resolving), struct http_plain_conn, link);
        if (status == 0)
            conn_connect(c);
        else
            conn_fail(c, -EHOSTUNREACH, false);
    }
    o->settling = false;
    origin_settle(o);
}

static int resolve(struct http_plain_origin *o)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    o->resolver.data = o;
    if (uv_getaddrinfo(loop_uv(), &o->resolver, on_resolved, o->host, o->port, &hints) != 0)
        return -EHOSTUNREACH;
    o->resolver_runs = true;
    return 0;
}

/* A connection for this call. */
static void conn_open(struct http_plain_origin *o, struct http_call *call)
{
    struct http_plain_conn *c = MEM_NEW(struct http_plain_conn);

    c->origin = o;
    c->call = call;
    call->plain.conn = c;
    c->since_ms = clock_mono_ms();
    list_init(&c->link);
    list_init(&c->idle_link);
    o->conn_count++;
    if (o->address_count > 0 && c->since_ms < o->addresses_until_ms) {
        conn_connect(c);
        return;
    }
    list_append(&o->resolving, &c->link);
    if (!o->resolver_runs && resolve(o) != 0)
        conn_fail(c, -EHOSTUNREACH, false);
}

/* --- calls --- */

static struct http_plain_origin *origin_get(struct http_plain *h, const struct http_url *u)
{
    struct http_plain_origin *o = smap_get(&h->origins, u->authority);

    if (o)
        return o;
    o = MEM_NEW(struct http_plain_origin);
    o->pool = h;
    o->key = mem_strndup(u->authority.p, u->authority.n);
    o->host = mem_strndup(u->host.p, u->host.n);
    snprintf(o->port, sizeof(o->port), "%u", u->port);
    list_init(&o->idle);
    list_init(&o->resolving);
    list_init(&o->waiting);
    if (uv_ip4_addr(o->host, u->port, &o->addresses[0].v4) == 0 ||
        uv_ip6_addr(o->host, u->port, &o->addresses[0].v6) == 0) {
        o->address_count = 1;
        o->addresses_until_ms = INT64_MAX;
    }
    smap_put(&h->origins, u->authority, o);
    return o;
}

static void sweep(void *arg);

void http_plain_start(struct http_plain *h, struct http_call *call, const struct http_call_options *o)
{
    struct http_url url;

    call->way = HTTP_CALL_PLAIN;
    call->plain.request = BUF_INIT(SIZE_MAX / 2);
    list_init(&call->plain.waiting);
    if (http_url_parse(str_c(o->url), &url) < 0 ||
        http_request_write(&call->plain.request, o, &url, h->client->user_agent) < 0) {
        call_fail(call, -EPROTO, false);
        return;
    }
    call->plain.until_ms = o->timeout_ms > 0 ? clock_mono_ms() + o->timeout_ms : INT64_MAX;
    call->plain.to_head = strcmp(o->method, "HEAD") == 0;
    call->plain.repeatable = call->plain.to_head || strcmp(o->method, "GET") == 0;
    call->plain.origin = origin_get(h, &url);
    place(call->plain.origin, call);
    if (!h->sweeping)
        loop_timer_start(h->sweep, SWEEP_MS, SWEEP_MS);
    h->sweeping = true;
}

void http_plain_drop(struct http_call *call)
{
    struct http_plain_origin *o = call->plain.origin;
    struct http_plain_conn *c = call->plain.conn;

    call->result.maybe_sent = c && c->connected;
    if (c)
        conn_drop(c);
    list_remove(&call->plain.waiting);
    buf_done(&call->plain.request);
    call->way = HTTP_CALL_NOWHERE;
    origin_settle(o);
}

/* --- time --- */

static bool call_is_late(const struct http_call *call, int64_t now)
{
    const struct http_plain_conn *c = call->plain.conn;

    return now >= call->plain.until_ms || (c && !c->connected && now >= c->since_ms + LIMIT_HTTP_CLIENT_CONNECT_MS);
}

static void sweep(void *arg)
{
    struct http_plain *h = arg;
    int64_t now = clock_mono_ms();

    LIST_FOREACH_SAFE(it, &h->client->calls)
    {
        struct http_call *call = LIST_ENTRY(it, struct http_call, link);
        if (call->way != HTTP_CALL_PLAIN || !call_is_late(call, now))
            continue;
        http_plain_drop(call);
        http_call_end_later(call, -ETIMEDOUT);
    }
    LIST_FOREACH_SAFE(it, &h->idle)
    {
        struct http_plain_conn *c = LIST_ENTRY(it, struct http_plain_conn, idle_link);
        if (now - c->since_ms >= c->idle_ms_max)
            conn_fail(c, 0, false);
    }
    if (!list_empty(&h->client->calls) || !list_empty(&h->idle))
        return;
    loop_timer_stop(h->sweep);
    h->sweeping = false;
}

/* --- the pool --- */

struct http_plain *http_plain_new(struct http_client *c)
{
    struct http_plain *h = MEM_NEW(struct http_plain);

    h->client = c;
    list_init(&h->idle);
    h->sweep = loop_timer_new(sweep, h);
    return h;
}

void http_plain_free(struct http_plain *h)
{
    struct http_plain_origin *o;
    struct str key;

    while (!list_empty(&h->idle))
        conn_fail(LIST_ENTRY(list_first(&h->idle), struct http_plain_conn, idle_link), 0, false);
    for (size_t i = 0; (o = smap_next(&h->origins, &i, &key)) != NULL;) {
        CHECK(o->resolver_runs && o->conn_count == 0);
        o->pool = NULL;
    }
    smap_done(&h->origins);
    loop_timer_free(h->sweep);
    mem_free(h);
}
