/* A WebSocket client connection on libwebsockets (TLS, pings answered), names resolved off the loop and each of their
 * addresses tried. Redirects are not followed. Loop thread only; the first client binds libwebsockets to the process's
 * loop for good. Source: RFC 6455. */
#pragma once

#include "platform/base/buf.h"

struct ws_client;

struct ws_client_callbacks {
    void (*on_open)(struct ws_client *c, void *arg);
    /* One whole message; `data` valid during the call. */
    void (*on_message)(struct ws_client *c, struct str data, bool binary, void *arg);
    /* Exactly once, also when connecting failed (code 1006, reason says why). The client is freed after the return.
     * code: what the peer sent (1005: none), our own after ws_client_close, or 1006; 1009: longer than payload_max. */
    void (*on_close)(struct ws_client *c, int code, const char *reason, void *arg);
};

struct ws_client_options {
    const char *url;     /* ws:// or wss://, with path and query */
    const char *ca_file; /* NULL: the system's */
    const char *user_agent;
    struct ws_client_callbacks cb;
    void *arg;
    size_t payload_max;
    size_t queue_bytes_max;
    int connect_timeout_ms;
};

/* NULL and `err` when the URL is malformed. */
struct ws_client *ws_client_connect(const struct ws_client_options *o, struct buf *err);
int ws_client_send(struct ws_client *c, bool binary, struct str data); /* 0, -ENOBUFS, -EPIPE */
/* Stops and goes on reading: while paused the peer's bytes stay in the sockets' buffers, and its pongs with them. At
 * most what was read already is still delivered. */
void ws_client_pause(struct ws_client *c, bool paused);
/* After what is queued; the peer has LIMIT_WS_CLIENT_CLOSE_MS to answer. Not yet open: on_close is called before it
 * returns. */
void ws_client_close(struct ws_client *c, int code, const char *reason);
/* Drops the connection without a word; on_close (1006) is called before it returns. */
void ws_client_abort(struct ws_client *c);
