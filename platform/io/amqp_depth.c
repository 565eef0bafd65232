/* Asking how many messages wait in queues: a connection of its own that declares them passively, one after the other,
 * again and again. Loop thread, but where it says "thread". */
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/io/amqp.h"
#include "platform/io/amqp_link.h"
#include "platform/io/loop.h"
#include <errno.h>

struct amqp_depth {
    struct amqp_link link;
    const char *const *queues;
    int count, interval_ms;
    void (*told)(const uint32_t *messages, void *arg);
    void *arg;
    bool over;

    uint32_t *asked; /* the thread's */
    /* under link.lock */
    uint32_t *answers;
    bool posted;
};

static void tell(void *arg)
{
    struct amqp_depth *d = arg;
    uint32_t *messages = mem_alloc(sizeof(*messages) * (size_t)d->count);

    pthread_mutex_lock(&d->link.lock);
    memcpy(messages, d->answers, sizeof(*messages) * (size_t)d->count);
    d->posted = false;
    pthread_mutex_unlock(&d->link.lock);
    if (!d->over)
        d->told(messages, d->arg);
    mem_free(messages);
}

/* --- the thread --- */

static int on_up(void *arg)
{
    (void)arg;
    return 0;
}

static void on_down(void *arg)
{
    (void)arg;
}

static int ask(struct amqp_depth *d, int i)
{
    const amqp_queue_declare_ok_t *ok = amqp_queue_declare(
        d->link.conn, AMQP_LINK_CHANNEL, amqp_cstring_bytes(d->queues[i]), 1, 0, 0, 0, amqp_empty_table);
    int error = amqp_link_check(&d->link, d->queues[i], amqp_get_rpc_reply(d->link.conn));

    if (error == 0 && ok)
        d->asked[i] = ok->message_count;
    amqp_maybe_release_buffers(d->link.conn);
    return error;
}

static int on_turn(void *arg)
{
    struct amqp_depth *d = arg;
    int error = 0;

    for (int i = 0; i < d->count && error == 0; i++)
        error = ask(d, i);
    if (error)
        return error;
    pthread_mutex_lock(&d->link.lock);
    memcpy(d->answers, d->asked, sizeof(*d->answers) * (size_t)d->count);
    if (!d->posted)
        loop_post_threadsafe(tell, d);
    d->posted = true;
    pthread_mutex_unlock(&d->link.lock);
    if (!amqp_link_stopping(&d->link))
        amqp_link_wait(&d->link, d->interval_ms);
    return 0;
}

static const struct amqp_link_steps steps = {.up = on_up, .turn = on_turn, .down = on_down};

/* --- the loop --- */

struct amqp_depth *amqp_depth_new(const char *url, const struct amqp_declare *declares, int declare_count,
                                  const char *const *queues, int queue_count, int interval_ms,
                                  void (*told)(const uint32_t *messages, void *arg), void *arg, struct buf *err)
{
    struct amqp_depth *d = MEM_NEW(struct amqp_depth);

    d->queues = queues;
    d->count = queue_count;
    d->interval_ms = interval_ms;
    d->told = told;
    d->arg = arg;
    if (amqp_link_init(&d->link, url, declares, declare_count, &steps, d, err) != 0) {
        mem_free(d);
        return NULL;
    }
    d->asked = mem_zalloc(sizeof(*d->asked) * (size_t)queue_count);
    d->answers = mem_zalloc(sizeof(*d->answers) * (size_t)queue_count);
    amqp_link_start(&d->link);
    return d;
}

static void release(void *arg)
{
    struct amqp_depth *d = arg;

    amqp_link_done(&d->link);
    mem_free(d->asked);
    mem_free(d->answers);
    mem_free(d);
}

void amqp_depth_free(struct amqp_depth *d)
{
    if (!d)
        return;
    d->over = true;
    amqp_link_stop(&d->link);
    loop_post_threadsafe(release, d); /* behind a tell that is posted already */
}
