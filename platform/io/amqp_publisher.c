/* Publishing with confirms. The loop copies messages into a queue; the link's thread sends them, at most
 * LIMIT_AMQP_UNCONFIRMED ahead of the broker, and gives them back with their outcome; the loop tells whoever waits, in
 * the order of publishing. Loop thread, but where it says "thread". */
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/list.h"
#include "platform/base/mem.h"
#include "platform/io/amqp.h"
#include "platform/io/amqp_link.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"
#include <amqp_framing.h>
#include <errno.h>
#include <stdio.h>

#define SENDS_A_TURN 256 /* then confirms are read */

struct item {
    struct item *next;   /* on the queue to the thread, or on the way back */
    struct list waiting; /* the loop's: publisher.waiting, or alone once nobody waits */
    void (*done)(int error, void *arg);
    void *arg;
    int64_t deadline_ms;
    size_t bytes;
    bool settled; /* back from the thread */
    int error;
    amqp_bytes_t exchange, routing_key, body;
    amqp_basic_properties_t properties;
    char expiration[24];
};

struct item_queue {
    struct item *head, **tail;
};

struct amqp_publisher {
    struct amqp_link link;
    bool over;
    struct list waiting; /* in the order of publishing */
    struct loop_timer *deadlines;
    unsigned count; /* items anywhere */
    size_t bytes;
    unsigned refusals; /* that are not told yet */
    uint64_t used;     /* the connection published on */

    /* under link.lock */
    struct item_queue queue, back;
    bool drain_posted, asleep;
    uint64_t connection; /* counts them */

    /* the thread's */
    struct item_queue sending;
    struct item *window[LIMIT_AMQP_UNCONFIRMED]; /* by delivery tag */
    uint64_t oldest_tag, next_tag;
};

static void queue_init(struct item_queue *q)
{
    q->head = NULL;
    q->tail = &q->head;
}

static void queue_put(struct item_queue *q, struct item *it)
{
    it->next = NULL;
    *q->tail = it;
    q->tail = &it->next;
}

static struct item *queue_take(struct item_queue *q)
{
    struct item *it = q->head;

    if (!it)
        return NULL;
    q->head = it->next;
    if (!q->head)
        q->tail = &q->head;
    return it;
}

static void queue_move(struct item_queue *to, struct item_queue *from)
{
    if (!from->head)
        return;
    *to->tail = from->head;
    to->tail = from->tail;
    queue_init(from);
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static void drain(void *arg);

static void back_post(struct amqp_publisher *p)
{
    if (!p->drain_posted && p->back.head) {
        p->drain_posted = true;
        loop_post_threadsafe(drain, p);
    }
}

static void settle(struct item_queue *settled, struct item *it, int error)
{
    it->error = error;
    queue_put(settled, it);
}

static void hand_back(struct amqp_publisher *p, struct item_queue *settled)
{
    pthread_mutex_lock(&p->link.lock);
    queue_move(&p->back, settled);
    back_post(p);
    pthread_mutex_unlock(&p->link.lock);
}

static int on_up(void *arg)
{
    struct amqp_publisher *p = arg;

    p->oldest_tag = p->next_tag = 1;
    pthread_mutex_lock(&p->link.lock);
    p->connection++;
    pthread_mutex_unlock(&p->link.lock);
    amqp_confirm_select(p->link.conn, AMQP_LINK_CHANNEL);
    return amqp_link_check(&p->link, "confirm.select", amqp_get_rpc_reply(p->link.conn));
}

/* Unconfirmed messages may have been routed, unsent ones have not. */
static void on_down(void *arg)
{
    struct amqp_publisher *p = arg;
    struct item_queue settled;
    struct item *it;

    queue_init(&settled);
    for (; p->oldest_tag < p->next_tag; p->oldest_tag++) {
        it = p->window[p->oldest_tag % LIMIT_AMQP_UNCONFIRMED];
        if (it)
            settle(&settled, it, -EIO);
    }
    pthread_mutex_lock(&p->link.lock);
    queue_move(&p->sending, &p->queue);
    pthread_mutex_unlock(&p->link.lock);
    while ((it = queue_take(&p->sending)) != NULL)
        settle(&settled, it, -ENOTCONN);
    hand_back(p, &settled);
}

static int send_some(struct amqp_publisher *p)
{
    for (int i = 0; i < SENDS_A_TURN && p->next_tag - p->oldest_tag < LIMIT_AMQP_UNCONFIRMED; i++) {
        struct item *it = queue_take(&p->sending);
        if (!it)
            break;
        p->window[p->next_tag++ % LIMIT_AMQP_UNCONFIRMED] = it;
        int status = amqp_basic_publish(p->link.conn, AMQP_LINK_CHANNEL, it->exchange, it->routing_key, 0, 0,
                                        &it->properties, it->body);
        if (status != AMQP_STATUS_OK)
            return amqp_link_fail(&p->link, "publish", status);
    }
    return 0;
}

static void confirm(struct amqp_publisher *p, uint64_t tag, bool multiple, int error, struct item_queue *settled)
{
    for (uint64_t t = multiple ? p->oldest_tag : tag; t <= tag && t >= p->oldest_tag && t < p->next_tag; t++) {
        struct item **slot = &p->window[t % LIMIT_AMQP_UNCONFIRMED];
        if (*slot)
            settle(settled, *slot, error);
        *slot = NULL;
    }
    while (p->oldest_tag < p->next_tag && !p->window[p->oldest_tag % LIMIT_AMQP_UNCONFIRMED])
        p->oldest_tag++;
}

/* Reads what has come. 0, -EIO. */
static int read_confirms(struct amqp_publisher *p, struct item_queue *settled)
{
    const struct timeval none = {0};
    amqp_frame_t frame;

    for (;;) {
        int status = amqp_simple_wait_frame_noblock(p->link.conn, &frame, &none);
        if (status == AMQP_STATUS_TIMEOUT)
            return 0;
        if (status != AMQP_STATUS_OK)
            return amqp_link_fail(&p->link, "connection lost", status);
        if (frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
            const amqp_basic_ack_t *m = frame.payload.method.decoded;
            confirm(p, m->delivery_tag, m->multiple, 0, settled);
        } else if (frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_NACK_METHOD) {
            const amqp_basic_nack_t *m = frame.payload.method.decoded;
            confirm(p, m->delivery_tag, m->multiple, -EIO, settled);
        } else {
            return amqp_link_unexpected(&p->link, &frame);
        }
        amqp_maybe_release_buffers(p->link.conn);
    }
}

static int on_turn(void *arg)
{
    struct amqp_publisher *p = arg;
    struct item_queue settled;

    queue_init(&settled);
    pthread_mutex_lock(&p->link.lock);
    queue_move(&p->sending, &p->queue);
    bool idle = !p->sending.head || p->next_tag - p->oldest_tag >= LIMIT_AMQP_UNCONFIRMED;
    p->asleep = idle;
    pthread_mutex_unlock(&p->link.lock);
    if (idle)
        amqp_link_wait(&p->link, 1000);
    pthread_mutex_lock(&p->link.lock);
    p->asleep = false;
    queue_move(&p->sending, &p->queue);
    pthread_mutex_unlock(&p->link.lock);
    int error = send_some(p);
    if (error == 0)
        error = read_confirms(p, &settled);
    hand_back(p, &settled);
    return error;
}

static const struct amqp_link_steps steps = {.up = on_up, .turn = on_turn, .down = on_down};

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void item_free(struct amqp_publisher *p, struct item *it)
{
    p->count--;
    p->bytes -= it->bytes;
    mem_free(it);
}

/* Takes `it` from the waiting list and tells its outcome; freed here or when it comes back. */
static void item_tell(struct amqp_publisher *p, struct item *it, int error)
{
    void (*done)(int, void *) = it->done;
    void *done_arg = it->arg;

    list_remove(&it->waiting);
    it->done = NULL;
    if (it->settled)
        item_free(p, it);
    if (done)
        done(error, done_arg);
}

static struct item *first_waiting(struct amqp_publisher *p)
{
    struct list *first = list_first(&p->waiting);

    return first ? LIST_ENTRY(first, struct item, waiting) : NULL;
}

/* In the order of publishing: an outcome waits for those before it. */
static void tell_settled(struct amqp_publisher *p)
{
    struct item *it;

    while ((it = first_waiting(p)) != NULL && it->settled && !p->over)
        item_tell(p, it, it->error);
}

static void drain(void *arg)
{
    struct amqp_publisher *p = arg;
    struct item_queue back;
    struct item *it;

    queue_init(&back);
    pthread_mutex_lock(&p->link.lock);
    p->drain_posted = false;
    queue_move(&back, &p->back);
    pthread_mutex_unlock(&p->link.lock);
    while ((it = queue_take(&back)) != NULL) {
        it->settled = true;
        if (list_empty(&it->waiting))
            item_free(p, it); /* told -ETIMEDOUT or -ECANCELED before */
    }
    tell_settled(p);
}

static void on_deadlines(void *arg)
{
    struct amqp_publisher *p = arg;
    int64_t now = clock_mono_ms();
    struct item *it;

    while ((it = first_waiting(p)) != NULL && !p->over) {
        if (it->settled) {
            item_tell(p, it, it->error);
        } else if (it->deadline_ms <= now) {
            item_tell(p, it, -ETIMEDOUT);
        } else {
            loop_timer_start(p->deadlines, it->deadline_ms - now, 0);
            break;
        }
    }
}

/* ---- copying a message: one piece of memory that the thread can send from -----------------------------------------
 */

static int list_length(const char *const *list)
{
    int n = 0;

    while (list && list[n])
        n++;
    return n;
}

static size_t cstr_bytes(const char *s)
{
    return s ? strlen(s) : 0;
}

static size_t message_bytes(const struct amqp_message *m)
{
    size_t n = sizeof(struct item) + cstr_bytes(m->exchange) + cstr_bytes(m->routing_key) + cstr_bytes(m->message_id) +
               cstr_bytes(m->type) + m->body.n;

    for (int i = 0; i < m->header_count; i++) {
        const struct amqp_header *h = &m->headers[i];
        n += sizeof(amqp_table_entry_t) + strlen(h->name) + h->value.n;
        for (int k = 0; k < list_length(h->list); k++)
            n += sizeof(amqp_field_value_t) + strlen(h->list[k]);
    }
    return n;
}

static amqp_bytes_t copy_bytes(char **at, struct str s)
{
    amqp_bytes_t copy = {.len = s.n, .bytes = *at};

    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

static amqp_field_value_t text_value(char **at, struct str s)
{
    return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = copy_bytes(at, s)};
}

static amqp_field_value_t header_value(char **at, amqp_field_value_t **values, const struct amqp_header *h)
{
    if (h->is_int)
        return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_I64, .value.i64 = h->number};
    if (!h->list)
        return text_value(at, h->value);
    int n = list_length(h->list);
    amqp_field_value_t *first = *values;
    *values += n;
    for (int k = 0; k < n; k++)
        first[k] = text_value(at, str_c(h->list[k]));
    return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_ARRAY, .value.array = {.num_entries = n, .entries = first}};
}

static void copy_headers(struct item *it, const struct amqp_message *m, char **at)
{
    amqp_table_entry_t *entries = (amqp_table_entry_t *)(it + 1);
    amqp_field_value_t *values = (amqp_field_value_t *)(entries + m->header_count);
    int value_count = 0;

    for (int i = 0; i < m->header_count; i++)
        value_count += list_length(m->headers[i].list);
    *at = (char *)(values + value_count);
    for (int i = 0; i < m->header_count; i++) {
        entries[i].key = copy_bytes(at, str_c(m->headers[i].name));
        entries[i].value = header_value(at, &values, &m->headers[i]);
    }
    it->properties.headers = (amqp_table_t){.num_entries = m->header_count, .entries = entries};
    if (m->header_count)
        it->properties._flags |= AMQP_BASIC_HEADERS_FLAG;
}

static struct item *item_new(const struct amqp_message *m, size_t bytes)
{
    struct item *it = mem_zalloc(bytes);
    char *at;

    it->bytes = bytes;
    copy_headers(it, m, &at);
    it->exchange = copy_bytes(&at, str_c(m->exchange));
    it->routing_key = copy_bytes(&at, str_c(m->routing_key));
    it->body = copy_bytes(&at, m->body);
    it->properties._flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
    it->properties.delivery_mode = m->persistent ? AMQP_DELIVERY_PERSISTENT : AMQP_DELIVERY_NONPERSISTENT;
    if (m->message_id) {
        it->properties._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
        it->properties.message_id = copy_bytes(&at, str_c(m->message_id));
    }
    if (m->type) {
        it->properties._flags |= AMQP_BASIC_TYPE_FLAG;
        it->properties.type = copy_bytes(&at, str_c(m->type));
    }
    if (m->expiration_ms > 0) {
        snprintf(it->expiration, sizeof(it->expiration), "%lld", (long long)m->expiration_ms);
        it->properties._flags |= AMQP_BASIC_EXPIRATION_FLAG;
        it->properties.expiration = amqp_cstring_bytes(it->expiration);
    }
    if (m->timestamp_s > 0) {
        it->properties._flags |= AMQP_BASIC_TIMESTAMP_FLAG;
        it->properties.timestamp = (uint64_t)m->timestamp_s;
    }
    return it;
}

/* ---- the interface ----------------------------------------------------------------------------------------------- */

struct refusal {
    struct amqp_publisher *p;
    void (*done)(int error, void *arg);
    void *arg;
    int error;
};

static void on_refusal(void *arg)
{
    struct refusal *f = arg;

    f->p->refusals--;
    f->done(f->error, f->arg);
    mem_free(f);
}

static void refuse(struct amqp_publisher *p, void (*done)(int error, void *arg), void *arg, int error)
{
    if (!done)
        return;
    struct refusal *f = MEM_NEW(struct refusal);
    *f = (struct refusal){p, done, arg, error};
    p->refusals++;
    loop_post(on_refusal, f);
}

/* The thread connects whenever it can: a message goes to a new connection only when what went before it, to none or to
 * the last one, has been told to have failed, so that whoever repeats that keeps the order. Under link.lock. */
static bool may_publish(struct amqp_publisher *p)
{
    if (p->refusals > 0)
        return false;
    if (p->used != p->connection && list_empty(&p->waiting))
        p->used = p->connection;
    return p->used == p->connection;
}

void amqp_publish(struct amqp_publisher *p, const struct amqp_message *m, void (*done)(int error, void *arg), void *arg)
{
    size_t bytes = message_bytes(m);

    if (p->count >= LIMIT_AMQP_QUEUE_MESSAGES || p->bytes + bytes > LIMIT_AMQP_QUEUE_BYTES) {
        refuse(p, done, arg, -EAGAIN);
        return;
    }
    struct item *it = item_new(m, bytes);
    it->done = done;
    it->arg = arg;
    it->deadline_ms = clock_mono_ms() + LIMIT_BUS_CONFIRM_MS;
    pthread_mutex_lock(&p->link.lock);
    bool connected = p->link.connected && may_publish(p), wake = p->asleep;
    if (connected)
        queue_put(&p->queue, it);
    p->asleep = false;
    pthread_mutex_unlock(&p->link.lock);
    if (!connected) {
        mem_free(it);
        refuse(p, done, arg, -ENOTCONN);
        return;
    }
    if (list_empty(&p->waiting))
        loop_timer_start(p->deadlines, LIMIT_BUS_CONFIRM_MS, 0);
    list_append(&p->waiting, &it->waiting);
    p->count++;
    p->bytes += bytes;
    if (wake)
        amqp_link_wake(&p->link);
}

struct await {
    struct co *co;
    int error;
};

static void on_awaited(int error, void *arg)
{
    struct await *a = arg;

    a->error = error;
    co_resume(a->co);
}

int amqp_publish_await(struct amqp_publisher *p, const struct amqp_message *m)
{
    struct await a = {.co = co_self()};

    amqp_publish(p, m, on_awaited, &a);
    co_suspend();
    return a.error;
}

bool amqp_publisher_connected(const struct amqp_publisher *p)
{
    return amqp_link_connected(&p->link);
}

struct amqp_publisher *amqp_publisher_new(const char *url, const struct amqp_declare *declares, int declare_count,
                                          struct buf *err)
{
    struct amqp_publisher *p = MEM_NEW(struct amqp_publisher);

    if (amqp_link_init(&p->link, url, declares, declare_count, &steps, p, err) != 0) {
        mem_free(p);
        return NULL;
    }
    list_init(&p->waiting);
    queue_init(&p->queue);
    queue_init(&p->back);
    queue_init(&p->sending);
    p->deadlines = loop_timer_new(on_deadlines, p);
    amqp_link_start(&p->link);
    return p;
}

static void publisher_release(void *arg)
{
    struct amqp_publisher *p = arg;

    if (p->refusals > 0) {
        loop_post(publisher_release, p);
        return;
    }
    CHECK(p->count == 0);
    amqp_link_done(&p->link);
    mem_free(p);
}

void amqp_publisher_free(struct amqp_publisher *p)
{
    struct item *it;

    if (!p || p->over)
        return;
    p->over = true;
    amqp_link_stop(&p->link);
    loop_timer_free(p->deadlines);
    drain(p); /* the thread has given everything back */
    while ((it = first_waiting(p)) != NULL)
        item_tell(p, it, it->error == 0 ? 0 : -ECANCELED);
    /* behind a drain that is posted already */
    loop_post_threadsafe(publisher_release, p);
}
