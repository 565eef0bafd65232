/* A listener on a loop thread of its own, and blocking loopback clients for the test's thread. One server at a time. */
#pragma once

#include "platform/base/buf.h"
#include "platform/io/http_server.h"
#include "platform/io/loop.h"

/* Starts the loop thread; o->listen may be NULL (127.0.0.1:0). Returns the port; fails the test when it cannot. */
int net_serve(struct http_listener_options o);
/* Stops the listener with this grace, waits until every socket is closed, ends the loop. */
void net_stop(int64_t grace_ms);
void net_stop_begin(int64_t grace_ms); /* the first half */
void net_stop_wait(void);              /* the second */
/* Runs fn(arg) on the loop thread and waits for it. */
void net_on_loop(loop_fn fn, void *arg);

/* Blocking, no delay, 60 seconds for a read. */
int net_connect(int port);
void net_send(int fd, struct str bytes);
/* Appends what comes until `want` bytes are in b, or the peer ended. False: it ended (or a minute passed) before. */
bool net_read(int fd, struct buf *b, size_t want);
/* Appends until the text is in b. */
bool net_read_until(int fd, struct buf *b, const char *text);
/* True when the peer ends the connection (orderly or not) within a minute; what it says before goes to b. */
bool net_read_end(int fd, struct buf *b);

/* One HTTP answer off the socket. b holds bytes read ahead, from answer to answer. */
struct net_answer {
    int status;
    struct buf head, body;
};
bool net_read_answer(int fd, struct buf *b, bool to_head, struct net_answer *ret);
void net_answer_done(struct net_answer *a);
/* Value of a header; STR_NONE when absent. */
struct str net_answer_header(const struct net_answer *a, const char *name);
