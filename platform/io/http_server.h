/* HTTP/1.1 server: a listener, requests read whole, answers written once. Reading, framing, limits and TLS happen
 * here; a handler is sequential code on a coroutine of its own. Loop thread only.
 * Source: RFC 9110, RFC 9112. Limits: LIMIT_HTTP_*. */
#pragma once

#include "platform/base/arena.h"
#include "platform/base/buf.h"

struct http_listener;
struct http_conn;

enum http_method {
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_OTHER
};
const char *http_method_name(enum http_method m);

struct http_header {
    struct str name, value;
};

/* Valid until the handler returns (everything points into the request's arena or body). */
struct http_request {
    enum http_method method;
    struct str target; /* as sent */
    struct str path;   /* without the query, still percent-encoded */
    struct str query;  /* without the question mark */
    struct http_header *headers;
    unsigned header_count;
    struct str body; /* whole, chunks joined */
    struct arena arena;
    char peer[64]; /* address without the port */
    bool tls;
    struct http_conn *conn;
};

/* Case-insensitive; STR_NONE when absent. */
struct str http_request_header(const struct http_request *r, const char *name);
/* Percent-decoded value of a query parameter (in the request's arena); STR_NONE when absent. */
struct str http_request_query(struct http_request *r, const char *name);
/* Percent-decodes into the arena; STR_NONE when malformed. */
struct str http_percent_decode(struct arena *a, struct str s, bool plus_is_blank);
/* True once the peer is gone (or has at least ended its sending side): a long handler may stop early. */
bool http_request_gone(const struct http_request *r);

/* Ends the connection without an answer: with a reset, or with TCP's orderly end. What the handler then writes goes
 * nowhere. */
void http_request_cut(struct http_request *r, bool reset);

struct http_response {
    int status;
    struct buf head; /* extra header lines, each "Name: value\r\n"; Content-Length, Date and Connection are added */
    struct buf body;
    const char *content_type; /* default application/json; none is sent with 204 */
    int file_fd;              /* >= 0: the body is this file from its offset on (closed afterwards), file_bytes long */
    int64_t file_bytes;
};

void http_response_header(struct http_response *r, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Runs on a coroutine; the answer leaves when it returns. A handler that leaves status 0 answers 500. */
typedef void (*http_handler)(struct http_request *req, struct http_response *res, void *arg);

/* A GET with `Upgrade: websocket` comes here instead, on the loop, not on a coroutine. Return a status (404, 403, ...)
 * to refuse, or 0 after having called ws_accept (platform/io/ws.h) on req->conn. */
typedef int (*http_upgrade_handler)(struct http_request *req, void *arg);

struct http_listener_options {
    const char *listen;             /* "host:port"; port 0 takes a free one */
    const char *tls_cert, *tls_key; /* paths; NULL = plain */
    http_handler handler;
    http_upgrade_handler upgrade; /* NULL: upgrades are answered 426 */
    void *arg;
    size_t body_max; /* 0 = LIMIT_HTTP_BODY_BYTES */
    const char *via; /* NULL, or sent as `Via` on every answer: discord.py needs it; static */
    int idle_ms;     /* 0 = LIMIT_HTTP_IDLE_MS */
    int request_ms;  /* 0 = LIMIT_HTTP_REQUEST_MS */
};

/* 0, -EADDRINUSE, -EINVAL (listen, certificate), other -errno; `err` gets one line naming what failed. */
int http_listener_start(const struct http_listener_options *o, struct http_listener **ret, struct buf *err);
int http_listener_port(const struct http_listener *l);
/* Stops accepting, lets running requests finish (at most grace_ms), closes idle connections, then calls done(arg) and
 * frees. WebSocket connections made by ws_accept are not touched. A handler that still runs after the grace runs on
 * with http_request_gone true and its answer dropped, so what `arg` points to must outlive it. done may be NULL. */
void http_listener_stop(struct http_listener *l, int64_t grace_ms, void (*done)(void *arg), void *arg);
