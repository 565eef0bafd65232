/* Private to the AMQP adapter: one connection with a thread of its own that comes back by itself. The owner (publisher
 * or consumer) gives three steps, which run on that thread; everything under `lock` is shared with the loop thread. */
#pragma once

#include "platform/base/buf.h"
#include "platform/io/amqp.h"
#include <amqp.h>
#include <pthread.h>

#define AMQP_LINK_CHANNEL 1

struct amqp_link_steps {
    /* Logged in, topology declared: prepare the channel. 0, or -EIO with link->error set. */
    int (*up)(void *owner);
    /* One round: send what waits, read what came, then amqp_link_wait. 0, -EIO: the connection is of no use, or
     * -EAGAIN: it ends with a goodbye, and another one is made. */
    int (*turn)(void *owner);
    /* The last thing before a goodbye; may be NULL. */
    int (*bye)(void *owner);
    /* The connection is gone, or could not be made: settle what waits. Also called while it stays away. */
    void (*down)(void *owner);
};

struct loop;

struct amqp_link {
    char *url; /* cut up by amqp_parse_url; `at` points into it */
    struct amqp_connection_info at;
    const struct amqp_declare *declares;
    int declare_count;
    const struct amqp_link_steps *steps;
    void *owner;
    pthread_t thread;
    struct loop *loop; /* of the thread that started the link: what it posts goes there */
    int wake;          /* eventfd */

    pthread_mutex_t lock;
    bool stop;
    bool connected;
    int socket; /* -1: none; shut down by amqp_link_stop when the thread does not end by itself */

    /* the thread's own */
    amqp_connection_state_t conn;
    char error[256];
    bool complained;
};

/* -EINVAL and err: malformed url. steps and declares must outlive the link. */
int amqp_link_init(struct amqp_link *l, const char *url, const struct amqp_declare *declares, int declare_count,
                   const struct amqp_link_steps *steps, void *owner, struct buf *err);
void amqp_link_start(struct amqp_link *l);
/* Loop thread. Ends the thread: a second for a proper goodbye, then the socket is cut. */
void amqp_link_stop(struct amqp_link *l);
void amqp_link_done(struct amqp_link *l);

void amqp_link_wake(struct amqp_link *l);            /* any thread */
bool amqp_link_connected(const struct amqp_link *l); /* any thread */

/* The link's thread: waits until the broker sent something, somebody called amqp_link_wake, or the time is over. */
void amqp_link_wait(struct amqp_link *l, int timeout_ms);
bool amqp_link_stopping(struct amqp_link *l);
/* Sets the error's text from a status, or from the last synchronous call's answer, and returns -EIO. */
int amqp_link_fail(struct amqp_link *l, const char *what, int status);
int amqp_link_check(struct amqp_link *l, const char *what, amqp_rpc_reply_t reply);
/* A method that ends channel or connection, or that nobody expects: sets the text and returns -EIO. */
int amqp_link_unexpected(struct amqp_link *l, const amqp_frame_t *frame);
