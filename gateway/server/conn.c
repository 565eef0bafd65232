/* Connections: what a client sends goes through the step table; silence, floods and what cannot be read end it with the
 * documented code. Loop thread. Limits: LIMIT_WS_*. */
#include "gateway/server/server.h"

#include "gateway/server/payloads.h"
#include "gateway/server/presence_read.h"
#include "gateway/server/requests.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/json_read.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#define SENDS_WINDOW_MS  60000
#define CLOSE_TIMEOUT_MS 3000

METRIC_DEFINE(conns_gauge, METRIC_GAUGE, "guildhall_gateway_connections", "Open WebSocket connections");
METRIC_DEFINE(slow, METRIC_COUNTER, "guildhall_gateway_slow_consumers_total",
              "Connections closed with 4000 because they took too little");
METRIC_DEFINE(received, METRIC_COUNTER, "guildhall_gateway_received_total", "Payloads from clients");
METRIC_DEFINE_BY(closes, METRIC_COUNTER, "guildhall_gateway_closes_total", "code", "Connections closed, by code");

static void count_close(int code)
{
    char label[32];

    /* what strangers send as a code must not make series without end */
    snprintf(label, sizeof label, "code=\"%d\"",
             code >= 1000 && code <= 1015   ? code
             : code >= 4000 && code <= 4014 ? code
                                            : 0);
    metric_add(metric_with(&closes, label), 1);
}

/* --- sending ---------------------------------------------------------------------------------------------------------
 */
void conn_cut_slow(struct conn *c)
{
    struct session *s = c->session;

    if (!c->ws || c->step == CONN_CLOSING)
        return;
    LOG_INFO("slow consumer cut", "session=%s user=%llu peer=%s queued=%zu unsent_events=%llu", s ? s->id : "-",
             s ? (unsigned long long)s->user_id : 0, ws_peer(c->ws), ws_queued_bytes(c->ws),
             s ? (unsigned long long)(session_sent(s) - s->sent_seq) : 0);
    metric_add(&slow, 1);
    c->step = CONN_CLOSING;
    count_close(GATEWAY_CLOSE_UNKNOWN_ERROR);
    if (s)
        session_detach(s);
    ws_cut(c->ws, GATEWAY_CLOSE_UNKNOWN_ERROR, "Slow consumer.");
}

static int sent(struct conn *c, int result)
{
    if (result == -ENOBUFS)
        conn_cut_slow(c);
    return result;
}

static void on_drain(struct ws_conn *ws, void *arg)
{
    struct conn *c = arg;

    (void)ws;
    if (c->session && c->session->sent_seq < session_sent(c->session))
        flush_add(c->session, FLUSH_FEW);
}

void conn_send(struct conn *c, const struct buf *json)
{
    if (c->ws && c->step != CONN_CLOSING && !buf_failed(json))
        sent(c, encoder_send_small(&c->g->log.encoders, &c->stream, c->ws, buf_str(json)));
}

void conn_send_op(struct conn *c, int op)
{
    BUF_AUTO struct buf json = {0};

    payload_op(&json, op);
    conn_send(c, &json);
}

void conn_invalidate(struct conn *c, bool resumable)
{
    BUF_AUTO struct buf json = {0};

    payload_invalid_session(&json, resumable);
    conn_send(c, &json);
    if (c->step != CONN_CLOSING)
        c->step = CONN_HELLO;
}

bool conn_dispatch(struct conn *c, uint64_t seq, struct encoded *e, enum redaction redaction)
{
    struct ws_shared *shared = encoded_share(e, encoder_stream_form(&c->stream), redaction);

    if (!c->ws || c->step == CONN_CLOSING)
        return true;
    if (!shared) { /* too large, or emptied meanwhile */
        LOG_ERROR("event not encoded", "type=%s bytes=%zu", event_name(encoded_type(e)), encoded_bytes(e));
        return false;
    }
    return sent(c, encoder_send(&c->g->log.encoders, &c->stream, c->ws, seq, shared)) != -EMSGSIZE;
}

void conn_close(struct conn *c, int code)
{
    if (!c->ws || c->step == CONN_CLOSING)
        return;
    if (c->session)
        flush_session(c->session);
    c->step = CONN_CLOSING;
    count_close(code);
    if (c->session)
        session_detach(c->session);
    ws_close(c->ws, code, gateway_close_reason(code));
}

/* --- life ------------------------------------------------------------------------------------------------------------
 */
struct conn *conn_ref(struct conn *c)
{
    c->refs++;
    return c;
}

void conn_unref(struct conn *c)
{
    if (--c->refs == 0)
        mem_free(c);
}

/* What the peer closes with 1000 or 1001 is over; anything else may RESUME. Source: "Gateway: Initiating a Disconnect".
 */
static void on_close(struct ws_conn *ws, int code, void *arg)
{
    struct conn *c = arg;

    (void)ws;
    c->ws = NULL;
    if (c->step != CONN_CLOSING)
        count_close(code);
    c->step = CONN_CLOSING;
    if (c->session && (code == 1000 || code == 1001))
        session_end(c->session);
    else if (c->session)
        session_detach(c->session);
    encoder_stream_done(&c->g->log.encoders, &c->stream);
    list_remove(&c->item);
    c->g->conn_count--;
    metric_add(&conns_gauge, -1);
    conn_unref(c);
}

static void heard(struct conn *c, int64_t now_ms)
{
    c->heard_ms = now_ms;
    list_remove(&c->item);
    list_append(&c->g->conns, &c->item);
}

/* --- steps -----------------------------------------------------------------------------------------------------------
 */
/* A node that missed the broadcast of a revocation learns of it from the table within a minute, its sessions here. */
static bool still_valid(const struct session *s)
{
    uint64_t user_id;

    return token_verify(s->g->options.tokens, str_c(s->token), &user_id) == 0;
}

static int step_heartbeat(struct conn *c, const struct envelope *e, const json_t *d)
{
    int64_t seq = -1;

    (void)d;
    if (e->data.p && !str_eq(e->data, STR("null")) && str_to_i64(e->data, &seq) < 0)
        return GATEWAY_CLOSE_DECODE_ERROR;
    heard(c, clock_mono_ms());
    if (c->session && !still_valid(c->session)) {
        session_end(c->session);
        return GATEWAY_CLOSE_AUTHENTICATION_FAILED;
    }
    if (c->session && seq >= 0)
        session_acked(c->session, (uint64_t)seq);
    gateway_control_ack(c);
    return 0;
}

static int step_identify(struct conn *c, const struct envelope *e, const json_t *d)
{
    (void)e;
    return identify_begin(c, d);
}

static int step_resume(struct conn *c, const struct envelope *e, const json_t *d)
{
    (void)e;
    return resume_begin(c, d);
}

static int step_members(struct conn *c, const struct envelope *e, const json_t *d)
{
    (void)e;
    return members_begin(c, d);
}

/* Before READY it is checked only: IDENTIFY said what counts. */
static int step_presence(struct conn *c, const struct envelope *e, const json_t *d)
{
    struct presence_source from = {0};
    enum presence_status status;
    BUF_AUTO struct buf activities = {0};

    (void)e;
    return c->session ? presence_update(c->session, d) : presence_read(d, &from, &status, &activities);
}

static int step_voice_state(struct conn *c, const struct envelope *e, const json_t *d)
{
    struct voice_state_request r;

    (void)e;
    return c->session ? voice_update(c->session, d) : voice_state_read(d, &r);
}

static int step_sounds(struct conn *c, const struct envelope *e, const json_t *d)
{
    (void)e;
    return sounds_begin(c, d);
}

static int step_channel_info(struct conn *c, const struct envelope *e, const json_t *d)
{
    (void)e;
    return channel_info_begin(c, d);
}

#define ANY (CONN_HELLO | CONN_IDENTIFYING | CONN_LIVE)

/* What may come in which step; `otherwise` is what it is closed with in another. */
static const struct step {
    enum gateway_opcode op;
    unsigned steps;
    int otherwise;
    int (*run)(struct conn *c, const struct envelope *e, const json_t *d);
} steps[] = {
    {GATEWAY_OP_HEARTBEAT, ANY, 0, step_heartbeat},
    {GATEWAY_OP_IDENTIFY, CONN_HELLO, GATEWAY_CLOSE_ALREADY_AUTHENTICATED, step_identify},
    {GATEWAY_OP_RESUME, CONN_HELLO, GATEWAY_CLOSE_ALREADY_AUTHENTICATED, step_resume},
    {GATEWAY_OP_PRESENCE_UPDATE, CONN_IDENTIFYING | CONN_LIVE, GATEWAY_CLOSE_NOT_AUTHENTICATED, step_presence},
    {GATEWAY_OP_VOICE_STATE_UPDATE, CONN_IDENTIFYING | CONN_LIVE, GATEWAY_CLOSE_NOT_AUTHENTICATED, step_voice_state},
    {GATEWAY_OP_REQUEST_GUILD_MEMBERS, CONN_LIVE, GATEWAY_CLOSE_NOT_AUTHENTICATED, step_members},
    {GATEWAY_OP_REQUEST_SOUNDBOARD_SOUNDS, CONN_LIVE, GATEWAY_CLOSE_NOT_AUTHENTICATED, step_sounds},
    {GATEWAY_OP_REQUEST_CHANNEL_INFO, CONN_LIVE, GATEWAY_CLOSE_NOT_AUTHENTICATED, step_channel_info},
};

static const struct step *step_of(int64_t op)
{
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (steps[i].op == op)
            return &steps[i];
    return NULL;
}

static bool too_many(struct conn *c, int64_t now_ms)
{
    if (now_ms - c->window_ms >= SENDS_WINDOW_MS) {
        c->window_ms = now_ms;
        c->sends = 0;
    }
    return ++c->sends > LIMIT_WS_SENDS_PER_MINUTE && c->g->options.limits;
}

/* d as a tree, NULL where it is a bare value or absent. False: not JSON. */
static bool data_read(const struct envelope *e, json_t **ret)
{
    *ret = NULL;
    if (!e->data.n || (e->data.p[0] != '{' && e->data.p[0] != '['))
        return true;
    return json_read(e->data, ret, NULL) == 0;
}

static int payload_take(struct conn *c, struct str data)
{
    BUF_AUTO struct buf json = BUF_INIT(LIMIT_WS_PAYLOAD_JSON_BYTES);
    struct str text;
    struct envelope e;
    json_t *d;

    if (encoder_read(c->stream.kind, data, &json, &text) < 0 || envelope_scan(text, &e) < 0 || e.op < 0)
        return GATEWAY_CLOSE_DECODE_ERROR;
    const struct step *s = step_of(e.op);
    if (!s)
        return GATEWAY_CLOSE_UNKNOWN_OPCODE;
    if (!(s->steps & c->step))
        return s->otherwise;
    if (!data_read(&e, &d))
        return GATEWAY_CLOSE_DECODE_ERROR;
    int close = s->run(c, &e, d);
    json_decref(d);
    return close;
}

static void on_message(struct ws_conn *ws, struct str data, bool binary, void *arg)
{
    struct conn *c = arg;

    (void)ws, (void)binary;
    if (c->step == CONN_CLOSING)
        return;
    metric_add(&received, 1);
    int close = too_many(c, clock_mono_ms()) ? GATEWAY_CLOSE_RATE_LIMITED : payload_take(c, data);
    if (close)
        conn_close(c, close);
}

int conn_accept(struct gateway *g, struct http_request *req, enum encoder_kind encoder, int version)
{
    struct conn *c = MEM_NEW(struct conn);
    struct ws_options o = {.cb = {.on_message = on_message, .on_close = on_close, .on_drain = on_drain},
                           .arg = c,
                           .payload_max = LIMIT_WS_PAYLOAD_BYTES,
                           .payload_max_code = GATEWAY_CLOSE_DECODE_ERROR,
                           .queue_bytes_max = LIMIT_WS_QUEUE_BYTES,
                           .close_timeout_ms = CLOSE_TIMEOUT_MS};

    *c = (struct conn){.g = g, .refs = 1, .step = CONN_HELLO, .version = version};
    c->ws = ws_accept(req, &o);
    if (!c->ws) {
        mem_free(c);
        return 400;
    }
    encoder_stream_init(&g->log.encoders, &c->stream, encoder, g->options.compression_contexts);
    list_init(&c->item);
    heard(c, clock_mono_ms());
    g->conn_count++;
    metric_add(&conns_gauge, 1);
    if (version == 0) {
        conn_close(c, GATEWAY_CLOSE_INVALID_API_VERSION);
        return 0;
    }
    BUF_AUTO struct buf hello = {0};
    payload_hello(&hello, g->options.heartbeat_interval_ms);
    conn_send(c, &hello);
    return 0;
}

/* Half an interval of grace for the network. A silent client is told that its session timed out; in truth it is kept
 * like that of any cut socket, because a stalled network is no fault of the client. */
void conn_tick(struct gateway *g, int64_t now_ms)
{
    int64_t silence_ms = (int64_t)g->options.heartbeat_interval_ms * 3 / 2;

    LIST_FOREACH_SAFE(it, &g->conns)
    {
        struct conn *c = LIST_ENTRY(it, struct conn, item);
        if (now_ms - c->heard_ms < silence_ms)
            break;
        heard(c, now_ms); /* closing takes a while: not again in the next turn */
        conn_close(c, GATEWAY_CLOSE_SESSION_TIMED_OUT);
    }
}
