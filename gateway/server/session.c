/* Sessions: their life, their connection, their dispatches. Loop thread.
 * Limits: LIMIT_REPLAY_*, LIMIT_RESUME_WINDOW_MS; a connection that takes too little is cut at half a replay ring
 * (LIMIT_WS_AHEAD_BYTES) or LIMIT_WS_QUEUE_BYTES, and may RESUME. */
#include "gateway/server/server.h"

#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"

#include <stdio.h>
#include <sys/random.h>

METRIC_DEFINE(sessions_gauge, METRIC_GAUGE, "guildhall_gateway_sessions", "Sessions, also those that wait for RESUME");
METRIC_DEFINE(dispatches, METRIC_COUNTER, "guildhall_gateway_dispatches_total", "Events given to a session");
METRIC_DEFINE(dispatch_bytes, METRIC_COUNTER, "guildhall_gateway_dispatch_bytes_total",
              "Bytes of their JSON form, before compression");
METRIC_DEFINE(invalidated, METRIC_COUNTER, "guildhall_gateway_sessions_invalidated_total", "Sessions ended by op 9");
METRIC_DEFINE(expired, METRIC_COUNTER, "guildhall_gateway_sessions_expired_total", "Sessions nobody resumed in time");

/* Of all gateways in the process; an atomic for each recipient would be felt. */
static struct {
    int64_t dispatches, bytes;
} turn;

/* FNV-1a. Whoever is asked for an unknown session knows whom to ask. */
void session_node_chars(const char *node_id, char out[SESSION_NODE_CHARS + 1])
{
    uint32_t h = 2166136261u;

    for (; *node_id; node_id++)
        h = (h ^ (unsigned char)*node_id) * 16777619u;
    snprintf(out, SESSION_NODE_CHARS + 1, "%08x", h);
}

static void session_id_make(const struct gateway *g, char out[SESSION_ID_CHARS + 1])
{
    unsigned char bytes[(SESSION_ID_CHARS - SESSION_NODE_CHARS) / 2];

    CHECK(getrandom(bytes, sizeof bytes, 0) == sizeof bytes);
    session_node_chars(g->node_id, out);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(out + SESSION_NODE_CHARS + 2 * i, 3, "%02x", bytes[i]);
}

struct session *session_new(struct gateway *g, const char *id)
{
    struct session *s = MEM_NEW(struct session);

    if (g->sessions.count >= LIMIT_SESSIONS && !list_empty(&g->detached))
        session_end(LIST_ENTRY(g->detached.next, struct session, item));
    s->g = g;
    s->refs = 1;
    s->starting = true;
    s->since_ms = clock_mono_ms();
    s->shard_count = 1;
    if (id)
        snprintf(s->id, sizeof s->id, "%s", id);
    else
        session_id_make(g, s->id);
    list_init(&s->record_item);
    list_init(&s->subs);
    list_init(&s->item);
    list_init(&s->members_open);
    list_init(&s->presence.held_item);
    list_init(&s->voice.requests);
    smap_put(&g->sessions, str_c(s->id), s);
    metric_add(&sessions_gauge, 1);
    return s;
}

struct session *session_ref(struct session *s)
{
    s->refs++;
    return s;
}

void session_known_forget(struct session *s)
{
    if (s->known)
        map_done(s->known);
    mem_free(s->known);
    s->known = NULL;
}

void session_unref(struct session *s)
{
    if (--s->refs > 0)
        return;
    CHECK(s->ended && list_empty(&s->subs));
    presence_end(s);
    session_known_forget(s);
    for (unsigned i = 0; i < s->home_count; i++)
        past_unref(s->homes[i].past);
    mem_free(s->homes);
    voice_end(s);
    mem_free(s->token);
    mem_free(s->loads);
    mem_free(s);
}

struct session *session_find(struct gateway *g, struct str id)
{
    return smap_get(&g->sessions, id);
}

void session_attach(struct session *s, struct conn *c)
{
    CHECK(!s->conn && !c->session && !s->ended);
    list_remove(&s->item);
    s->conn = c;
    c->session = s;
    c->step = CONN_LIVE;
    encoder_stream_pack(&c->stream, s->compress);
}

void session_detach(struct session *s)
{
    if (!s->conn)
        return;
    flush_remove(s);
    s->conn->session = NULL;
    s->conn = NULL;
    s->detached_ms = clock_mono_ms();
    list_append(&s->g->detached, &s->item);
}

void session_end(struct session *s)
{
    if (s->ended)
        return;
    s->ended = true;
    session_log_end(s);
    if (s->conn) {
        flush_session(s);
        s->conn->session = NULL;
    }
    s->conn = NULL;
    list_remove(&s->item);
    while (!list_empty(&s->subs))
        topic_sub_remove(LIST_ENTRY(s->subs.next, struct sub, item));
    replay_done(&s->replay);
    s->load_at = s->load_count = 0;
    smap_del(&s->g->sessions, str_c(s->id));
    metric_add(&sessions_gauge, -1);
    session_unref(s);
}

void session_invalidate(struct session *s)
{
    struct conn *c = s->conn;

    metric_add(&invalidated, 1);
    session_end(s);
    if (c)
        conn_invalidate(c, false);
}

/* A part of the full ring is unsent, and the socket has been full for a while: what else the ring holds is what RESUME
 * needs for the bytes on their way. A burst goes on into the connection's queue. */
static bool is_slow(const struct session *s, const struct encoded *e)
{
    const struct ws_conn *ws = s->conn->ws;

    if (!replay_is_full(&s->replay, e) || (session_sent(s) - s->sent_seq) * LIMIT_WS_BEHIND_RING < s->replay.count)
        return false;
    int64_t since_ms = ws ? ws_blocked_since_ms(ws) : 0;
    return since_ms && clock_mono_ms() - since_ms > LIMIT_WS_BLOCKED_MS;
}

/* `redaction` is kept with the event: what a session may read was decided when it happened. */
void session_dispatch(struct session *s, struct encoded *e, enum redaction redaction, enum flush_class class)
{
    if (s->handed)
        return;
    if (s->conn && is_slow(s, e))
        conn_cut_slow(s->conn);
    if (s->conn && s->seq - s->sent_seq == s->replay.count && replay_is_full(&s->replay, e)) {
        s->released = s->seq;
        flush_session(s); /* the oldest, which is dropped now, is unsent */
    }
    s->seq++;
    replay_push(&s->replay, e, redaction);
    turn.dispatches++;
    turn.bytes += (int64_t)encoded_bytes(e);
    if (s->logged)
        session_log_add(s, s->seq, e, redaction);
    else if (s->conn)
        flush_add(s, class);
}

uint64_t session_sent(const struct session *s)
{
    return s->logged ? s->released : s->seq;
}

size_t session_unsent_bytes(const struct session *s)
{
    size_t bytes = s->gated_bytes + (s->conn && s->conn->ws ? ws_queued_bytes(s->conn->ws) : 0);

    /* what a full socket has left in the ring */
    for (uint64_t seq = s->sent_seq; s->conn && seq < session_sent(s); seq++) {
        enum redaction redaction;
        bytes += encoded_bytes(replay_at(&s->replay, s->replay.count - (unsigned)(s->seq - seq), &redaction));
    }
    return bytes;
}

void session_dispatch_own(struct session *s, enum event_type type, const struct buf *data)
{
    struct encoded *e = encoded_new(&s->g->log, type, buf_str(data));

    session_dispatch(s, e, REDACTION_NONE, FLUSH_FEW);
    if (s->conn)
        flush_session(s); /* what paces READY and chunks looks at the connection's queue */
    encoded_unref(e);
}

/* What was acknowledged is kept for a while more: a client may have to go back behind what it had received, to what it
 * had made durable (gateway/shard does). */
void session_acked(struct session *s, uint64_t seq)
{
    int64_t now_ms = clock_mono_ms();

    if (now_ms - s->acked_ms < LIMIT_REPLAY_ACKED_MS || seq > s->seq)
        return;
    if (s->seq - s->acked_seq < s->replay.count)
        replay_trim(&s->replay, (unsigned)(s->seq - s->acked_seq));
    s->acked_seq = seq;
    s->acked_ms = now_ms;
}

bool session_wants(const struct session *s, enum event_type type, bool in_guild)
{
    uint32_t intents = event_intents(type, in_guild);

    return !intents || intents & s->intents;
}

void session_metrics(void)
{
    if (!turn.dispatches)
        return;
    metric_add(&dispatches, turn.dispatches);
    metric_add(&dispatch_bytes, turn.bytes);
    turn.dispatches = turn.bytes = 0;
}

void session_tick(struct gateway *g, int64_t now_ms)
{
    LIST_FOREACH_SAFE(it, &g->detached)
    {
        struct session *s = LIST_ENTRY(it, struct session, item);
        if (now_ms - s->detached_ms < LIMIT_RESUME_WINDOW_MS)
            break;
        metric_add(&expired, 1);
        session_end(s);
    }
}
