/* RESUME: what a cut client missed is sent again with the numbers it had. Loop thread; nothing awaits.
 * Source: Discord API documentation, "Gateway: Resuming". */
#include "gateway/server/server.h"

#include "gateway/server/payloads.h"
#include "gateway/server/requests.h"
#include "platform/base/log.h"
#include "platform/base/metrics.h"

METRIC_DEFINE(resumed, METRIC_COUNTER, "guildhall_gateway_resumes_total", "Sessions resumed");
METRIC_DEFINE(refused, METRIC_COUNTER, "guildhall_gateway_resumes_refused_total", "RESUMEs answered with op 9");
METRIC_DEFINE(replayed, METRIC_COUNTER, "guildhall_gateway_replayed_total", "Events sent again by RESUME");

/* Is everything after `seq` still there, and not emptied? */
bool resume_possible(struct session *s, uint64_t seq, enum encoder_kind encoder)
{
    uint64_t missed = s->seq - seq;
    enum redaction redaction;

    if (seq == session_sent(s) || missed > s->replay.count)
        return seq == session_sent(s);
    /* the oldest are emptied first */
    struct encoded *oldest = replay_at(&s->replay, s->replay.count - (unsigned)missed, &redaction);
    return encoded_share(oldest, encoder, redaction) != NULL;
}

void resume_here(struct conn *c, struct session *s, uint64_t seq)
{
    BUF_AUTO struct buf resumed_data = {0};

    if (s->conn) /* its old socket is dead and nobody has noticed yet */
        conn_close(s->conn, GATEWAY_CLOSE_UNKNOWN_ERROR);
    /* RESUMED has a number of its own, after what was missed */
    payload_resumed(&resumed_data);
    session_attach(s, c);
    s->sent_seq = seq;
    metric_add(&replayed, (int64_t)(session_sent(s) - seq));
    session_dispatch_own(s, EVENT_RESUMED, &resumed_data);
    metric_add(&resumed, 1);
    LOG_DEBUG("resumed", "id=%s from=%llu to=%llu", s->id, (unsigned long long)seq, (unsigned long long)s->seq);
}

int resume_refuse(struct conn *c, struct session *s)
{
    metric_add(&refused, 1);
    if (s)
        session_end(s);
    conn_invalidate(c, false);
    return 0;
}

int resume_local(struct conn *c, struct session *s, uint64_t seq)
{
    if (seq > session_sent(s)) {
        session_end(s);
        return GATEWAY_CLOSE_INVALID_SEQ;
    }
    if (!resume_possible(s, seq, encoder_stream_form(&c->stream)))
        return resume_refuse(c, s);
    resume_here(c, s, seq);
    return 0;
}

int resume_begin(struct conn *c, const struct json_t *d)
{
    struct arena a = {0};
    struct resume_request r;
    uint64_t user_id;
    int close = resume_read(d, &a, &r);

    if (!close && (token_verify(c->g->options.tokens, r.token, &user_id) < 0))
        close = GATEWAY_CLOSE_AUTHENTICATION_FAILED;
    if (!close && c->g->draining)
        close = GATEWAY_CLOSE_UNKNOWN_ERROR;
    struct session *s = close ? NULL : session_find(c->g, r.session_id);
    if (!close && session_log_on(c->g) && (!s || s->recorded || s->handed))
        close = adopt_begin(c, &r, user_id);
    else if (!close && (!s || s->user_id != user_id || s->starting))
        close = resume_refuse(c, NULL);
    else if (!close)
        close = resume_local(c, s, r.seq);
    arena_done(&a);
    return close;
}
