/* A topic's latest events, kept while sessions come over from other nodes: each of them missed what was dispatched
 * between its former node's last number and this node's. Fetched once for all of them, then kept as they come. Loop
 * thread; recent_reach is for coroutines. Limits: LIMIT_RECENT_*. */
#include "gateway/server/server.h"

#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/io/co.h"
#include "platform/ports/kv.h"
#include "platform/ports/store/store.h"

#include <errno.h>

#define BEHIND_STEP_MS 20
#define FETCH_AT_ONCE  200

struct recent {
    struct list item; /* in gateway.recents, by last use */
    struct topic *topic;
    uint64_t from;      /* the events after this number are here */
    struct list events; /* of struct held_event, rising numbers */
    unsigned count;
    size_t bytes;
    bool fetching;
    int64_t used_ms;
};

static struct recent *recent_of(struct topic *t)
{
    struct recent *r = t->recent;

    if (!r) {
        r = t->recent = MEM_NEW(struct recent);
        *r = (struct recent){.topic = t, .from = t->numbers.last};
        list_init(&r->item);
        list_init(&r->events);
    }
    r->used_ms = clock_mono_ms();
    list_remove(&r->item);
    list_append(&t->g->recents, &r->item);
    return r;
}

static void drop_first(struct recent *r)
{
    struct held_event *h = LIST_ENTRY(r->events.next, struct held_event, item);

    r->from = h->event.number;
    r->count--;
    r->bytes -= h->event.data.n;
    held_free(h);
}

void recent_add(struct topic *t, const struct event *e)
{
    struct recent *r = t->recent;

    if (!e->number)
        return;
    struct held_event *h = held_new(e, 0, 0);
    list_append(&r->events, &h->item);
    r->count++;
    r->bytes += e->data.n;
    while (!r->fetching && (r->count > LIMIT_RECENT_EVENTS || r->bytes > LIMIT_RECENT_BYTES))
        drop_first(r);
}

void recent_drop(struct topic *t)
{
    struct recent *r = t->recent;

    if (!r)
        return;
    LIST_FOREACH_SAFE(it, &r->events)
    held_free(LIST_ENTRY(it, struct held_event, item));
    list_remove(&r->item);
    mem_free(r);
    t->recent = NULL;
}

void recent_tick(struct gateway *g, int64_t now_ms)
{
    LIST_FOREACH_SAFE(it, &g->recents)
    {
        struct recent *r = LIST_ENTRY(it, struct recent, item);
        if (now_ms - r->used_ms < LIMIT_RECENT_KEEP_MS)
            break;
        if (!r->fetching)
            recent_drop(r->topic);
    }
}

/* This node may be behind the other: its bus brings what is missing, or repair does. */
static int wait_behind(struct topic *t, uint64_t after)
{
    int64_t deadline_ms = clock_mono_ms() + LIMIT_TOPIC_REFILL_MS;

    while (t->numbers.last < after) {
        if (t->stale || t->g->stopping || clock_mono_ms() > deadline_ms)
            return -ETIMEDOUT;
        topic_miss(t, after);
        co_sleep(BEHIND_STEP_MS);
    }
    return 0;
}

static const struct event *event_of(const struct event *events, unsigned count, uint64_t id)
{
    for (unsigned i = 0; i < count; i++)
        if (events[i].id == id)
            return &events[i];
    return NULL;
}

/* Puts the events of ids[0..count), numbered from `first`, at the end of `out`. */
static int fetch_some(struct topic *t, const uint64_t *ids, unsigned count, uint64_t first, struct list *out)
{
    struct arena a = {0};
    struct event *events = NULL;
    unsigned found = 0;
    int r = store_outbox_list(t->g->ports->db, &a, ids, count, &events, &found);

    for (unsigned i = 0; r == 0 && i < count; i++) {
        const struct event *e = event_of(events, found, ids[i]);
        if (!e) {
            r = -ENODATA;
            break;
        }
        struct event numbered = *e;
        numbered.number = first + i;
        list_append(out, &held_new(&numbered, 0, 0)->item);
    }
    arena_done(&a);
    return r;
}

static int fetch(struct topic *t, uint64_t from, uint64_t to, struct list *out)
{
    unsigned count = (unsigned)(to - from + 1);
    uint64_t *ids = mem_alloc(sizeof *ids * count);
    int r = kv_topic_events(t->g->ports->kv, t->id, from, to, ids);

    for (unsigned i = 0; r == 0 && i < count; i++)
        r = ids[i] ? 0 : -ENODATA;
    for (unsigned i = 0; r == 0 && i < count; i += FETCH_AT_ONCE)
        r = fetch_some(t, ids + i, count - i < FETCH_AT_ONCE ? count - i : FETCH_AT_ONCE, from + i, out);
    mem_free(ids);
    return r;
}

static void put_before(struct recent *r, struct list *fetched, uint64_t after)
{
    while (!list_empty(fetched)) {
        struct held_event *h = LIST_ENTRY(fetched->prev, struct held_event, item);
        list_remove(&h->item);
        r->count++;
        r->bytes += h->event.data.n;
        numbers_remember(&r->topic->numbers, h->event.id);
        list_append(r->events.next, &h->item); /* before the first */
    }
    r->from = after;
}

static int reach_back(struct topic *t, uint64_t after)
{
    struct recent *r = recent_of(t);
    struct list fetched = LIST_INIT(fetched);
    uint64_t from = r->from, incarnation = t->incarnation;

    if (after >= from)
        return 0;
    if (from - after > LIMIT_TOPIC_REFILL_EVENTS)
        return -ENODATA;
    r->fetching = true;
    int error = fetch(t, after + 1, from, &fetched);
    if (t->incarnation != incarnation) /* the numbers mean others now, and what was kept is gone */
        error = -ENODATA;
    else
        r->fetching = false;
    if (error == 0)
        put_before(r, &fetched, after);
    LIST_FOREACH_SAFE(it, &fetched)
    held_free(LIST_ENTRY(it, struct held_event, item));
    return error;
}

int recent_reach(struct topic *t, uint64_t after)
{
    int r = wait_behind(t, after);

    while (r == 0 && t->recent && t->recent->fetching)
        co_sleep(1);
    return r < 0 ? r : reach_back(t, after);
}

void recent_each(struct topic *t, uint64_t after, void (*fn)(const struct event *e, void *arg), void *arg)
{
    if (!t->recent)
        return;
    LIST_FOREACH(it, &t->recent->events)
    {
        struct held_event *h = LIST_ENTRY(it, struct held_event, item);
        if (h->event.number > after)
            fn(&h->event, arg);
    }
}
