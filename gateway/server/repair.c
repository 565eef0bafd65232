/* Repairing a topic's order: asks kv how far the numbers are, finds the ids that are missing, fetches their events from
 * the outbox. Coroutines, one for a topic at a time. What cannot be repaired within LIMIT_TOPIC_REFILL_MS ends the
 * topic's sessions with op 9: there is never a silent hole. */
#include "gateway/server/server.h"

#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"
#include "platform/ports/kv.h"
#include "platform/ports/store/store.h"

#include <errno.h>

#define RETRY_MS 250

METRIC_DEFINE(refilled, METRIC_COUNTER, "guildhall_gateway_events_refilled_total",
              "Missing events fetched from the outbox");

static void drop(struct topic *t, struct held_event *h)
{
    topic_ack(t, h);
    held_free(h);
}

/* What was held before kv was asked and has a number that kv has not given yet was numbered by an earlier incarnation:
 * it is real, but nothing orders it any more. What was dispatched then is known: a broker
 * that was killed brings hundreds again whose acknowledgements it had not written, more than the ids remembered. */
static void dispatch_foreign(struct topic *t, uint64_t last)
{
    LIST_FOREACH_SAFE(it, &t->numbers.held)
    {
        struct held_event *h = LIST_ENTRY(it, struct held_event, item);
        if (h->event.number <= last || !h->asked)
            continue;
        numbers_remove(&t->numbers, h);
        if (h->event.number > t->former_last)
            topic_dispatch_unordered(t, &h->event);
        drop(t, h);
    }
}

/* Numbers begin again at 1: all of them are gone through, what was seen is told by its id. */
static void begin_again(struct topic *t, uint64_t incarnation)
{
    t->incarnation = incarnation;
    recent_drop(t);
    t->former_last = t->numbers.last;
    t->numbers.last = 0;
    t->expected = 0;
    LIST_FOREACH_SAFE(it, &t->suspects)
    {
        struct held_event *h = LIST_ENTRY(it, struct held_event, item);
        if (numbers_hold(&t->numbers, &h->event, h->tag, h->epoch) < 0)
            topic_ack(t, h);
        held_free(h);
    }
    t->suspect_count = 0;
}

/* From before the snapshot. */
static void drop_suspects(struct topic *t)
{
    LIST_FOREACH_SAFE(it, &t->suspects)
    if (LIST_ENTRY(it, struct held_event, item)->asked) {
        drop(t, LIST_ENTRY(it, struct held_event, item));
        t->suspect_count--;
    }
}

static void mark_asked(struct list *events)
{
    LIST_FOREACH(it, events)
    LIST_ENTRY(it, struct held_event, item)->asked = true;
}

static int fetch(struct topic *t, uint64_t number, uint64_t id)
{
    struct arena a = {0};
    struct event e;
    int r = store_outbox_get(t->g->ports->db, &a, id, &e);

    if (r == 0 && t->numbers.last + 1 == number && !t->stale) {
        e.number = number;
        topic_advance(t, number, id);
        dispatch_event(t, &e);
        metric_add(&refilled, 1);
    }
    arena_done(&a);
    return r;
}

static int refill(struct topic *t, uint64_t from, uint64_t to)
{
    uint64_t *ids = mem_alloc(sizeof *ids * (to - from + 1));
    int r = kv_topic_events(t->g->ports->kv, t->id, from, to, ids);

    for (uint64_t n = from; r == 0 && n <= to && !t->stale; n++) {
        topic_drain(t);
        if (t->numbers.last >= n)
            continue;
        uint64_t id = ids[n - from];
        if (!id)
            r = -ENOENT;
        else if (numbers_has_seen(&t->numbers, id))
            topic_advance(t, n, id);
        else
            r = fetch(t, n, id);
    }
    mem_free(ids);
    if (r == 0 && !t->stale)
        topic_drain(t);
    return r;
}

static int repair_once(struct topic *t)
{
    uint64_t incarnation = t->g->incarnation, last = 0;

    mark_asked(&t->numbers.held);
    mark_asked(&t->suspects);
    int r = kv_interest_add(t->g->ports->kv, t->g->node_id, &t->id, 1, &last);
    if (r < 0)
        return r;
    if (t->stale)
        return 0;
    if (incarnation != t->g->incarnation)
        return -EAGAIN;
    if (t->incarnation != incarnation)
        begin_again(t, incarnation);
    else
        drop_suspects(t);
    dispatch_foreign(t, last);
    topic_drain(t);
    uint64_t from = t->numbers.last + 1;
    if (from > last)
        return 0;
    if (last - from >= LIMIT_TOPIC_REFILL_EVENTS)
        return -ERANGE;
    return refill(t, from, last);
}

static bool worth_another_try(int error)
{
    return error == -EHOSTDOWN || error == -EAGAIN || error == -ETIMEDOUT;
}

static void repair_run(void *arg)
{
    struct topic *t = arg;
    struct gateway *g = t->g;
    int64_t deadline_ms = clock_mono_ms() + LIMIT_TOPIC_REFILL_MS;

    for (;;) {
        int r = repair_once(t);
        if (r == 0 || t->stale || g->stopping)
            break;
        if (!worth_another_try(r) || clock_mono_ms() > deadline_ms) {
            topic_fail(t, r == -ENOENT ? "a missing event is in no outbox" : "missing events cannot be fetched");
            break;
        }
        co_sleep(RETRY_MS);
    }
    t->repairing = false;
    g->repairing--;
    if (!t->stale)
        topic_repaired(t);
    topic_release(t);
    gateway_leave(g);
}

bool repair_start(struct topic *t)
{
    if (t->state != TOPIC_LIVE)
        return true;
    t->repairing = true;
    t->g->repairing++;
    topic_pin(t);
    if (gateway_spawn(t->g, repair_run, t) == 0)
        return true;
    t->repairing = false;
    t->g->repairing--;
    topic_release(t);
    return false;
}
