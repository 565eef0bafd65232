/* One HTTP connection: reads requests from its stream, runs a handler for one at a time, writes the answers. Internal
 * to platform/io. Loop thread only. A connection stands on one of its listener's lists, in order of the time it went
 * there; the list says its state and its timeout. One whose socket is gone stands with those that handle. */
#pragma once

#include "platform/base/list.h"
#include "platform/io/http_reader.h"
#include "platform/io/stream.h"

enum http_conn_state {
    HTTP_CONN_IDLE,     /* no byte of a request yet */
    HTTP_CONN_READING,  /* a request has begun */
    HTTP_CONN_HANDLING, /* its handler runs: no timeout */
    HTTP_CONN_WRITING,  /* the socket has not taken the whole answer */
    HTTP_CONN_STATES
};

struct http_listener {
    struct http_listener_options o; /* strings copied where they outlive the start */
    uv_tcp_t tcp;
    struct ssl_ctx_st *tls;
    int port;
    struct list conns[HTTP_CONN_STATES];
    int64_t timeout_ms[HTTP_CONN_STATES]; /* 0 = none */
    struct loop_timer *sweep;
    unsigned conn_count;
    bool stopping, deaf, ended;
    struct loop_timer *grace;
    void (*done)(void *arg);
    void *done_arg;
};

struct http_conn *http_conn_of(struct list *link);
int64_t http_conn_since_ms(const struct http_conn *c); /* when it went on the list it stands on, monotonic */

void http_conn_start(struct http_listener *l, struct stream *s);
/* The state's timeout has passed: closes, answers 408, or grants a slow reader that takes bytes another round. */
void http_conn_timed_out(struct http_conn *c);
/* The listener stops: idle connections end now, the others after their request. */
void http_conn_drain(struct http_conn *c);
/* The listener goes away: cuts the socket and forgets the listener. */
void http_conn_detach(struct http_conn *c);

/* For ws_accept: the connection's stream, the caller's from now on, and the bytes already read behind the request
 * (valid until the upgrade handler returns). */
struct stream *http_conn_take_stream(struct http_conn *c, struct str *ret_rest);
/* The stream while the connection has one, else NULL. */
struct stream *http_conn_stream(const struct http_conn *c);

/* In http_server.c: a connection of l is gone. */
void http_listener_conn_gone(struct http_listener *l);
