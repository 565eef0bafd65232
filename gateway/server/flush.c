/* What sessions have not been sent yet goes to their sockets at the end of the loop's turn: a session stands here once,
 * however many events it got, and its part of the replay ring leaves in one write. A turn spends FLUSH_SLICE_US on it
 * and goes on in the next, so that heartbeats, requests and further events are read in between, and events that come
 * meanwhile join those that wait. Sessions reached by a large fan-out wait behind the others, but get half of the time.
 * Loop thread. */
#include "gateway/server/server.h"

#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/metrics.h"

#define FLUSH_SLICE_US 1000
#define FLUSH_STEP     16 /* sessions between two looks at the clock */

METRIC_DEFINE(slices, METRIC_COUNTER, "guildhall_gateway_flush_slices_total",
              "Loop turns that ended with sessions still to be sent to");

static struct list waiting[FLUSH_CLASSES] = {LIST_INIT(waiting[FLUSH_FEW]), LIST_INIT(waiting[FLUSH_MANY])};

void flush_remove(struct session *s)
{
    list_remove(&s->out_item);
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

static void flush_some(enum flush_class class, uint64_t until_ns)
{
    struct list *first;

    do
        for (unsigned i = 0; i < FLUSH_STEP && (first = list_first(&waiting[class])) != NULL; i++)
            flush_out(LIST_ENTRY(first, struct session, out_item));
    while (!list_empty(&waiting[class]) && clock_mono_ns() < until_ns);
}

static void go_on(void *arg)
{
    (void)arg; /* that something is posted is what keeps the loop from waiting */
}

static void flush_turn(void *arg)
{
    uint64_t now_ns = clock_mono_ns(), slice_ns = FLUSH_SLICE_US * 1000;

    (void)arg;
    flush_some(FLUSH_FEW, now_ns + (list_empty(&waiting[FLUSH_MANY]) ? slice_ns : slice_ns / 2));
    flush_some(FLUSH_MANY, now_ns + slice_ns);
    if (list_empty(&waiting[FLUSH_FEW]) && list_empty(&waiting[FLUSH_MANY]))
        return;
    metric_add(&slices, 1);
    loop_post(go_on, NULL);
}

void flush_add(struct session *s, enum flush_class class)
{
    bool waits = !list_empty(&s->out_item);

    if (waits && s->out_class <= class)
        return;
    if (waits)
        list_remove(&s->out_item);
    s->out_class = class;
    list_append(&waiting[class], &s->out_item);
}

void flush_start(void)
{
    loop_on_turn_end(flush_turn, NULL);
}
