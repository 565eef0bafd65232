/* `bus` inside one process: an event is copied once and handed to its subscribers in the next loop turn, in order of
 * publishing. Nothing is lost short of the process, so acks mean nothing here. Loop thread. */
#include "platform/base/check.h"
#include "platform/base/mem.h"
#include "platform/io/loop.h"
#include "platform/ports/bus/bus_private.h"

#include <errno.h>

#define SUBSCRIBERS_MAX 16

struct subscriber {
    char *node_id; /* NULL: broadcasts only */
    bus_fn fn;
    void *arg;
};

struct bus_memory {
    struct bus bus;
    struct subscriber subscribers[SUBSCRIBERS_MAX];
    unsigned count;
    unsigned waiting; /* posted events */
    bool closing;
};

struct posted {
    struct bus_memory *bus;
    uint32_t to; /* bit i: subscribers[i] */
    struct buf bytes;
};

static void free_when_idle(struct bus_memory *m)
{
    if (!m->closing || m->waiting)
        return;
    for (unsigned i = 0; i < m->count; i++)
        mem_free(m->subscribers[i].node_id);
    mem_free(m);
}

static void deliver(void *arg)
{
    struct posted *p = arg;
    struct bus_memory *m = p->bus;
    struct arena a = {0};
    struct event e;
    CHECK(event_decode(buf_str(&p->bytes), &a, &e) == 0);
    struct bus_delivery d = {.event = &e};
    for (unsigned i = 0; !m->closing && i < m->count; i++)
        if (p->to & 1u << i && m->subscribers[i].fn)
            m->subscribers[i].fn(&d, m->subscribers[i].arg);
    arena_done(&a);
    buf_done(&p->bytes);
    mem_free(p);
    m->waiting--;
    free_when_idle(m);
}

static int post(struct bus_memory *m, const struct event *e, uint32_t to)
{
    if (!to)
        return 0;
    struct posted *p = MEM_NEW(struct posted);
    *p = (struct posted){.bus = m, .to = to};
    event_encode(e, &p->bytes);
    if (buf_failed(&p->bytes)) {
        buf_done(&p->bytes);
        mem_free(p);
        return -EIO;
    }
    m->waiting++;
    loop_post(deliver, p);
    return 0;
}

static struct bus_memory *self_of(struct bus *b)
{
    return (struct bus_memory *)(void *)b;
}

static int memory_publish(struct bus *b, const struct event *e, const char *const *node_ids, unsigned node_count)
{
    struct bus_memory *m = self_of(b);
    uint32_t to = 0;
    for (unsigned i = 0; i < m->count; i++)
        for (unsigned k = 0; m->subscribers[i].node_id && k < node_count; k++)
            if (strcmp(m->subscribers[i].node_id, node_ids[k]) == 0)
                to |= 1u << i;
    return post(m, e, to);
}

static int memory_broadcast(struct bus *b, const struct event *e)
{
    struct bus_memory *m = self_of(b);
    return post(m, e, (1u << m->count) - 1);
}

static int memory_subscribe(struct bus *b, const char *node_id, bus_fn fn, void *arg)
{
    struct bus_memory *m = self_of(b);
    unsigned i = 0;
    while (i < m->count && (m->subscribers[i].fn || m->waiting))
        i++;
    if (i == SUBSCRIBERS_MAX)
        return -ENOSPC;
    if (i == m->count)
        m->count++;
    mem_free(m->subscribers[i].node_id);
    m->subscribers[i] = (struct subscriber){node_id ? mem_strdup(node_id) : NULL, fn, arg};
    return 0;
}

/* The place stays: events on their way name it by its number. */
static void memory_unsubscribe(struct bus *b, const char *node_id)
{
    struct bus_memory *m = self_of(b);
    for (unsigned i = 0; i < m->count; i++) {
        const char *id = m->subscribers[i].node_id;
        if (id && node_id ? strcmp(id, node_id) == 0 : id == node_id)
            m->subscribers[i].fn = NULL;
    }
}

static void memory_ack(struct bus *b, uint64_t tag, uint64_t epoch)
{
    (void)b, (void)tag, (void)epoch;
}

static bool memory_ready(const struct bus *b)
{
    (void)b;
    return true;
}

static void memory_close(struct bus *b)
{
    struct bus_memory *m = self_of(b);
    m->closing = true;
    free_when_idle(m);
}

struct bus *bus_memory_open(void)
{
    static const struct bus_ops ops = {.close = memory_close,
                                       .ready = memory_ready,
                                       .publish = memory_publish,
                                       .broadcast = memory_broadcast,
                                       .subscribe = memory_subscribe,
                                       .unsubscribe = memory_unsubscribe,
                                       .ack = memory_ack};
    struct bus_memory *m = MEM_NEW(struct bus_memory);
    m->bus = (struct bus){.ops = &ops, .embedded = true};
    return &m->bus;
}
