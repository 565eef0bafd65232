/* The server's side of WebSocket on a connection that http_server read the upgrade from. Frames are ours, because the
 * fan-out writes them: an event is encoded once (struct ws_shared), each session adds a head of a few bytes, and
 * everything queued for a socket in one loop turn leaves in one writev. Loop thread only. Source: RFC 6455. */
#pragma once

#include "platform/base/buf.h"
#include "platform/io/http_server.h"

struct ws_conn;

/* Bytes shared by many connections; immutable once sent. */
struct ws_shared {
    int refs;
    size_t len;
    char data[];
};
struct ws_shared *ws_shared_new(const void *data, size_t len); /* one reference, the caller's */
struct ws_shared *ws_shared_ref(struct ws_shared *s);
void ws_shared_unref(struct ws_shared *s);

struct ws_callbacks {
    /* One whole message (fragments joined, at most payload_max). `data` is valid during the call only. */
    void (*on_message)(struct ws_conn *c, struct str data, bool binary, void *arg);
    /* The connection is over; called exactly once, also after ws_close and ws_abort, in a turn of its own. code: what
     * the peer sent or what went wrong (1006: no close frame; 1009 too big; 1007 bad UTF-8; 1002 protocol).
     * The conn is freed after the return; forget it. */
    void (*on_close)(struct ws_conn *c, int code, void *arg);
    /* May be NULL. The socket was full and has now taken everything: whoever paces a long READY goes on here. */
    void (*on_drain)(struct ws_conn *c, void *arg);
};

struct ws_options {
    struct ws_callbacks cb;
    void *arg;
    size_t payload_max;     /* a longer message: close with payload_max_code */
    int payload_max_code;   /* e.g. 1009, or Discord's 4002 */
    size_t queue_bytes_max; /* unsent bytes: a message that would go over it while others wait is refused. A single
                             * message may be longer. */
    int close_timeout_ms;   /* how long ws_close waits for the peer's answer */
};

/* Answers 101 and takes the connection (its socket and TLS) over. The 101 leaves alone: whatever is sent goes out from
 * the next loop turn on, never in the same segment. NULL when the handshake headers are wrong (answer 400 then). */
struct ws_conn *ws_accept(struct http_request *req, const struct ws_options *o);

/* Queue one text or binary message made of up to two parts: `head` (copied) and then `shared` (referenced, may be
 * NULL). 0, -ENOBUFS (queue full: nothing was queued, ws_cut it), -EPIPE (closing). Leaves at the end of the loop turn.
 */
int ws_send(struct ws_conn *c, bool binary, struct str head, struct ws_shared *shared);

/* The same with the frame header already inside the bytes: `raw` is one whole, unmasked, FIN frame or several. */
int ws_send_raw(struct ws_conn *c, struct str head, struct ws_shared *shared);

/* Gives what is queued to the socket now, not at the turn's end. For who sends the same to many sockets: one after the
 * other they need no memory of their own, and what their frames share is put together once. */
void ws_flush(struct ws_conn *c);

/* Sends a close frame after what is queued; then waits for the peer's, close_timeout_ms at most. */
void ws_close(struct ws_conn *c, int code, const char *reason);
/* The same for a peer that takes too little: what is queued and not begun is given up first. */
void ws_cut(struct ws_conn *c, int code, const char *reason);
/* Since when the socket has not taken all it was given (clock_mono_ms; on_drain tells when it has); 0: it has. */
int64_t ws_blocked_since_ms(const struct ws_conn *c);
/* Drops the socket without a word. */
void ws_abort(struct ws_conn *c);
/* Ends it without a close frame, as a broken network does: with a reset, or with TCP's orderly end after what is
 * queued. on_close gets 1006. */
void ws_drop(struct ws_conn *c, bool reset);

size_t ws_queued_bytes(const struct ws_conn *c);
uint64_t ws_bytes_sent(const struct ws_conn *c);
uint64_t ws_sent_bytes_total(void); /* of all connections there were */
void *ws_arg(const struct ws_conn *c);
void ws_set_arg(struct ws_conn *c, void *arg);
const char *ws_peer(const struct ws_conn *c); /* address without the port, "" when over; good until the next call */
