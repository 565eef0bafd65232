/* RabbitMQ over rabbitmq-c, which blocks: each connection has a thread of its own and bounded queues to the loop. It
 * reconnects by itself and declares its topology again. All functions: loop thread. Source: AMQP 0-9-1, publisher
 * confirms and consumer prefetch as in RabbitMQ's documentation. Limits: LIMIT_AMQP_*. */
#pragma once

#include "platform/base/buf.h"

struct amqp_header {
    const char *name;
    struct str value;        /* a string header; */
    const char *const *list; /* or an array of strings (NULL-terminated), e.g. CC */
    bool is_int;
    int64_t number;
};

struct amqp_message {
    const char *exchange;
    const char *routing_key;
    struct str body;
    bool persistent;
    const char *message_id; /* may be NULL */
    const char *type;       /* may be NULL */
    const struct amqp_header *headers;
    int header_count;
    int64_t expiration_ms; /* the broker drops it when it waited so long; 0: never */
    int64_t timestamp_s;   /* Unix; 0: none */
};

struct amqp_declare { /* declared on every (re)connect, in order */
    enum { AMQP_EXCHANGE, AMQP_QUEUE, AMQP_BIND } what;
    const char *name;        /* exchange, queue; or the queue to bind */
    const char *type;        /* exchange: direct, topic */
    const char *exchange;    /* bind */
    const char *routing_key; /* bind */
    bool durable, auto_delete, exclusive;
    int64_t expires_ms;   /* queue: x-expires, 0 = none */
    int64_t max_length;   /* queue: x-max-length, 0 = none */
    const char *overflow; /* queue: x-overflow, NULL = none */
    const char *dead_letter_exchange;
    bool single_active_consumer;
};

struct amqp_publisher;
/* The array and its strings must outlive the publisher. NULL and err: malformed url. */
struct amqp_publisher *amqp_publisher_new(const char *url, const struct amqp_declare *declares, int declare_count,
                                          struct buf *err);
/* Waiting ones end with -ECANCELED before it returns (call done). May block for a second, for a proper goodbye. */
void amqp_publisher_free(struct amqp_publisher *p);
bool amqp_publisher_connected(const struct amqp_publisher *p);
/* Copied. done(0) once the broker confirmed, in order of publishing; -EIO (nack or connection lost before the confirm:
 * may or may not have been routed), -ETIMEDOUT (LIMIT_BUS_CONFIRM_MS; may or may not have been routed). In the next
 * turn, before those: -EAGAIN (LIMIT_AMQP_QUEUE_*), -ENOTCONN (nothing is kept for a broker that is away; also until
 * all that failed with the last connection has been told: what is published after a failure nobody knows of yet fails,
 * too). done may be NULL. A headers' value, list and number exclude each other. */
void amqp_publish(struct amqp_publisher *p, const struct amqp_message *m, void (*done)(int error, void *arg),
                  void *arg);
int amqp_publish_await(struct amqp_publisher *p, const struct amqp_message *m);

struct amqp_delivery {
    uint64_t tag;   /* for amqp_ack, of this consumer */
    uint64_t epoch; /* connection the tag belongs to; an ack of an older one is dropped */
    const char *queue;
    struct str exchange, routing_key, body, message_id, type;
    int64_t expiration_ms, timestamp_s; /* as it was published, also where it waited since; 0: none */
    bool redelivered;
    /* Headers by name: STR_NONE/false when absent. */
    const void *headers;
};
struct str amqp_delivery_header(const struct amqp_delivery *d, const char *name);
bool amqp_delivery_header_int(const struct amqp_delivery *d, const char *name, int64_t *ret);

struct amqp_consumer;
/* fn runs on the loop, in order; the delivery is valid during the call (copy tag and epoch for a later ack).
 * prefetch: 1..LIMIT_AMQP_PREFETCH unacknowledged deliveries for each queue; also what may wait for the loop. When a
 * queue it consumes is deleted, the connection is made anew, the topology with it. */
struct amqp_consumer *amqp_consumer_new(const char *url, const struct amqp_declare *declares, int declare_count,
                                        int prefetch, void (*fn)(const struct amqp_delivery *d, void *arg), void *arg,
                                        struct buf *err);
void amqp_consumer_free(struct amqp_consumer *c); /* acks given before still leave; may block for a second */
bool amqp_consumer_connected(const struct amqp_consumer *c);
/* Starts and stops consuming a declared queue at run time (partitions); survives reconnects. done: in its place in the
 * order, nothing of the queue is delivered after it; what is not acknowledged by then stays so until it is. */
void amqp_consumer_add(struct amqp_consumer *c, const char *queue);
void amqp_consumer_remove(struct amqp_consumer *c, const char *queue, void (*done)(void *arg), void *arg);
/* Connects anew: everything unacknowledged goes back to its place in its queue, and only then may another consumer have
 * it. What is added stays added; a queue removed right after this call is not consumed again. */
void amqp_consumer_reconnect(struct amqp_consumer *c);
/* multiple: all of this consumer up to tag, of whatever queue. */
void amqp_ack(struct amqp_consumer *c, uint64_t tag, uint64_t epoch, bool multiple);
void amqp_reject(struct amqp_consumer *c, uint64_t tag, uint64_t epoch); /* without requeue: dead-letters */

struct amqp_depth;
/* How many messages wait in each of the queues (those delivered and not acknowledged are not counted): told as soon as
 * it is known, then every interval_ms. The arrays and strings must outlive it; the queues must exist, or be declared.
 * NULL and err: malformed url. */
struct amqp_depth *amqp_depth_new(const char *url, const struct amqp_declare *declares, int declare_count,
                                  const char *const *queues, int queue_count, int interval_ms,
                                  void (*told)(const uint32_t *messages, void *arg), void *arg, struct buf *err);
void amqp_depth_free(struct amqp_depth *d); /* may block for a second; NULL is fine */
