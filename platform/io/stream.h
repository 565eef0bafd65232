/* One TCP socket, accepted (with TLS or without) or connected: what the HTTP server, WebSocket and the plain HTTP
 * client share. Internal to platform/io. The thread of the loop it was made on; accepted ones on one thread of the
 * process. A stream has one owner at a time; it ends by stream_finish or stream_abort, after which the owner hears
 * nothing more and forgets it. */
#pragma once

#include "platform/base/buf.h"
#include <uv.h>

struct stream;
struct ssl_ctx_st;

struct stream_callbacks {
    /* Bytes from the peer, decrypted. Writable, valid during the call. The stream may be ended inside. */
    void (*on_read)(struct stream *s, char *data, size_t len, void *owner);
    /* No more bytes will come: error 0 = the peer's orderly end (it may still read), else -errno. Called once. */
    void (*on_end)(struct stream *s, int error, void *owner);
};

/* Takes the next connection off a listening handle. tls: NULL = plain; the stream keeps its own reference.
 * NULL when the socket could not be had or LIMIT_HTTP_CONNECTIONS are open. Reading starts at once. */
struct stream *stream_accept(uv_stream_t *listener, struct ssl_ctx_st *tls);
/* Connects, plain. done(s, 0) or done(s, -errno) comes in a later turn, after which reading runs or the owner aborts
 * it; never after the stream was ended. Set the owner before that. NULL: no socket could be had. */
typedef void (*stream_connected)(struct stream *s, int error, void *arg);
struct stream *stream_connect(const struct sockaddr *to, stream_connected done, void *arg);
void stream_set_owner(struct stream *s, const struct stream_callbacks *cb, void *owner);

/* done is called exactly once if and only if stream_write returned 1: when the memory behind `bufs` is needed no more,
 * also after the stream has ended. error: 0 or -errno. */
typedef void (*stream_written)(void *arg, int error);

/* Writes at once what the socket takes, in order with what is queued; the rest follows by itself. bufs: changed inside.
 * 0 = all gone; 1 = some is queued, its memory must stay until done; -errno: the stream is broken, end it. */
int stream_write(struct stream *s, uv_buf_t *bufs, unsigned count, stream_written done, void *arg);
/* The descriptor, for who wants to send past libuv while nothing is queued: one attempt, MSG_DONTWAIT, and what it left
 * over goes through stream_write. -1: not possible (TLS). */
int stream_descriptor(const struct stream *s);
size_t stream_unsent_bytes(const struct stream *s);

/* Stops and starts reading from the socket; bytes read already may still come. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

/* Sends what is queued, ends the sending side, waits for the peer's end (LIMIT_STREAM_LINGER_MS), closes. Closing at
 * once would answer the peer's unread bytes with a reset, which can destroy the last answer on its way. */
void stream_finish(struct stream *s);
/* Closes now. */
void stream_abort(struct stream *s);
/* Closes now, and the peer gets a reset whatever was still on its way. */
void stream_reset(struct stream *s);

void stream_peer(const struct stream *s, char out[48]); /* address without the port */
bool stream_is_tls(const struct stream *s);
unsigned stream_count(void); /* open on this thread, connected ones included */
