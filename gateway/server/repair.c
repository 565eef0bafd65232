/* Repairing a topic's order: asks kv how far the numbers are, finds the ids that are missing, fetches their events from
 * the outbox. Coroutines, one for a topic at a time. What cannot be repaired within LIMIT_TOPIC_REFILL_MS ends the
 * topic's sessions with op 9: there is never a silent hole. */
#include "gateway/server/server.h"

#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/base/snowflake.h"
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

/* An event that an earlier incarnation numbered: it is real, but nothing orders it any more. What was there before the
 * topic began is in its snapshot. */
static void take_foreign(struct topic *t, struct held_event *h)
{
    if (snowflake_ms(h->event.id) >= t->begun_ms)
        topic_dispatch_unordered(t, &h->event);
    drop(t, h);
}

/* What was held before kv was asked and has a number that kv has not given yet. */
static void dispatch_foreign(struct topic *t, uint64_t last)
{
    LIST_FOREACH_SAFE(it, &t->numbers.held)
    {
        struct held_event *h = LIST_ENTRY(it, struct held_event, item);
        if (h->event.number <= last || !h->asked)
            continue;
        numbers_remove(&t->numbers, h);
        take_foreign(t, h);
    }
}

/* Numbers begin again at 1: all of them are gone through, what was seen is told by its id. What came meanwhile may have
 * its number from this incarnation, or from one in between that this node never met. */
static void begin_again(struct topic *t, uint64_t incarnation)
{
    t->incarnation = incarnation;
    recent_drop(t);
    t->numbers.last = 0;
    t->expected = 0;
    for (struct held_event *h; (h = numbers_take(&t->numbers, UINT64_MAX));) {
        list_append(&t->suspects, &h->item);
        t->suspect_count++;
    }
}

/* The numbers of the suspects about which kv was asked, as far as kv has given and still knows them. */
struct range {
    uint64_t from, to;
};

static struct range range_asked(const struct topic *t, uint64_t last)
{
    struct range r = {UINT64_MAX, 0};

    LIST_FOREACH(it, &t->suspects)
    {
        const struct held_event *h = LIST_ENTRY(it, struct held_event, item);
        if (!h->asked || h->event.number > last)
            continue;
        r.from = h->event.number < r.from ? h->event.number : r.from;
        r.to = h->event.number > r.to ? h->event.number : r.to;
    }
    if (r.to >= LIMIT_TOPIC_REFILL_EVENTS && r.from <= r.to - LIMIT_TOPIC_REFILL_EVENTS)
        r.from = r.to - LIMIT_TOPIC_REFILL_EVENTS + 1;
    return r;
}

/* One that has its number from this incarnation, or of which that is not known: due still, or from before the snapshot.
 */
static void take_native(struct topic *t, struct held_event *h)
{
    if (h->event.number > t->numbers.last && numbers_hold(&t->numbers, &h->event, h->tag, h->epoch) == 0)
        held_free(h);
    else
        drop(t, h);
}

/* Whether a number means this event, its id says. */
static int sort_suspects(struct topic *t, uint64_t last)
{
    struct range range = range_asked(t, last);
    uint64_t count = range.to >= range.from ? range.to - range.from + 1 : 0, incarnation = t->g->incarnation;
    uint64_t *ids = mem_zalloc(sizeof *ids * (count + 1));
    int r = count ? kv_topic_events(t->g->ports->kv, t->id, range.from, range.to, ids) : 0;

    if (r == 0 && incarnation != t->g->incarnation)
        r = -EAGAIN;
    LIST_FOREACH_SAFE(it, &t->suspects)
    {
        struct held_event *h = LIST_ENTRY(it, struct held_event, item);
        uint64_t number = h->event.number;
        if (r < 0 || t->stale || !h->asked)
            continue;
        uint64_t id = number >= range.from && number <= range.to ? ids[number - range.from] : 0;
        list_remove(it);
        t->suspect_count--;
        if (number > last || (id && id != h->event.id))
            take_foreign(t, h);
        else
            take_native(t, h);
    }
    mem_free(ids);
    return r;
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
    r = sort_suspects(t, last);
    if (r < 0 || t->stale)
        return r;
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
