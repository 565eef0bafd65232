/* Publishing: what commits of one loop turn want published takes its numbers in one step and leaves in few messages.
 * Loop thread, coroutines. Limits: LIMIT_PUBLISH_EVENTS. */
#include "platform/base/limits.h"
#include "platform/base/list.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"
#include "platform/ports/bus.h"
#include "platform/ports/kv.h"
#include "platform/ports/outbox.h"

METRIC_DEFINE(published, METRIC_COUNTER, "guildhall_events_published_total", "Events confirmed by the bus");
METRIC_DEFINE(deferred, METRIC_COUNTER, "guildhall_events_deferred_total", "Events left to the outbox: bus or kv away");

/* The events of one commit; it lives in the frame of commit_publish. */
struct pending {
    struct list item;
    struct co *co;
    const struct ports *ports;
    struct event *events;
    unsigned count;
    int error; /* the first */
};

static struct list waiting = LIST_INIT(waiting);
static bool gathering; /* the first of `waiting` takes the others along at the end of this turn */

static void numbers_give(struct list *batch, const struct kv_route *routes, struct bus_publication *p)
{
    unsigned n = 0;
    LIST_FOREACH(it, batch)
    {
        const struct pending *w = LIST_ENTRY(it, struct pending, item);
        for (unsigned i = 0; i < w->count; i++, n++) {
            w->events[i].number = routes[n].number;
            p[n] = (struct bus_publication){&w->events[i], routes[n].node_ids, routes[n].node_count, 0};
        }
    }
}

static void outcomes_take(struct list *batch, const struct bus_publication *p)
{
    unsigned n = 0;
    LIST_FOREACH(it, batch)
    {
        struct pending *w = LIST_ENTRY(it, struct pending, item);
        for (unsigned i = 0; i < w->count; i++, n++) {
            metric_add(p[n].error ? &deferred : &published, 1);
            if (p[n].error == 0)
                outbox_confirmed(w->events[i].id);
            else if (w->error == 0)
                w->error = p[n].error;
        }
    }
}

static void all_failed(struct list *batch, int error)
{
    LIST_FOREACH(it, batch)
    {
        struct pending *w = LIST_ENTRY(it, struct pending, item);
        w->error = error;
        metric_add(&deferred, w->count);
    }
}

static void batch_publish(struct list *batch, const struct ports *ports, unsigned count)
{
    struct arena a = {0};
    uint64_t *topics = ARENA_ARRAY(&a, uint64_t, count), *ids = ARENA_ARRAY(&a, uint64_t, count);
    struct kv_route *routes = ARENA_ARRAY(&a, struct kv_route, count);
    struct bus_publication *p = ARENA_ARRAY(&a, struct bus_publication, count);
    unsigned n = 0;
    LIST_FOREACH(it, batch)
    {
        const struct pending *w = LIST_ENTRY(it, struct pending, item);
        for (unsigned i = 0; i < w->count; i++, n++) {
            topics[n] = w->events[i].topic;
            ids[n] = w->events[i].id;
        }
    }
    int r = kv_topics_next(ports->kv, &a, topics, ids, count, routes);
    if (r < 0) {
        all_failed(batch, r);
    } else {
        numbers_give(batch, routes, p);
        bus_publish_many(ports->bus, p, count);
        outcomes_take(batch, p);
    }
    arena_done(&a);
}

/* Those that fit, in order; the first always does. */
static unsigned gather(struct list *batch, const struct ports *ports)
{
    unsigned count = 0;
    LIST_FOREACH_SAFE(it, &waiting)
    {
        struct pending *w = LIST_ENTRY(it, struct pending, item);
        if (count && (count + w->count > LIMIT_PUBLISH_EVENTS || w->ports != ports))
            break;
        list_remove(it);
        list_append(batch, it);
        count += w->count;
    }
    return count;
}

static void lead(void *arg)
{
    co_resume(arg);
}

/* Runs on the coroutine of the first: gathers at the end of the turn, and hands the lead on when some are left. */
static void publish_gathered(const struct pending *me)
{
    struct list batch = LIST_INIT(batch);
    unsigned count = gather(&batch, me->ports);
    struct list *next = list_first(&waiting);
    gathering = next != NULL;
    if (next)
        loop_post(lead, LIST_ENTRY(next, struct pending, item)->co);
    batch_publish(&batch, me->ports, count);
    LIST_FOREACH_SAFE(it, &batch)
    {
        struct pending *w = LIST_ENTRY(it, struct pending, item);
        list_remove(it);
        if (w != me)
            co_resume(w->co);
    }
}

/* Numbers are taken in one step so that the events of one commit stand together in their topic. */
int commit_publish(const struct ports *p, struct event *events, unsigned count)
{
    struct pending me = {.co = co_self(), .ports = p, .events = events, .count = count};
    list_append(&waiting, &me.item);
    if (bus_is_embedded(p->bus)) { /* nothing to share, and no turn to wait for */
        struct list batch = LIST_INIT(batch);
        list_remove(&me.item);
        list_append(&batch, &me.item);
        batch_publish(&batch, p, count);
        return me.error;
    }
    if (!gathering) {
        gathering = true;
        loop_post(lead, me.co);
    }
    co_suspend();
    /* resumed either to lead, still among those that wait, or when it is done */
    if (!list_empty(&me.item))
        publish_gathered(&me);
    return me.error;
}
