/* Consuming: the link's thread receives deliveries and queues them for the loop (never more than prefetch for each
 * queue, because only the loop acknowledges); acks and changes of the queue set travel the other way. Loop thread, but
 * where it says "thread". */
#include "platform/base/check.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/io/amqp.h"
#include "platform/io/amqp_link.h"
#include "platform/io/loop.h"
#include <amqp_framing.h>
#include <errno.h>
#include <stdio.h>

#define READS_A_TURN 512 /* then acks are sent */

enum order_kind { ORDER_ACK, ORDER_REJECT, ORDER_ADD, ORDER_REMOVE, ORDER_RECONNECT };

struct order { /* from the loop to the thread */
    struct order *next;
    enum order_kind kind;
    uint64_t tag, epoch;
    bool multiple;
    char *queue;             /* add, remove */
    void (*done)(void *arg); /* remove */
    void *arg;
};

struct arrival { /* from the thread to the loop */
    struct arrival *next;
    struct order *removed; /* or: this remove is done, everything of its queue came before */
    uint64_t epoch;
    amqp_envelope_t envelope;
};

struct consumer_queue {
    struct consumer_queue *next;
    char *name; /* also the consumer tag */
    bool consuming;
};

struct amqp_consumer {
    struct amqp_link link;
    int prefetch;
    void (*fn)(const struct amqp_delivery *d, void *arg);
    void *arg;
    bool over;

    /* under link.lock */
    struct order *orders, **orders_tail;
    struct arrival *arrivals, **arrivals_tail;
    bool drain_posted, asleep;

    /* the thread's */
    struct consumer_queue *queues;
    uint64_t epoch;
    bool up;
};

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static void drain(void *arg);

static void arrive(struct amqp_consumer *c, struct arrival *a)
{
    a->next = NULL;
    pthread_mutex_lock(&c->link.lock);
    *c->arrivals_tail = a;
    c->arrivals_tail = &a->next;
    if (!c->drain_posted) {
        c->drain_posted = true;
        loop_post_threadsafe(drain, c);
    }
    pthread_mutex_unlock(&c->link.lock);
}

static amqp_bytes_t name_bytes(const char *name)
{
    return amqp_cstring_bytes(name);
}

static int consume(struct amqp_consumer *c, struct consumer_queue *q)
{
    amqp_basic_consume(c->link.conn, AMQP_LINK_CHANNEL, name_bytes(q->name), name_bytes(q->name), 0, 0, 0,
                       amqp_empty_table);
    int error = amqp_link_check(&c->link, q->name, amqp_get_rpc_reply(c->link.conn));
    q->consuming = error == 0;
    return error;
}

static int on_up(void *arg)
{
    struct amqp_consumer *c = arg;
    int error;

    c->epoch++;
    c->up = true;
    amqp_basic_qos(c->link.conn, AMQP_LINK_CHANNEL, 0, (uint16_t)c->prefetch, 0);
    error = amqp_link_check(&c->link, "basic.qos", amqp_get_rpc_reply(c->link.conn));
    for (struct consumer_queue *q = c->queues; q && error == 0; q = q->next)
        error = consume(c, q);
    return error;
}

/* A frame that is no delivery. Cancels that we asked for are answered inside the call that asks. */
static int read_other(struct amqp_consumer *c)
{
    const struct timeval none = {0};
    amqp_frame_t frame;
    int status = amqp_simple_wait_frame_noblock(c->link.conn, &frame, &none);

    if (status != AMQP_STATUS_OK)
        return amqp_link_fail(&c->link, "connection lost", status);
    return amqp_link_unexpected(&c->link, &frame);
}

/* 1: a delivery was read, 0: there is none, -EIO. */
static int read_one(struct amqp_consumer *c)
{
    const struct timeval none = {0};
    struct arrival *a = MEM_NEW(struct arrival);

    amqp_maybe_release_buffers(c->link.conn);
    amqp_rpc_reply_t reply = amqp_consume_message(c->link.conn, &a->envelope, &none, 0);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        a->epoch = c->epoch;
        arrive(c, a);
        return 1;
    }
    mem_free(a);
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION && reply.library_error == AMQP_STATUS_TIMEOUT)
        return 0;
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION && reply.library_error == AMQP_STATUS_UNEXPECTED_STATE)
        return read_other(c);
    return amqp_link_check(&c->link, "connection lost", reply);
}

static int read_queued(struct amqp_consumer *c)
{
    int got = 1;

    while (got > 0 && amqp_frames_enqueued(c->link.conn))
        got = read_one(c);
    return got < 0 ? got : 0;
}

static struct consumer_queue **queue_find(struct amqp_consumer *c, const char *name)
{
    struct consumer_queue **q = &c->queues;

    while (*q && strcmp((*q)->name, name) != 0)
        q = &(*q)->next;
    return q;
}

static int add(struct amqp_consumer *c, const char *name)
{
    struct consumer_queue **at = queue_find(c, name);

    if (*at)
        return 0;
    *at = MEM_NEW(struct consumer_queue);
    (*at)->name = mem_strdup(name);
    return c->up ? consume(c, *at) : 0;
}

/* After cancel-ok nothing more of the queue comes; what came before it was set aside and is read first. */
static int cancel(struct amqp_consumer *c, const struct consumer_queue *q)
{
    amqp_basic_cancel(c->link.conn, AMQP_LINK_CHANNEL, name_bytes(q->name));
    int error = amqp_link_check(&c->link, q->name, amqp_get_rpc_reply(c->link.conn));
    return error == 0 ? read_queued(c) : error;
}

static int remove_queue(struct amqp_consumer *c, const char *name)
{
    struct consumer_queue **at = queue_find(c, name);
    struct consumer_queue *q = *at;
    int error = 0;

    if (!q)
        return 0;
    if (c->up && q->consuming)
        error = cancel(c, q);
    *at = q->next;
    mem_free(q->name);
    mem_free(q);
    return error;
}

static void order_free(struct order *o)
{
    mem_free(o->queue);
    mem_free(o);
}

static int settle(struct amqp_consumer *c, const struct order *o)
{
    if (!c->up || o->epoch != c->epoch)
        return 0;
    int status = o->kind == ORDER_ACK ? amqp_basic_ack(c->link.conn, AMQP_LINK_CHANNEL, o->tag, o->multiple)
                                      : amqp_basic_reject(c->link.conn, AMQP_LINK_CHANNEL, o->tag, 0);
    return status == AMQP_STATUS_OK ? 0 : amqp_link_fail(&c->link, "ack", status);
}

/* Takes the order over. */
static int obey(struct amqp_consumer *c, struct order *o)
{
    int error = 0;

    switch (o->kind) {
    case ORDER_ACK:
    case ORDER_REJECT:
        error = settle(c, o);
        break;
    case ORDER_ADD:
        error = add(c, o->queue);
        break;
    case ORDER_REMOVE:
        error = remove_queue(c, o->queue);
        struct arrival *a = MEM_NEW(struct arrival);
        a->removed = o;
        arrive(c, a);
        return error;
    case ORDER_RECONNECT:
        if (c->up) {
            snprintf(c->link.error, sizeof(c->link.error), "reconnecting as asked");
            error = -EAGAIN; /* with a goodbye, so that the broker has read the acks */
        }
        break;
    }
    order_free(o);
    return error;
}

static int obey_all(struct amqp_consumer *c)
{
    int error = 0;

    pthread_mutex_lock(&c->link.lock);
    struct order *o = c->orders;
    c->orders = NULL;
    c->orders_tail = &c->orders;
    pthread_mutex_unlock(&c->link.lock);
    while (o) {
        struct order *next = o->next;
        if (error != 0)
            c->up = false; /* the rest changes only what is consumed after the reconnect */
        int e = obey(c, o);
        error = error != 0 ? error : e;
        o = next;
    }
    return error;
}

static int on_bye(void *arg)
{
    return obey_all(arg);
}

static void on_down(void *arg)
{
    struct amqp_consumer *c = arg;

    c->up = false;
    for (struct consumer_queue *q = c->queues; q; q = q->next)
        q->consuming = false;
    obey_all(c);
}

static int on_turn(void *arg)
{
    struct amqp_consumer *c = arg;

    pthread_mutex_lock(&c->link.lock);
    c->asleep = c->orders == NULL;
    bool sleep = c->asleep;
    pthread_mutex_unlock(&c->link.lock);
    if (sleep)
        amqp_link_wait(&c->link, 1000);
    pthread_mutex_lock(&c->link.lock);
    c->asleep = false;
    pthread_mutex_unlock(&c->link.lock);
    int error = obey_all(c);
    for (int i = 0, got = 1; i < READS_A_TURN && got > 0 && error == 0; i++) {
        got = read_one(c);
        error = got < 0 ? got : 0;
    }
    return error;
}

static const struct amqp_link_steps steps = {.up = on_up, .turn = on_turn, .bye = on_bye, .down = on_down};

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static struct str text_of(amqp_bytes_t b)
{
    return (struct str){b.bytes, b.len};
}

static const amqp_field_value_t *header_find(const struct amqp_delivery *d, const char *name)
{
    const amqp_table_t *t = d->headers;

    for (int i = 0; t && i < t->num_entries; i++)
        if (str_eq(text_of(t->entries[i].key), str_c(name)))
            return &t->entries[i].value;
    return NULL;
}

struct str amqp_delivery_header(const struct amqp_delivery *d, const char *name)
{
    const amqp_field_value_t *v = header_find(d, name);

    if (!v || (v->kind != AMQP_FIELD_KIND_UTF8 && v->kind != AMQP_FIELD_KIND_BYTES))
        return STR_NONE;
    return text_of(v->value.bytes);
}

bool amqp_delivery_header_int(const struct amqp_delivery *d, const char *name, int64_t *ret)
{
    const amqp_field_value_t *v = header_find(d, name);

    if (!v)
        return false;
    switch (v->kind) {
    case AMQP_FIELD_KIND_I64:
        *ret = v->value.i64;
        return true;
    case AMQP_FIELD_KIND_I32:
        *ret = v->value.i32;
        return true;
    case AMQP_FIELD_KIND_I16:
        *ret = v->value.i16;
        return true;
    case AMQP_FIELD_KIND_I8:
        *ret = (int64_t)v->value.i8; // NOLINT(bugprone-signed-char-misuse): it is a number
        return true;
    default:
        return false;
    }
}

static void deliver(struct amqp_consumer *c, struct arrival *a)
{
    const amqp_envelope_t *e = &a->envelope;
    const amqp_basic_properties_t *p = &e->message.properties;
    char queue[256];
    struct amqp_delivery d = {
        .tag = e->delivery_tag,
        .epoch = a->epoch,
        .queue = queue,
        .exchange = text_of(e->exchange),
        .routing_key = text_of(e->routing_key),
        .body = text_of(e->message.body),
        .redelivered = e->redelivered,
        .message_id = p->_flags & AMQP_BASIC_MESSAGE_ID_FLAG ? text_of(p->message_id) : STR_NONE,
        .type = p->_flags & AMQP_BASIC_TYPE_FLAG ? text_of(p->type) : STR_NONE,
        .timestamp_s = p->_flags & AMQP_BASIC_TIMESTAMP_FLAG ? (int64_t)p->timestamp : 0,
        .headers = p->_flags & AMQP_BASIC_HEADERS_FLAG ? &p->headers : NULL,
    };

    CHECK(e->consumer_tag.len < sizeof(queue)); /* a short string of the protocol */
    if (p->_flags & AMQP_BASIC_EXPIRATION_FLAG)
        (void)str_to_i64(text_of(p->expiration), &d.expiration_ms);
    memcpy(queue, e->consumer_tag.bytes, e->consumer_tag.len);
    queue[e->consumer_tag.len] = 0;
    c->fn(&d, c->arg);
}

static void arrival_take(struct amqp_consumer *c, struct arrival *a)
{
    if (a->removed) {
        if (a->removed->done && !c->over)
            a->removed->done(a->removed->arg);
        order_free(a->removed);
    } else {
        if (!c->over)
            deliver(c, a);
        amqp_destroy_envelope(&a->envelope);
    }
    mem_free(a);
}

static void drain(void *arg)
{
    struct amqp_consumer *c = arg;

    pthread_mutex_lock(&c->link.lock);
    struct arrival *a = c->arrivals;
    c->arrivals = NULL;
    c->arrivals_tail = &c->arrivals;
    c->drain_posted = false;
    pthread_mutex_unlock(&c->link.lock);
    while (a) {
        struct arrival *next = a->next;
        arrival_take(c, a);
        a = next;
    }
}

static void give_order(struct amqp_consumer *c, struct order order)
{
    struct order *o = MEM_NEW(struct order);

    *o = order;
    pthread_mutex_lock(&c->link.lock);
    *c->orders_tail = o;
    c->orders_tail = &o->next;
    bool wake = c->asleep || !c->link.connected;
    c->asleep = false;
    pthread_mutex_unlock(&c->link.lock);
    if (wake)
        amqp_link_wake(&c->link);
}

void amqp_consumer_add(struct amqp_consumer *c, const char *queue)
{
    give_order(c, (struct order){.kind = ORDER_ADD, .queue = mem_strdup(queue)});
}

void amqp_consumer_remove(struct amqp_consumer *c, const char *queue, void (*done)(void *arg), void *arg)
{
    give_order(c, (struct order){.kind = ORDER_REMOVE, .queue = mem_strdup(queue), .done = done, .arg = arg});
}

void amqp_consumer_reconnect(struct amqp_consumer *c)
{
    give_order(c, (struct order){.kind = ORDER_RECONNECT});
}

void amqp_ack(struct amqp_consumer *c, uint64_t tag, uint64_t epoch, bool multiple)
{
    give_order(c, (struct order){.kind = ORDER_ACK, .tag = tag, .epoch = epoch, .multiple = multiple});
}

void amqp_reject(struct amqp_consumer *c, uint64_t tag, uint64_t epoch)
{
    give_order(c, (struct order){.kind = ORDER_REJECT, .tag = tag, .epoch = epoch});
}

bool amqp_consumer_connected(const struct amqp_consumer *c)
{
    return amqp_link_connected(&c->link);
}

struct amqp_consumer *amqp_consumer_new(const char *url, const struct amqp_declare *declares, int declare_count,
                                        int prefetch, void (*fn)(const struct amqp_delivery *d, void *arg), void *arg,
                                        struct buf *err)
{
    struct amqp_consumer *c = MEM_NEW(struct amqp_consumer);

    CHECK(prefetch > 0 && prefetch <= LIMIT_AMQP_PREFETCH);
    if (amqp_link_init(&c->link, url, declares, declare_count, &steps, c, err) != 0) {
        mem_free(c);
        return NULL;
    }
    c->prefetch = prefetch;
    c->fn = fn;
    c->arg = arg;
    c->orders_tail = &c->orders;
    c->arrivals_tail = &c->arrivals;
    amqp_link_start(&c->link);
    return c;
}

static void consumer_release(void *arg)
{
    struct amqp_consumer *c = arg;
    struct consumer_queue *next;

    for (struct consumer_queue *q = c->queues; q; q = next) {
        next = q->next;
        mem_free(q->name);
        mem_free(q);
    }
    amqp_link_done(&c->link);
    mem_free(c);
}

void amqp_consumer_free(struct amqp_consumer *c)
{
    if (!c || c->over)
        return;
    c->over = true;
    amqp_link_stop(&c->link);
    obey_all(c); /* the thread is gone: nothing but freeing */
    drain(c);
    /* behind a drain that is posted already */
    loop_post_threadsafe(consumer_release, c);
}
