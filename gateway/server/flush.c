/* What sessions have not been sent yet goes to their sockets at the end of the loop's turn: a session stands here once,
 * however many events it got, and its part of the replay ring leaves in one write. A turn spends FLUSH_SLICE_US on it
 * and goes on in the next, so that heartbeats, requests and further events are read in between, and events that come
 * meanwhile join those that wait. Sessions reached by a large fan-out wait behind the others, but get half of the time.
 * Loop thread. */
#include "gateway/server/server.h"

#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"

#define FLUSH_SLICE_US 1000
#define FLUSH_STEP     16 /* sessions between two looks at the clock */
#define WARM_STEP      3

METRIC_DEFINE(slices, METRIC_COUNTER, "guildhall_gateway_flush_slices_total",
              "Loop turns that ended with sessions still to be sent to");

/* A ring of sessions. A place counts on for ever, its lowest bits are the slot; removing leaves a hole. */
struct line {
    struct session **slots;
    uint32_t first, end, cap; /* cap: 0 or a power of two */
    uint32_t count;           /* without holes */
};
static struct line lines[FLUSH_CLASSES];

static void line_grow(struct line *l)
{
    uint32_t cap = l->cap ? l->cap * 2 : 64;
    struct session **slots = mem_alloc(cap * sizeof *slots);

    for (uint32_t i = l->first; i != l->end; i++)
        slots[i & (cap - 1)] = l->slots[i & (l->cap - 1)];
    mem_free(l->slots);
    l->slots = slots;
    l->cap = cap;
}

static void line_put(struct line *l, struct session *s)
{
    if (l->end - l->first == l->cap)
        line_grow(l);
    s->out_place = l->end++;
    l->slots[s->out_place & (l->cap - 1)] = s;
    l->count++;
}

/* NULL: a hole, or nobody. */
static struct session *line_at(const struct line *l, uint32_t place)
{
    return place - l->first < l->end - l->first ? l->slots[place & (l->cap - 1)] : NULL;
}

void flush_remove(struct session *s)
{
    struct line *l = &lines[s->out_class];

    if (!s->out_waits)
        return;
    s->out_waits = false;
    l->slots[s->out_place & (l->cap - 1)] = NULL;
    l->count--;
}

/* Until so many bytes wait for the socket. */
static void give(struct session *s, size_t queued_max)
{
    struct conn *c = s->conn;

    flush_remove(s);
    while (s->conn == c && s->sent_seq < session_sent(s) && (!c->ws || ws_queued_bytes(c->ws) < queued_max)) {
        enum redaction redaction;
        unsigned behind = (unsigned)(s->seq - s->sent_seq++);
        struct encoded *e = replay_at(&s->replay, s->replay.count - behind, &redaction);
        if (conn_dispatch(c, s->sent_seq, e, redaction))
            continue;
        s->sent_seq = session_sent(s); /* a RESUME comes back to it */
        conn_close(c, GATEWAY_CLOSE_UNKNOWN_ERROR);
    }
}

void flush_session(struct session *s)
{
    give(s, SIZE_MAX);
}

/* What a full socket does not take stays in the ring, where it costs nothing more and RESUME finds it; on_drain brings
 * the session back. */
static void flush_out(struct session *s)
{
    struct conn *c = s->conn;

    do {
        give(s, LIMIT_WS_AHEAD_BYTES);
        if (c->ws)
            ws_flush(c->ws);
        if (s->conn != c || s->sent_seq == session_sent(s) || ws_blocked_since_ms(c->ws))
            return;
    } while (ws_queued_bytes(c->ws) < LIMIT_WS_AHEAD_BYTES);
    flush_session(s); /* open for a moment only: nothing leaves yet */
}

/* Another session's memory is seldom in the processor's caches. It is asked for while those before are sent to: first
 * the session, some places later what it points to. */
static void warm(const struct line *l)
{
    const struct session *far = line_at(l, l->first + 3 * WARM_STEP), *near = line_at(l, l->first + 2 * WARM_STEP),
                         *next = line_at(l, l->first + WARM_STEP);

    if (far) {
        __builtin_prefetch(far);
        __builtin_prefetch((const char *)far + 64);
    }
    if (near) {
        __builtin_prefetch(near->conn);
        replay_warm(&near->replay);
    }
    if (next) {
        __builtin_prefetch(next->conn->ws);
        __builtin_prefetch((const char *)next->conn->ws + 64);
    }
}

static void flush_some(enum flush_class class, uint64_t until_ns)
{
    struct line *l = &lines[class];

    for (unsigned i = 1; l->count && (i % FLUSH_STEP || clock_mono_ns() < until_ns); i++) {
        struct session *s = line_at(l, l->first);
        warm(l);
        if (s)
            flush_out(s);
        l->first++;
    }
    if (!l->count)
        l->first = l->end;
}

static void go_on(void *arg)
{
    (void)arg; /* that something is posted is what keeps the loop from waiting */
}

static void flush_turn(void *arg)
{
    uint64_t now_ns = clock_mono_ns(), slice_ns = FLUSH_SLICE_US * 1000;

    (void)arg;
    session_metrics();
    flush_some(FLUSH_FEW, now_ns + (lines[FLUSH_MANY].count ? slice_ns / 2 : slice_ns));
    flush_some(FLUSH_MANY, now_ns + slice_ns);
    if (!lines[FLUSH_FEW].count && !lines[FLUSH_MANY].count)
        return;
    metric_add(&slices, 1);
    loop_post(go_on, NULL);
}

void flush_add(struct session *s, enum flush_class class)
{
    if (s->out_waits && s->out_class <= class)
        return;
    flush_remove(s);
    s->out_waits = true;
    s->out_class = class;
    line_put(&lines[class], s);
}

void flush_start(void)
{
    loop_on_turn_end(flush_turn, NULL);
}
