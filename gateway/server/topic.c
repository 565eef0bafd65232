/* Topics: loading, the order of events, subscriptions, forgetting. Loop thread; what reaches kv or the store runs on
 * coroutines. Limits: LIMIT_TOPIC_*. */
#include "gateway/server/server.h"

#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"
#include "platform/ports/bus.h"
#include "platform/ports/kv.h"
#include "platform/ports/store/store.h"

#include <errno.h>
#include <stdlib.h>

#define REPAIRS_AT_ONCE 64

METRIC_DEFINE(topics_gauge, METRIC_GAUGE, "guildhall_gateway_topics", "Guilds and users this node follows");
METRIC_DEFINE(failures, METRIC_COUNTER, "guildhall_gateway_topic_failures_total",
              "Topics whose missing events could not be had: their sessions got op 9");
METRIC_DEFINE(repeats, METRIC_COUNTER, "guildhall_gateway_event_repeats_total",
              "Events that came again and were dropped");

/* --- waiting ---------------------------------------------------------------------------------------------------------
 */
struct waiter {
    struct list item;
    struct co *co;
    int error;
};

int topic_wait(struct topic *t)
{
    struct waiter w = {.co = co_self()};

    list_append(&t->waiters, &w.item);
    co_suspend();
    return w.error;
}

void topic_wake(struct topic *t, int error)
{
    LIST_FOREACH_SAFE(it, &t->waiters)
    {
        struct waiter *w = LIST_ENTRY(it, struct waiter, item);
        list_remove(it);
        w->error = error;
        co_resume(w->co);
    }
}

/* --- life ------------------------------------------------------------------------------------------------------------
 */
static struct topic *topic_new(struct gateway *g, uint64_t id, bool is_user)
{
    struct topic *t = MEM_NEW(struct topic);

    t->g = g;
    t->id = id;
    t->is_user = is_user;
    t->incarnation = g->incarnation;
    numbers_init(&t->numbers);
    list_init(&t->idle_item);
    list_init(&t->miss_item);
    list_init(&t->members_item);
    list_init(&t->actives_item);
    list_init(&t->log_item);
    list_init(&t->suspects);
    list_init(&t->waiters);
    if (!is_user)
        t->standing = standing_new(t);
    map_put(&g->topics, id, t);
    metric_add(&topics_gauge, 1);
    return t;
}

void topic_ack(struct topic *t, const struct held_event *h)
{
    if (h->tag)
        bus_ack(t->g->ports->bus, h->tag, h->epoch);
}

static void held_drop(struct topic *t, struct held_event *h)
{
    topic_ack(t, h);
    held_free(h);
}

static void topic_free(struct topic *t, int error)
{
    CHECK(t->sub_count == 0 && t->pins == 0);
    for (struct held_event *h; (h = numbers_take(&t->numbers, UINT64_MAX));)
        held_drop(t, h);
    LIST_FOREACH_SAFE(it, &t->suspects)
    held_drop(t, LIST_ENTRY(it, struct held_event, item));
    numbers_done(&t->numbers);
    list_remove(&t->idle_item);
    list_remove(&t->miss_item);
    list_remove(&t->members_item);
    actives_drop(t);
    list_remove(&t->log_item);
    recent_drop(t);
    guild_state_free(t->guild);
    standing_free(t->standing);
    mem_free(t->subs);
    map_del(&t->g->topics, t->id);
    metric_add(&topics_gauge, -1);
    topic_wake(t, error);
    mem_free(t);
}

/* Events that came before interest was registered may be in the snapshot or not: their numbers say it. */
static void topic_begin(struct topic *t, uint64_t number)
{
    t->numbers.last = number;
    t->begun_ms = clock_wall_ms();
    for (struct held_event *h; (h = numbers_take(&t->numbers, number));) {
        numbers_remember(&t->numbers, h->event.id);
        held_drop(t, h);
    }
    t->state = TOPIC_LIVE;
    if (t->standing)
        standing_begin(t);
    topic_wake(t, 0);
    topic_drain(t);
}

static int guild_load(struct topic *t)
{
    struct guild_snapshot snap;
    struct arena a = {0};
    int r = store_guild_snapshot(t->g->ports->db, &a, t->id, LIMIT_GUILD_MEMBERS_KEPT, 0, &snap);

    if (r == 0) {
        t->guild = guild_state_new(t->id);
        guild_state_load(t->guild, &snap);
        topic_members_used(t);
    }
    arena_done(&a);
    return r;
}

/* First interest, then the snapshot: what happens in between comes by the bus with a higher number. */
static int topic_load(struct topic *t)
{
    uint64_t number;
    int r = kv_interest_add(t->g->ports->kv, t->g->node_id, &t->id, 1, &number);

    if (r == 0 && !t->is_user)
        r = guild_load(t);
    if (r == 0 && t->standing)
        standing_load(t->g, &t, 1);
    if (r == 0 && (t->stale || t->overflow))
        r = -EAGAIN;
    if (r < 0)
        return r;
    topic_begin(t, number);
    if (t->incarnation != t->g->incarnation)
        topic_miss(t, 0);
    return 0;
}

/* --- many at once ---------------------------------------------------------------------------------------------------
 */
/* Of one call: topics that were not there, all LOADING until it is their turn. */
struct preload {
    struct gateway *g;
    struct topic **topics; /* rising ids */
    unsigned count;
    uint64_t *ids, *numbers;
};

static void preload_end(struct preload *p, unsigned i, int error)
{
    struct topic *t = p->topics[i];

    p->topics[i] = NULL;
    topic_free(t, error);
}

static int preload_one(struct preload *p, unsigned i, const struct guild_snapshot *snap)
{
    struct topic *t = p->topics[i];

    if (t->stale || t->overflow)
        return -EAGAIN;
    t->guild = guild_state_new(t->id);
    guild_state_load(t->guild, snap);
    if (t->guild->members_complete)
        topic_members_used(t);
    topic_pin(t);
    topic_begin(t, p->numbers[i]);
    if (t->incarnation != p->g->incarnation)
        topic_miss(t, 0);
    return 0;
}

/* Large guilds take a while to be written: others get their turn in between. */
static void preload_all(struct preload *p, const struct guild_snapshot *snaps, unsigned count)
{
    uint64_t turn_ns = clock_mono_ns();

    for (unsigned i = 0, n = 0; i < p->count; i++) {
        while (n < count && snaps[n].guild.id < p->ids[i])
            n++;
        int r = n < count && snaps[n].guild.id == p->ids[i] ? preload_one(p, i, &snaps[n]) : -ENOENT;
        if (r < 0)
            preload_end(p, i, r);
        if (clock_mono_ns() - turn_ns > LIMIT_LOAD_TURN_NS) {
            co_sleep(0);
            turn_ns = clock_mono_ns();
        }
    }
}

static void preload_run(struct preload *p, uint64_t user_id, unsigned list_max)
{
    const struct ports *ports = p->g->ports;
    struct guild_snapshot *snaps = NULL;
    struct arena a = {0};
    unsigned count = 0;
    int r = kv_interest_add(ports->kv, p->g->node_id, p->ids, p->count, p->numbers);

    if (r == 0)
        r = store_guild_snapshots(ports->db, &a, p->ids, p->count, user_id, list_max, &snaps, &count);
    if (r == 0)
        standing_load(p->g, p->topics, p->count);
    if (r == 0)
        preload_all(p, snaps, count);
    for (unsigned i = 0; i < p->count && r < 0; i++)
        preload_end(p, i, r);
    arena_done(&a);
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

unsigned topics_preload(struct gateway *g, const uint64_t *guild_ids, unsigned count, uint64_t user_id,
                        unsigned list_max, struct topic **ret)
{
    struct arena a = {0};
    struct preload p = {
        .g = g, .topics = ret, .ids = ARENA_ARRAY(&a, uint64_t, count), .numbers = ARENA_ARRAY(&a, uint64_t, count)};
    unsigned loaded = 0;

    memcpy(p.ids, guild_ids, sizeof *guild_ids * count);
    qsort(p.ids, count, sizeof *p.ids, by_id);
    for (unsigned i = 0; i < count; i++) {
        if (g->stopping || map_get(&g->topics, p.ids[i]))
            continue;
        p.ids[p.count] = p.ids[i];
        ret[p.count++] = topic_new(g, p.ids[i], false);
    }
    if (p.count)
        preload_run(&p, user_id, list_max);
    for (unsigned i = 0; i < p.count; i++)
        if (ret[i])
            ret[loaded++] = ret[i];
    arena_done(&a);
    return loaded;
}

void topic_pin(struct topic *t)
{
    t->pins++;
    list_remove(&t->idle_item);
}

static void topic_settle(struct topic *t)
{
    if (t->pins || t->sub_count || t->state != TOPIC_LIVE)
        return;
    list_remove(&t->idle_item);
    t->idle_ms = clock_mono_ms();
    list_append(&t->g->idle, &t->idle_item);
    topic_wake(t, 0);
}

void topic_release(struct topic *t)
{
    CHECK(t->pins > 0);
    t->pins--;
    topic_settle(t);
}

static void topic_close_run(void *arg)
{
    struct topic *t = arg;
    struct gateway *g = t->g;

    /* where it fails, kv forgets it with the node, and events of a topic nobody follows are dropped */
    (void)kv_interest_remove(g->ports->kv, g->node_id, &t->id, 1);
    topic_free(t, 0);
    gateway_leave(g);
}

static bool topic_close(struct topic *t)
{
    t->state = TOPIC_CLOSING;
    if (gateway_spawn(t->g, topic_close_run, t) < 0) {
        t->state = TOPIC_LIVE;
        return false;
    }
    return true;
}

int topic_acquire(struct gateway *g, uint64_t id, bool is_user, struct topic **ret)
{
    for (;;) {
        struct topic *t = map_get(&g->topics, id);
        if (g->stopping)
            return -ECANCELED;
        if (!t) {
            t = topic_new(g, id, is_user);
            int r = topic_load(t);
            if (r < 0) {
                topic_free(t, r);
                return r;
            }
        }
        if (t->is_user != is_user)
            return -ENOENT;
        if (t->state == TOPIC_LIVE && !t->stale) {
            topic_pin(t);
            *ret = t;
            return 0;
        }
        if (t->state == TOPIC_LIVE && !t->pins && !t->sub_count) {
            list_remove(&t->idle_item);
            if (!topic_close(t))
                return -EAGAIN;
            continue;
        }
        int r = topic_wait(t);
        if (r < 0)
            return r;
    }
}

void topic_fail(struct topic *t, const char *why)
{
    LOG_WARN("topic lost events", "topic=%llu sessions=%u why=\"%s\"", (unsigned long long)t->id, t->sub_count, why);
    metric_add(&failures, 1);
    t->stale = true;
    list_remove(&t->miss_item);
    while (t->sub_count)
        session_invalidate(t->subs[t->sub_count - 1]->session);
}

void topic_forget_all(struct gateway *g)
{
    size_t cursor = 0;

    for (struct topic *t; (t = map_next(&g->topics, &cursor));) {
        t->stale = true;
        list_remove(&t->miss_item);
    }
}

void topics_free(struct gateway *g)
{
    size_t cursor = 0;

    for (struct topic *t; (t = map_next(&g->topics, &cursor));)
        topic_free(t, -ECANCELED);
    map_done(&g->topics);
}

/* --- subscriptions ---------------------------------------------------------------------------------------------------
 */
/* Looked for where fewer are. */
struct sub *topic_sub_find(const struct topic *t, const struct session *s)
{
    if (t->sub_count < s->sub_count) {
        for (unsigned i = 0; i < t->sub_count; i++)
            if (t->subs[i]->session == s)
                return t->subs[i];
        return NULL;
    }
    LIST_FOREACH(it, &s->subs)
    {
        struct sub *sub = LIST_ENTRY(it, struct sub, item);
        if (sub->topic == t)
            return sub;
    }
    return NULL;
}

struct sub *topic_sub_add(struct topic *t, struct session *s, struct state_member *member)
{
    struct sub *sub = MEM_NEW(struct sub);

    if (t->sub_count == t->sub_cap) {
        t->sub_cap = t->sub_cap ? t->sub_cap * 2 : 1;
        t->subs = mem_realloc(t->subs, sizeof *t->subs * t->sub_cap);
    }
    *sub = (struct sub){.session = s, .topic = t, .index = t->sub_count, .intents = s->intents, .user_id = s->user_id};
    sub->member = member;
    sub->visible = &sub->first_word;
    sub->words = 1;
    if (member)
        member->sessions++;
    t->subs[t->sub_count++] = sub;
    list_append(&s->subs, &sub->item);
    s->sub_count++;
    presence_mark(t, s->user_id, false);
    if (s->logged) {
        t->logged++;
        session_log_topic(t);
    }
    voice_sub_changed(t, s);
    list_remove(&t->idle_item);
    return sub;
}

void topic_sub_remove(struct sub *sub)
{
    struct topic *t = sub->topic;
    uint64_t user_id = sub->user_id;
    const struct session *s = sub->session;

    t->subs[sub->index] = t->subs[--t->sub_count];
    t->subs[sub->index]->index = sub->index;
    list_remove(&sub->item);
    sub->session->sub_count--;
    if (sub->session->logged && --t->logged == 0)
        list_remove(&t->log_item);
    if (sub->member)
        sub->member->sessions--;
    if (sub->visible != &sub->first_word)
        mem_free(sub->visible);
    mem_free(sub);
    presence_mark(t, user_id, true);
    voice_sub_changed(t, s);
    topic_settle(t);
}

/* --- order -----------------------------------------------------------------------------------------------------------
 */
void topic_miss(struct topic *t, uint64_t expected)
{
    if (expected > t->expected)
        t->expected = expected;
    if (!list_empty(&t->miss_item) || t->stale)
        return;
    t->miss_ms = clock_mono_ms();
    list_append(&t->g->repairs, &t->miss_item);
}

void topic_advance(struct topic *t, uint64_t number, uint64_t event_id)
{
    numbers_advance(&t->numbers, number, event_id);
    session_log_topic(t);
}

void topic_dispatch_unordered(struct topic *t, const struct event *e)
{
    if (numbers_has_seen(&t->numbers, e->id)) {
        metric_add(&repeats, 1);
        return;
    }
    numbers_remember(&t->numbers, e->id);
    struct event alone = *e;
    alone.number = 0; /* another incarnation's: it means nothing here */
    dispatch_event(t, &alone);
}

/* The event's number is the next, or older. */
static void topic_take(struct topic *t, const struct event *e, enum numbers_verdict verdict)
{
    if (verdict == NUMBERS_NEXT) {
        topic_advance(t, e->number, e->id);
        dispatch_event(t, e);
        return;
    }
    metric_add(&repeats, 1);
    if (verdict == NUMBERS_REPEAT)
        topic_advance(t, e->number, e->id);
}

void topic_drain(struct topic *t)
{
    for (struct held_event *h; (h = numbers_take(&t->numbers, t->numbers.last + 1));) {
        topic_take(t, &h->event, numbers_judge(&t->numbers, h->event.number, h->event.id));
        held_drop(t, h);
    }
    /* in another incarnation of kv the next number may look right and be another's */
    if (t->numbers.held_count || t->expected > t->numbers.last || t->suspect_count ||
        t->incarnation != t->g->incarnation)
        topic_miss(t, 0);
    else
        list_remove(&t->miss_item);
}

void topic_repaired(struct topic *t)
{
    list_remove(&t->miss_item);
    topic_drain(t);
}

static void delivery_ack(struct topic *t, const struct bus_delivery *d)
{
    if (d->tag)
        bus_ack(t->g->ports->bus, d->tag, d->epoch);
}

static void topic_hold(struct topic *t, const struct bus_delivery *d)
{
    int r = numbers_hold(&t->numbers, d->event, d->tag, d->epoch);

    if (r == 0)
        return;
    delivery_ack(t, d);
    if (r == -EEXIST)
        return;
    t->overflow = true;
    if (t->state == TOPIC_LIVE && !t->stale)
        topic_fail(t, "too many events wait for a missing one");
}

/* An old number with an id that was not dispatched here: an event from before the snapshot that was long on its way, or
 * the first number of a new incarnation of kv. Repair asks kv which. */
static void topic_suspect(struct topic *t, const struct bus_delivery *d)
{
    if (t->suspect_count >= LIMIT_TOPIC_HELD_EVENTS) {
        delivery_ack(t, d);
        topic_fail(t, "too many events of unknown order");
        return;
    }
    struct held_event *h = held_new(d->event, d->tag, d->epoch);
    list_append(&t->suspects, &h->item);
    t->suspect_count++;
    topic_miss(t, 0);
}

void topic_deliver(struct topic *t, const struct bus_delivery *d)
{
    const struct event *e = d->event;

    if (e->type == EVENT_CONTROL_ENTRY && !t->stale)
        standing_deliver(t, e);
    if (t->stale || t->state == TOPIC_CLOSING || e->type == EVENT_CONTROL_ENTRY ||
        (e->number == 0 && t->state == TOPIC_LOADING)) {
        delivery_ack(t, d);
        return;
    }
    if (e->number == 0) { /* typing: not stored, not numbered */
        dispatch_event(t, e);
        delivery_ack(t, d);
        return;
    }
    enum numbers_verdict verdict =
        t->state == TOPIC_LOADING ? NUMBERS_AHEAD : numbers_judge(&t->numbers, e->number, e->id);
    if (verdict == NUMBERS_AHEAD) {
        topic_hold(t, d);
        if (t->state == TOPIC_LIVE)
            topic_miss(t, 0);
        return;
    }
    if (verdict == NUMBERS_OLD && !bus_is_embedded(t->g->ports->bus)) {
        topic_suspect(t, d);
        return;
    }
    topic_take(t, e, verdict);
    delivery_ack(t, d);
    if (!list_empty(&t->miss_item))
        topic_drain(t);
}

/* --- time ------------------------------------------------------------------------------------------------------------
 */
/* Keeps memory in bounds where guilds stay open for weeks. */
static void members_forget(struct gateway *g, int64_t now_ms)
{
    LIST_FOREACH_SAFE(it, &g->members_kept)
    {
        struct topic *t = LIST_ENTRY(it, struct topic, members_item);
        if (now_ms - t->members_used_ms < LIMIT_GUILD_MEMBERS_KEEP_MS)
            break;
        list_remove(it);
        if (!t->guild->loading_members)
            guild_state_members_forget(t->guild);
    }
}

void topic_members_used(struct topic *t)
{
    t->members_used_ms = clock_mono_ms();
    list_remove(&t->members_item);
    list_append(&t->g->members_kept, &t->members_item);
}

void topic_tick(struct gateway *g, int64_t now_ms)
{
    LIST_FOREACH_SAFE(it, &g->repairs)
    {
        struct topic *t = LIST_ENTRY(it, struct topic, miss_item);
        if (now_ms - t->miss_ms < LIMIT_TOPIC_GAP_MS || g->repairing >= REPAIRS_AT_ONCE)
            break;
        if (!t->repairing && !repair_start(t))
            break;
    }
    LIST_FOREACH_SAFE(it, &g->idle)
    {
        struct topic *t = LIST_ENTRY(it, struct topic, idle_item);
        if (now_ms - t->idle_ms < LIMIT_TOPIC_IDLE_MS && !t->stale)
            break;
        list_remove(&t->idle_item);
        if (!topic_close(t))
            topic_settle(t);
    }
    members_forget(g, now_ms);
    actives_tick(g, now_ms);
}
