/* Writing the session log. Loop thread. Limits: LIMIT_SESSION_LOG_*. */
#include "gateway/server/session_log.h"

#include "gateway/server/log_codec.h"
#include "gateway/server/server.h"
#include "gateway/server/session_record.h"
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"
#include "platform/ports/kv.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#define TICK_MS        1000
#define RECORDS_A_CALL 256
#define WAIT_STEP_MS   5

METRIC_DEFINE(entries, METRIC_COUNTER, "guildhall_gateway_log_entries_total", "Entries of the session log");
METRIC_DEFINE(entry_bytes, METRIC_COUNTER, "guildhall_gateway_log_bytes_total", "Their bytes");
METRIC_DEFINE(holes, METRIC_COUNTER, "guildhall_gateway_log_holes_total",
              "Entries that kv did not confirm: their events were sent all the same");

/* One dispatch on its way through the log. */
struct delivery {
    struct session *session;
    struct encoded *event; /* NULL: the session is over */
    uint64_t seq;
    enum redaction redaction;
    bool send, marker; /* marker: without its data */
    uint32_t slot;     /* of the event in the entry */
};

struct batch {
    struct list item; /* in session_log.flying */
    struct session_log *log;
    uint64_t number;
    struct delivery *deliveries;
    unsigned count, cap;
    uint32_t slots; /* different events */
    uint64_t *ids;  /* of events that nobody is logged with */
    unsigned id_count, id_cap;
    size_t bytes;
    bool answered, failed;
};

struct session_log {
    struct list item; /* among those of this process */
    struct gateway *g;
    char run[33], owner[160];
    uint64_t last, answered, oldest; /* numbers of entries: built, all answered up to, kept in kv from */
    uint64_t failures;               /* entries that failed */
    struct batch *batch;             /* of this turn */
    struct list flying;
    struct list dirty;          /* topics whose number is to be written */
    struct list stuck, loading; /* those whose number cannot be told yet: of which incarnation, of which guilds */
    bool anew_wanted;           /* the next entry after which every number is there says so */
    bool mark_wanted;           /* every topic is to be written again */
    uint32_t next_index;
    uint32_t *sizes; /* of the entries in kv: a ring over LIMIT_SESSION_LOG_ENTRIES */
    size_t bytes, bytes_since_records;
    struct list due, recorded; /* sessions: records to be written; written, longest first */
    bool upkeep;
    int64_t tick_ms;
    bool over;
};

static struct list logs = LIST_INIT(logs);

static void entry_send(struct session_log *l, bool with_numbers);

/* --- a batch ---------------------------------------------------------------------------------------------------------
 */
static void delivery_release(const struct delivery *d)
{
    struct session *s = d->session;

    if (d->event && d->send) {
        s->gated_bytes -= encoded_bytes(d->event);
        if (!s->ended) {
            if (d->seq > s->released)
                s->released = d->seq;
            if (s->conn)
                flush_add(s, FLUSH_FEW);
        }
    }
    encoded_unref(d->event);
    session_unref(s);
}

static void batch_free(struct batch *b)
{
    for (unsigned i = 0; i < b->count; i++)
        delivery_release(&b->deliveries[i]);
    mem_free(b->deliveries);
    mem_free(b->ids);
    mem_free(b);
}

static void log_free(struct session_log *l)
{
    mem_free(l->sizes);
    mem_free(l);
}

/* In order, whatever order the answers have. */
static void release_answered(struct session_log *l)
{
    for (struct list *first; (first = list_first(&l->flying));) {
        struct batch *b = LIST_ENTRY(first, struct batch, item);
        if (!b->answered)
            break;
        list_remove(first);
        l->answered = b->number;
        batch_free(b);
    }
    if (l->over && list_empty(&l->flying))
        log_free(l);
}

static void on_appended(int error, void *arg)
{
    struct batch *b = arg;
    struct session_log *l = b->log;

    b->answered = true;
    if (error) {
        metric_add(&holes, 1);
        l->failures++;
        l->anew_wanted = l->mark_wanted = true;
    }
    release_answered(l);
}

static struct batch *batch_of(struct session_log *l)
{
    if (!l->batch) {
        l->batch = MEM_NEW(struct batch);
        l->batch->log = l;
        list_init(&l->batch->item);
    }
    return l->batch;
}

static void batch_add(struct session_log *l, struct delivery d)
{
    struct batch *b = batch_of(l);

    if (b->count == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 8;
        b->deliveries = mem_realloc(b->deliveries, sizeof *b->deliveries * b->cap);
    }
    if (!d.event) {
        d.slot = b->slots++;
    } else if (!encoded_slot(d.event, l->last + 1, &d.slot)) {
        d.slot = b->slots++;
        encoded_slot_put(d.event, l->last + 1, d.slot);
        b->bytes += d.marker ? 0 : encoded_bytes(d.event);
    }
    b->bytes += sizeof d;
    b->deliveries[b->count++] = d;
    if (b->bytes >= LIMIT_SESSION_LOG_ENTRY_BYTES)
        entry_send(l, false);
}

/* --- numbers ---------------------------------------------------------------------------------------------------------
 */
static bool loads_pending(const struct topic *user)
{
    for (unsigned i = 0; i < user->sub_count; i++) {
        const struct session *s = user->subs[i]->session;
        if (s->logged && (s->load_count || s->loaders))
            return true;
    }
    return false;
}

/* A user's number says which of its guilds were joined and announced: not before they are. NULL: it can be told. */
static struct list *waits_on(struct session_log *l, const struct topic *t)
{
    if (t->incarnation != l->g->incarnation || t->stale || t->state != TOPIC_LIVE)
        return &l->stuck;
    return t->is_user && loads_pending(t) ? &l->loading : NULL;
}

static unsigned topics_take(struct session_log *l, uint64_t *topics, uint64_t *numbers)
{
    unsigned count = 0;

    while (count < KV_LOG_TOPICS_MAX && !list_empty(&l->dirty)) {
        struct topic *t = LIST_ENTRY(l->dirty.next, struct topic, log_item);
        struct list *wait = waits_on(l, t);
        list_remove(&t->log_item);
        if (wait) {
            list_append(wait, &t->log_item);
            continue;
        }
        topics[count] = t->id;
        numbers[count++] = t->numbers.last;
    }
    return count;
}

void session_log_topic(struct topic *t)
{
    if (t->logged && t->g->session_log && list_empty(&t->log_item))
        list_append(&t->g->session_log->dirty, &t->log_item);
}

void session_log_topic_once(struct topic *t)
{
    list_remove(&t->log_item); /* it may have waited for what is there now */
    list_append(&t->g->session_log->dirty, &t->log_item);
}

static void seen_add(uint64_t id, void *arg)
{
    struct session_log *l = arg;
    struct batch *b = batch_of(l);

    if (b->id_count == b->id_cap) {
        b->id_cap = b->id_cap ? b->id_cap * 2 : 64;
        b->ids = mem_realloc(b->ids, sizeof *b->ids * b->id_cap);
    }
    b->ids[b->id_count++] = id;
    b->bytes += LOG_EVENT_HEAD_BYTES;
    if (b->bytes >= LIMIT_SESSION_LOG_ENTRY_BYTES)
        entry_send(l, false);
}

void session_log_seen(struct topic *t)
{
    numbers_seen_since(&t->numbers, t->seen_logged, seen_add, t->g->session_log);
    t->seen_logged = t->numbers.seen_count;
}

/* kv may have forgotten everything. */
static void mark_all(struct session_log *l)
{
    size_t cursor = 0;

    for (struct topic *t; (t = map_next(&l->g->topics, &cursor));) {
        t->seen_logged = 0;
        if (t->logged)
            session_log_seen(t);
        session_log_topic(t);
    }
}

static void move_all(struct list *from, struct list *to)
{
    LIST_FOREACH_SAFE(it, from)
    {
        list_remove(it);
        list_append(to, it);
    }
}

/* --- an entry --------------------------------------------------------------------------------------------------------
 */
static void write_event(const struct delivery *first, uint32_t recipients, struct buf *out)
{
    struct str data = STR_NONE, name = STR("");
    uint64_t id = 0;

    if (first->event) {
        name = str_c(event_name(encoded_type(first->event)));
        id = encoded_event_id(first->event);
        data = first->marker ? STR_NONE : encoded_data(first->event);
    }
    log_event_write(out, id, name, data, recipients);
}

static void write_recipient(const struct delivery *d, struct buf *out)
{
    struct log_recipient r = {d->session->log_index, d->seq, d->event ? (uint8_t)d->redaction : LOG_ENDED};

    log_recipient_write(out, &r);
}

/* Deliveries of one event stand together in the entry: a counting sort by slot. */
static void entry_write(const struct batch *b, bool anew, struct buf *out)
{
    log_entry_begin(out, anew);
    for (unsigned i = 0; i < b->id_count; i++)
        log_event_write(out, b->ids[i], STR(""), STR_NONE, 0);
    if (!b->count)
        return;
    uint32_t *ends = mem_zalloc(sizeof *ends * (b->slots + 1)), *order = mem_alloc(sizeof *order * b->count);
    for (unsigned i = 0; i < b->count; i++)
        ends[b->deliveries[i].slot + 1]++;
    for (uint32_t i = 0; i < b->slots; i++)
        ends[i + 1] += ends[i];
    for (unsigned i = 0; i < b->count; i++)
        order[ends[b->deliveries[i].slot]++] = i; /* ends[slot] moves to where the next slot begins */
    for (uint32_t slot = 0, at = 0; slot < b->slots; slot++) {
        write_event(&b->deliveries[order[at]], ends[slot] - at, out);
        for (; at < ends[slot]; at++)
            write_recipient(&b->deliveries[order[at]], out);
    }
    mem_free(ends);
    mem_free(order);
}

static void sizes_add(struct session_log *l, size_t bytes)
{
    l->sizes[l->last % LIMIT_SESSION_LOG_ENTRIES] = (uint32_t)bytes;
    l->bytes += bytes;
    l->bytes_since_records += bytes;
    while (l->bytes > LIMIT_SESSION_LOG_BYTES || l->last - l->oldest + 1 > LIMIT_SESSION_LOG_ENTRIES)
        l->bytes -= l->sizes[l->oldest++ % LIMIT_SESSION_LOG_ENTRIES];
}

/* Without the numbers in the middle of a dispatch: a number must not be there before all who got its event are. */
static void entry_send(struct session_log *l, bool with_numbers)
{
    struct batch *b = batch_of(l);
    BUF_AUTO struct buf entry = {0};
    uint64_t *topics = mem_alloc(sizeof *topics * KV_LOG_TOPICS_MAX);
    uint64_t *numbers = mem_alloc(sizeof *numbers * KV_LOG_TOPICS_MAX);
    unsigned count = with_numbers ? topics_take(l, topics, numbers) : 0;
    bool anew = l->anew_wanted && with_numbers && !l->mark_wanted && list_empty(&l->dirty) && list_empty(&l->stuck);

    l->batch = NULL;
    b->number = ++l->last;
    entry_write(b, anew, &entry);
    CHECK(!buf_failed(&entry)); /* its parts are bounded far below a buffer's limit */
    l->anew_wanted = l->anew_wanted && !anew;
    sizes_add(l, entry.len);
    list_append(&l->flying, &b->item);
    struct kv_log_append a = {.log = l->run,
                              .number = l->last,
                              .oldest = l->oldest,
                              .entry = buf_str(&entry),
                              .topics = topics,
                              .numbers = numbers,
                              .topic_count = count,
                              .ttl_ms = LIMIT_SESSION_RECORD_MS};
    metric_add(&entries, 1);
    metric_add(&entry_bytes, (int64_t)entry.len);
    kv_log_append(l->g->ports->kv, &a, on_appended, b);
    mem_free(topics);
    mem_free(numbers);
}

uint64_t session_log_flush(struct gateway *g)
{
    struct session_log *l = g->session_log;

    while (l->batch || !list_empty(&l->dirty))
        entry_send(l, true);
    return l->last;
}

bool session_log_behind(const struct gateway *g)
{
    return g->session_log->mark_wanted || g->session_log->anew_wanted;
}

int session_log_wait(struct gateway *g, uint64_t number)
{
    struct session_log *l = g->session_log;

    uint64_t failures = l->failures;
    while (l->answered < number)
        co_sleep(WAIT_STEP_MS);
    return failures != l->failures || session_log_behind(g) ? -EIO : 0;
}

static void turn_end(void *arg)
{
    (void)arg;
    LIST_FOREACH(it, &logs)
    {
        struct session_log *l = LIST_ENTRY(it, struct session_log, item);
        if (l->batch)
            (void)session_log_flush(l->g);
    }
}

/* --- sessions --------------------------------------------------------------------------------------------------------
 */
void session_log_begin(struct session *s)
{
    struct session_log *l = s->g->session_log;

    list_init(&s->record_item);
    if (!l)
        return;
    s->log_index = l->next_index++;
    s->logged = s->is_bot;
}

/* What stands for a moment only, or is large, is not worth its bytes: a RESUME that needs it gets op 9. */
static bool is_marker(const struct session *s, const struct encoded *e)
{
    enum event_type type = encoded_type(e);

    return encoded_bytes(e) > LIMIT_SESSION_LOG_EVENT_BYTES || type == EVENT_READY ||
           (type == EVENT_GUILD_CREATE && !s->loaded);
}

void session_log_add(struct session *s, uint64_t seq, struct encoded *e, enum redaction redaction)
{
    s->gated_bytes += encoded_bytes(e);
    batch_add(s->g->session_log, (struct delivery){.session = session_ref(s),
                                                   .event = encoded_ref(e),
                                                   .seq = seq,
                                                   .redaction = redaction,
                                                   .send = true,
                                                   .marker = is_marker(s, e)});
}

void session_log_copy(struct session *s, uint64_t seq, struct encoded *e, enum redaction redaction)
{
    batch_add(s->g->session_log, (struct delivery){.session = session_ref(s),
                                                   .event = encoded_ref(e),
                                                   .seq = seq,
                                                   .redaction = redaction,
                                                   .marker = encoded_bytes(e) > LIMIT_SESSION_LOG_ENTRY_BYTES});
}

void session_log_loaded(struct session *s)
{
    struct session_log *l = s->g->session_log;

    s->loaded = true;
    session_known_forget(s);
    if (l && (s->logged || s->adopted) && !s->ended && !s->handed && list_empty(&s->record_item))
        list_append(&l->due, &s->record_item);
}

struct forgetting {
    struct gateway *g;
    char id[SESSION_ID_CHARS + 1];
};

static void forget_run(void *arg)
{
    struct forgetting *f = arg;
    struct gateway *g = f->g;

    if (g->session_log)
        (void)kv_session_del(g->ports->kv, f->id, session_log_owner(g));
    mem_free(f);
    gateway_leave(g);
}

void session_log_end(struct session *s)
{
    struct session_log *l = s->g->session_log;

    list_remove(&s->record_item);
    if (!l || !s->recorded || s->handed)
        return;
    batch_add(l, (struct delivery){.session = session_ref(s), .seq = s->seq});
    struct forgetting *f = MEM_NEW(struct forgetting);
    *f = (struct forgetting){.g = s->g};
    memcpy(f->id, s->id, sizeof f->id);
    if (gateway_spawn(s->g, forget_run, f) < 0)
        mem_free(f); /* the log says it too, and the record ends by itself */
}

/* --- records ---------------------------------------------------------------------------------------------------------
 */
static bool numbers_written(const struct session *s)
{
    LIST_FOREACH(it, &s->subs)
    if (!list_empty(&LIST_ENTRY(it, struct sub, item)->topic->log_item))
        return false;
    return true;
}

struct due {
    struct session *sessions[RECORDS_A_CALL];
    struct kv_session records[RECORDS_A_CALL];
    bool lost[RECORDS_A_CALL];
    unsigned count;
    struct arena arena;
};

/* Takes up to RECORDS_A_CALL of the sessions that are due, as they are now. */
static void due_take(struct session_log *l, struct due *d)
{
    uint64_t entry = session_log_flush(l->g);

    LIST_FOREACH_SAFE(it, &l->due)
    {
        struct session *s = LIST_ENTRY(it, struct session, record_item);
        struct session_record r;
        struct buf json = {0};
        struct arena a = {0};
        if (d->count == RECORDS_A_CALL)
            break;
        if (!numbers_written(s))
            continue;
        list_remove(it);
        session_record_fill(&r, s, entry, &a);
        session_record_write(&r, &json);
        d->records[d->count] =
            (struct kv_session){s->id, session_log_owner(l->g), arena_str(&d->arena, buf_str(&json))};
        d->sessions[d->count++] = session_ref(s);
        s->recorded = true;
        s->recorded_ms = clock_mono_ms();
        buf_done(&json);
        arena_done(&a);
    }
}

/* Somebody has taken it over: its client is there. */
static void session_lost(struct session *s)
{
    struct conn *c = s->conn;

    s->handed = true;
    session_end(s);
    if (c)
        conn_close(c, GATEWAY_CLOSE_UNKNOWN_ERROR);
}

static void due_settle(struct session_log *l, struct due *d, bool good)
{
    for (unsigned i = 0; i < d->count; i++) {
        struct session *s = d->sessions[i];
        if (!s->ended && !s->handed && list_empty(&s->record_item))
            list_append(good ? &l->recorded : &l->due, &s->record_item);
        if (good && d->lost[i] && !s->ended)
            session_lost(s);
        session_unref(s);
    }
}

/* A session that was let go of meanwhile has a newer record. */
static void due_drop_gone(struct due *d)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < d->count; i++) {
        if (d->sessions[i]->ended || d->sessions[i]->handed) {
            session_unref(d->sessions[i]);
            continue;
        }
        d->sessions[kept] = d->sessions[i];
        d->records[kept++] = d->records[i];
    }
    d->count = kept;
}

/* Answers whether to go on at once. */
static bool records_write(struct session_log *l)
{
    struct gateway *g = l->g;
    struct due *d = MEM_NEW(struct due);

    due_take(l, d);
    unsigned count = d->count;
    int r = session_log_wait(g, l->last);
    due_drop_gone(d);
    if (r == 0 && d->count)
        r = kv_sessions_put(g->ports->kv, d->records, d->count, LIMIT_SESSION_RECORD_MS, d->lost);
    due_settle(l, d, r == 0);
    arena_done(&d->arena);
    mem_free(d);
    return r == 0 && count == RECORDS_A_CALL;
}

static void records_run(void *arg)
{
    struct session_log *l = arg;
    struct gateway *g = l->g;

    while (records_write(l) && !g->stopping)
        ;
    l->upkeep = false;
    gateway_leave(g);
}

/* Also early, when much was written: what is dropped from the log must be older than the record. */
static void records_age(struct session_log *l, int64_t now_ms)
{
    bool early = l->bytes_since_records > LIMIT_SESSION_LOG_BYTES / 2;

    if (early)
        l->bytes_since_records = 0;
    LIST_FOREACH_SAFE(it, &l->recorded)
    {
        struct session *s = LIST_ENTRY(it, struct session, record_item);
        if (!early && now_ms - s->recorded_ms < LIMIT_SESSION_RECORD_RENEW_MS)
            break;
        list_remove(it);
        list_append(&l->due, it);
        (void)batch_of(l); /* also keeps a quiet log from ending */
    }
}

void session_log_tick(struct gateway *g, int64_t now_ms)
{
    struct session_log *l = g->session_log;

    if (!l || now_ms - l->tick_ms < TICK_MS)
        return;
    l->tick_ms = now_ms;
    if (l->mark_wanted && kv_ready(g->ports->kv)) {
        l->mark_wanted = false;
        mark_all(l);
        move_all(&l->recorded, &l->due);
        (void)batch_of(l); /* an entry that may say that it begins anew */
    }
    move_all(&l->stuck, &l->dirty);
    move_all(&l->loading, &l->dirty);
    records_age(l, now_ms);
    (void)session_log_flush(g);
    if (list_empty(&l->due) || l->upkeep || g->stopping || !kv_ready(g->ports->kv))
        return;
    l->upkeep = true;
    if (gateway_spawn(g, records_run, l) < 0)
        l->upkeep = false;
}

void session_log_again(struct gateway *g)
{
    if (g->session_log)
        g->session_log->anew_wanted = g->session_log->mark_wanted = true;
}

/* --- life ------------------------------------------------------------------------------------------------------------
 */
void session_log_start(struct gateway *g)
{
    unsigned char bytes[16];

    if (!g->options.session_log)
        return;
    struct session_log *l = g->session_log = MEM_NEW(struct session_log);
    l->g = g;
    l->oldest = 1;
    CHECK(getrandom(bytes, sizeof bytes, 0) == sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(l->run + 2 * i, 3, "%02x", bytes[i]);
    l->sizes = mem_zalloc(sizeof *l->sizes * LIMIT_SESSION_LOG_ENTRIES);
    list_init(&l->flying);
    list_init(&l->dirty);
    list_init(&l->stuck);
    list_init(&l->loading);
    list_init(&l->due);
    list_init(&l->recorded);
    list_append(&logs, &l->item);
    loop_on_turn_end(turn_end, NULL);
}

void session_log_stop(struct gateway *g)
{
    struct session_log *l = g->session_log;

    if (!l)
        return;
    g->session_log = NULL;
    list_remove(&l->item);
    LIST_FOREACH_SAFE(it, &l->dirty)
    list_remove(it);
    LIST_FOREACH_SAFE(it, &l->stuck)
    list_remove(it);
    LIST_FOREACH_SAFE(it, &l->loading)
    list_remove(it);
    if (l->batch)
        batch_free(l->batch);
    LIST_FOREACH(it, &l->flying) /* kv still holds the batches */
    {
        struct batch *b = LIST_ENTRY(it, struct batch, item);
        for (unsigned i = 0; i < b->count; i++)
            delivery_release(&b->deliveries[i]);
        b->count = 0;
    }
    l->over = true;
    if (list_empty(&l->flying))
        log_free(l);
}

bool session_log_on(const struct gateway *g)
{
    return g->session_log != NULL;
}

const char *session_log_owner(const struct gateway *g)
{
    struct session_log *l = g->session_log;

    if (!l)
        return "";
    snprintf(l->owner, sizeof l->owner, "%s/%s", g->node_id, l->run);
    return l->owner;
}

const char *session_log_run(const struct gateway *g)
{
    return g->session_log ? g->session_log->run : "";
}
