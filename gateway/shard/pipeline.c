/* Events between a gateway connection and the broker. Loop thread. */
#include "gateway/shard/pipeline.h"

#include "cache/broker.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/list.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/loop.h"
#include "platform/protocol/envelope.h"
#include <stdio.h>

#define RETRY_MS       100
#define MARK_MS        25
#define SILENT_KEEP_MS 5000
#define SILENT_TICK_MS 250
#define LEASE_BITS     42 /* of a lease's epoch, ms */

METRIC_DEFINE(metric_events, METRIC_COUNTER, "guildhall_shard_events_total", "Dispatches received");
METRIC_DEFINE(metric_confirmed, METRIC_COUNTER, "guildhall_shard_confirmed_total", "Events confirmed by the broker");
METRIC_DEFINE(metric_repeated, METRIC_COUNTER, "guildhall_shard_repeated_total", "Publishes that had to be repeated");
METRIC_DEFINE(metric_shed, METRIC_COUNTER, "guildhall_shard_shed_total",
              "Presence and typing events dropped because the broker, Redis or the workers were behind");
METRIC_DEFINE(metric_bytes, METRIC_COUNTER, "guildhall_shard_event_bytes_total", "Of the dispatches received, JSON");
METRIC_DEFINE(metric_pending, METRIC_GAUGE, "guildhall_shard_pending", "Events not confirmed yet");
METRIC_DEFINE(metric_publish, METRIC_HISTOGRAM, "guildhall_shard_publish_seconds", "From publishing to the confirm");

/* A session, as long as an event of it is under way. */
struct session {
    unsigned refs;
    uint64_t epoch, generation;
    bool resumed; /* begun by another */
    char id[];
};

enum stage { STAGE_NEW, STAGE_BUSY, STAGE_DONE }; /* BUSY: asked, no answer yet */

struct event {
    struct list link;
    struct pipeline *pipeline; /* NULL: it is gone, only answers are waited for */
    struct session *session;
    uint64_t seq, tag, guild;
    enum stage cached, published;
    bool shed;   /* for the cache only */
    bool silent; /* not for the broker, for now */
    uint64_t published_ns;
    int64_t pushed_ms;   /* of the silent */
    int64_t received_ms; /* wall clock */
    size_t bytes, type_bytes;
    char text[]; /* type, then data */
};

struct pipeline {
    struct pipeline_options o;
    struct list events;
    unsigned count;
    size_t bytes;
    struct session *session;           /* of the next event */
    struct session *confirmed_session; /* and of the last one confirmed */
    uint64_t confirmed;
    struct list *cache_at, *publish_at; /* the first that was not asked for yet; the head itself: none */
    unsigned caching, publishing;
    unsigned under_way[BROKER_PARTITIONS]; /* of the publishing */
    bool cache_failed,
        publish_failed; /* nothing more is asked until what is under way is back; then from the failure */
    bool paused, marked;
    struct loop_timer *retry, *mark, *age;
};

static void session_unref(struct session *s)
{
    if (s && --s->refs == 0)
        mem_free(s);
}

static struct session *session_ref(struct session *s)
{
    s->refs++;
    return s;
}

static struct str event_type_of(const struct event *e)
{
    return (struct str){e->text, e->type_bytes};
}

static struct str event_data_of(const struct event *e)
{
    return (struct str){e->text + e->type_bytes, e->bytes - e->type_bytes};
}

static void event_free(struct event *e)
{
    session_unref(e->session);
    mem_free(e);
}

static void run(struct pipeline *p);

/* --- the end of the way --- */

/* What nobody publishes stays for a while, and while there is room. */
static bool silent_is_over(const struct pipeline *p, const struct event *e)
{
    return e->silent && e->cached == STAGE_DONE &&
           (clock_mono_ms() - e->pushed_ms >= SILENT_KEEP_MS || p->count >= LIMIT_SHARD_PENDING_EVENTS / 4 ||
            p->bytes >= LIMIT_SHARD_PENDING_BYTES / 4);
}

static void advance(struct pipeline *p)
{
    uint64_t before = p->confirmed;
    struct session *session_before = p->confirmed_session;

    for (struct list *it; (it = list_first(&p->events)) != NULL;) {
        struct event *e = LIST_ENTRY(it, struct event, link);

        if (e->published != STAGE_DONE && !silent_is_over(p, e))
            break;
        if (p->cache_at == it)
            p->cache_at = it->next;
        if (p->publish_at == it)
            p->publish_at = it->next;
        list_remove(it);
        p->count--;
        p->bytes -= e->bytes;
        metric_add(&metric_pending, -1);
        p->confirmed = e->seq;
        if (p->confirmed_session != e->session) {
            session_unref(p->confirmed_session);
            p->confirmed_session = session_ref(e->session);
        }
        event_free(e);
    }
    if (p->confirmed != before || p->confirmed_session != session_before)
        p->o.confirmed(p->o.arg);
}

static void pause_check(struct pipeline *p)
{
    bool full = p->count >= LIMIT_SHARD_PENDING_EVENTS || p->bytes >= LIMIT_SHARD_PENDING_BYTES;
    bool low = p->count < LIMIT_SHARD_PENDING_EVENTS / 2 && p->bytes < LIMIT_SHARD_PENDING_BYTES / 2;

    if ((!p->paused && full) || (p->paused && low)) {
        p->paused = full;
        p->o.pause(p->paused, p->o.arg);
    }
}

static void retry_later(struct pipeline *p)
{
    loop_timer_start(p->retry, RETRY_MS, 0);
}

static void on_retry(void *arg)
{
    pipeline_kick(arg);
}

/* --- into the cache --- */

/* A later set's events stand above all of an earlier one's, also where a shard of that moves on under a new lease.
 * Exact in Lua up to set 2047. */
static uint64_t fence(const struct pipeline *p, const struct session *s)
{
    return p->o.set << LEASE_BITS | s->epoch;
}

static void on_cached(enum cache_result r, void *arg)
{
    struct event *e = arg;
    struct pipeline *p = e->pipeline;

    if (!p) {
        if (e->published != STAGE_BUSY)
            event_free(e);
        return;
    }
    p->caching--;
    e->cached = r == CACHE_RETRY ? STAGE_NEW : STAGE_DONE;
    if (r == CACHE_RETRY)
        p->cache_failed = true;
    if (r == CACHE_FENCED)
        p->o.fenced(p->o.arg); /* may free the pipeline, in a later turn */
    if (p->cache_failed && p->caching == 0)
        retry_later(p);
    run(p);
}

static struct cache_place place_of(const struct pipeline *p, const struct session *s, uint64_t seq, int64_t received_ms)
{
    return (struct cache_place){fence(p, s), s->generation, seq, p->o.shard, p->o.shard_count, received_ms};
}

static void cache_next(struct pipeline *p)
{
    while (p->cache_at != &p->events && !p->cache_failed && !cache_writer_busy(p->o.cache)) {
        struct event *e = LIST_ENTRY(p->cache_at, struct event, link);
        struct cache_place at = place_of(p, e->session, e->seq, e->received_ms);

        p->cache_at = p->cache_at->next;
        if (e->cached != STAGE_NEW)
            continue;
        e->cached = STAGE_BUSY;
        if (cache_write(p->o.cache, event_type_of(e), event_data_of(e), &at, on_cached, e))
            p->caching++;
        else
            e->cached = STAGE_DONE;
    }
    if (p->cache_at != &p->events && p->caching == 0 && !p->cache_failed)
        retry_later(p); /* other shards fill the writer */
}

/* --- to the broker --- */

static void on_published(int error, void *arg)
{
    struct event *e = arg;
    struct pipeline *p = e->pipeline;

    e->published = error ? STAGE_NEW : STAGE_DONE;
    if (!p) {
        event_free(e);
        return;
    }
    p->publishing--;
    p->under_way[broker_partition(e->tag)]--;
    if (error) {
        p->publish_failed = true;
        metric_add(&metric_repeated, 1);
    } else {
        metric_add(&metric_confirmed, 1);
        metric_observe_us(&metric_publish, (int64_t)((clock_mono_ns() - e->published_ns) / 1000));
    }
    if (p->publish_failed && p->publishing == 0)
        retry_later(p);
    advance(p);
    run(p);
}

static void publish(struct pipeline *p, struct event *e)
{
    struct buf BUF_AUTO key = BUF_INIT(512), id = BUF_INIT(512), guild = BUF_INIT(64);
    struct str type = event_type_of(e);
    char name[80];

    broker_routing_key(&key, p->o.application, type, broker_partition(e->tag));
    buf_adds(&id, e->session->id);
    buf_addc(&id, ':');
    buf_add_u64(&id, e->seq);
    if (e->guild)
        buf_add_u64(&guild, e->guild);
    snprintf(name, sizeof(name), "%.*s", STR_ARG(type));
    struct amqp_header headers[] = {
        {.name = BROKER_HEADER_SHARD, .is_int = true, .number = p->o.shard},
        {.name = BROKER_HEADER_SHARDS, .is_int = true, .number = p->o.shard_count},
        {.name = BROKER_HEADER_SEQ, .is_int = true, .number = (int64_t)e->seq},
        {.name = BROKER_HEADER_GUILD, .value = buf_str(&guild)},
        {.name = BROKER_HEADER_SESSION, .value = str_c(e->session->id)},
        {.name = BROKER_HEADER_EPOCH, .is_int = true, .number = (int64_t)e->session->epoch},
    };
    struct amqp_message m = {.exchange = BROKER_EXCHANGE,
                             .routing_key = key.data,
                             .body = event_data_of(e),
                             .persistent = true,
                             .message_id = id.data,
                             .type = name,
                             .headers = headers,
                             .header_count = sizeof(headers) / sizeof(headers[0])};
    e->published = STAGE_BUSY;
    e->published_ns = clock_mono_ns();
    p->publishing++;
    p->under_way[broker_partition(e->tag)]++;
    amqp_publish(p->o.publisher, &m, on_published, e);
}

/* A queue that is full refuses an event and may take the next one a moment later: there one goes after the other. */
static bool must_go_alone(const struct pipeline *p, const struct event *e)
{
    unsigned partition = broker_partition(e->tag);

    return p->o.crowds[partition].filling && p->under_way[partition] > 0;
}

static void publish_next(struct pipeline *p)
{
    if (p->publish_at == &p->events || p->publish_failed)
        return;
    if (!p->o.may_publish(p->o.arg)) {
        retry_later(p);
        return;
    }
    while (p->publish_at != &p->events && p->publishing < LIMIT_SHARD_PUBLISHING) {
        struct event *e = LIST_ENTRY(p->publish_at, struct event, link);

        if (e->cached != STAGE_DONE || must_go_alone(p, e))
            break;
        p->publish_at = p->publish_at->next;
        if (e->published != STAGE_NEW)
            continue;
        if (e->shed)
            e->published = STAGE_DONE;
        else if (!e->silent)
            publish(p, e);
    }
}

static void run(struct pipeline *p)
{
    cache_next(p);
    publish_next(p);
    advance(p); /* what was shed may stand at the head */
    pause_check(p);
    if (!p->marked && p->cache_at != p->events.next) {
        p->marked = true;
        loop_timer_start(p->mark, MARK_MS, 0);
    }
}

void pipeline_kick(struct pipeline *p)
{
    if (p->cache_failed && p->caching == 0) {
        p->cache_failed = false;
        p->cache_at = p->events.next;
    }
    if (p->publish_failed && p->publishing == 0) {
        p->publish_failed = false;
        p->publish_at = p->events.next;
    }
    run(p);
}

/* --- the beginning --- */

struct ids {
    struct str guild_id, channel_id, user_id, id;
};

static int ids_take(struct str key, struct str value, void *arg)
{
    struct ids *ids = arg;

    if (str_eq(key, STR("guild_id")))
        ids->guild_id = value;
    else if (str_eq(key, STR("channel_id")))
        ids->channel_id = value;
    else if (str_eq(key, STR("user_id")))
        ids->user_id = value;
    else if (str_eq(key, STR("id")))
        ids->id = value;
    return 0;
}

static uint64_t id_read(struct str raw)
{
    struct str s = raw;
    uint64_t id;

    json_str_plain(raw, &s);
    return str_to_u64(s, &id) == 0 ? id : 0;
}

/* The guild the event belongs to, and what its partition is chosen by. */
static void event_place(struct event *e)
{
    struct str type = event_type_of(e);
    struct ids ids = {0};

    json_members_scan(event_data_of(e), ids_take, &ids);
    e->guild = id_read(ids.guild_id);
    if (!e->guild &&
        (str_eq(type, STR("GUILD_CREATE")) || str_eq(type, STR("GUILD_UPDATE")) || str_eq(type, STR("GUILD_DELETE"))))
        e->guild = id_read(ids.id);
    bool is_channel = str_starts(type, STR("CHANNEL_")) && !ids.channel_id.n;
    uint64_t outside = id_read(is_channel ? ids.id : ids.channel_id.n ? ids.channel_id : ids.user_id);
    e->tag = e->guild ? e->guild : outside;
}

/* Presence and typing are worth nothing late: they go first when something is behind. */
static bool is_fleeting(struct str type)
{
    return str_eq(type, STR("PRESENCE_UPDATE")) || str_eq(type, STR("TYPING_START"));
}

void pipeline_push(struct pipeline *p, uint64_t seq, struct str type, struct str data)
{
    struct event *e = mem_alloc(sizeof(*e) + type.n + data.n);

    *e = (struct event){.pipeline = p,
                        .session = session_ref(p->session),
                        .seq = seq,
                        .bytes = type.n + data.n,
                        .type_bytes = type.n,
                        .silent = p->o.silent,
                        .received_ms = clock_wall_ms(),
                        .pushed_ms = p->o.silent ? clock_mono_ms() : 0};
    memcpy(e->text, type.p, type.n);
    memcpy(e->text + type.n, data.p, data.n);
    metric_add(&metric_events, 1);
    metric_add(&metric_pending, 1);
    metric_add(&metric_bytes, (int64_t)data.n);
    event_place(e);
    if (is_fleeting(type)) {
        bool behind = p->count >= LIMIT_SHARD_PENDING_EVENTS / 4;
        if (behind)
            e->cached = e->published = STAGE_DONE;
        e->shed = behind || p->o.crowds[broker_partition(e->tag)].crowded;
        metric_add(&metric_shed, e->shed);
    }
    bool cache_idle = p->cache_at == &p->events, publish_idle = p->publish_at == &p->events;
    list_append(&p->events, &e->link);
    p->count++;
    p->bytes += e->bytes;
    if (cache_idle)
        p->cache_at = &e->link;
    if (publish_idle)
        p->publish_at = &e->link;
    run(p);
}

/* --- the marker: how far the cache is, told a few times a second --- */

static void on_mark(void *arg)
{
    struct pipeline *p = arg;
    const struct event *last = NULL;

    p->marked = false;
    LIST_FOREACH(it, &p->events)
    {
        const struct event *e = LIST_ENTRY(it, struct event, link);
        if (e->cached != STAGE_DONE)
            break;
        last = e;
    }
    const struct session *s = last ? last->session : p->confirmed_session;
    if (!s)
        return;
    struct cache_place at = place_of(p, s, last ? last->seq : p->confirmed, 0);
    cache_mark(p->o.cache, str_c(s->id), &at, s->resumed);
}

/* --- life --- */

static void on_age(void *arg)
{
    run(arg);
}

struct pipeline *pipeline_new(const struct pipeline_options *o)
{
    struct pipeline *p = MEM_NEW(struct pipeline);

    p->o = *o;
    list_init(&p->events);
    p->cache_at = p->publish_at = &p->events;
    p->retry = loop_timer_new(on_retry, p);
    p->mark = loop_timer_new(on_mark, p);
    p->age = loop_timer_new(on_age, p);
    if (o->silent)
        loop_timer_start(p->age, SILENT_TICK_MS, SILENT_TICK_MS);
    return p;
}

void pipeline_free(struct pipeline *p)
{
    LIST_FOREACH_SAFE(it, &p->events)
    {
        struct event *e = LIST_ENTRY(it, struct event, link);

        list_remove(it);
        e->pipeline = NULL;
        metric_add(&metric_pending, -1);
        if (e->cached != STAGE_BUSY && e->published != STAGE_BUSY)
            event_free(e);
    }
    session_unref(p->session);
    session_unref(p->confirmed_session);
    loop_timer_free(p->retry);
    loop_timer_free(p->mark);
    loop_timer_free(p->age);
    mem_free(p);
}

void pipeline_session(struct pipeline *p, struct str session, uint64_t epoch, uint64_t generation, uint64_t confirmed)
{
    struct session *s = mem_alloc(sizeof(*s) + session.n + 1);

    *s = (struct session){.refs = 1, .epoch = epoch, .generation = generation, .resumed = confirmed > 0};
    memcpy(s->id, session.p, session.n);
    s->id[session.n] = 0;
    session_unref(p->session);
    p->session = s;
    if (list_empty(&p->events)) {
        session_unref(p->confirmed_session);
        p->confirmed_session = session_ref(s);
        p->confirmed = confirmed;
    }
}

void pipeline_publish(struct pipeline *p)
{
    if (!p->o.silent)
        return;
    p->o.silent = false;
    loop_timer_stop(p->age);
    LIST_FOREACH(it, &p->events)
    {
        LIST_ENTRY(it, struct event, link)->silent = false;
    }
    p->publish_at = p->events.next;
    run(p);
}

uint64_t pipeline_confirmed(const struct pipeline *p)
{
    return p->confirmed;
}

struct str pipeline_session_id(const struct pipeline *p)
{
    return p->confirmed_session ? str_c(p->confirmed_session->id) : STR("");
}

bool pipeline_is_empty(const struct pipeline *p)
{
    return list_empty(&p->events);
}

bool pipeline_is_paused(const struct pipeline *p)
{
    return p->paused;
}
