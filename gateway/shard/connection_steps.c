/* A shard's connection: the steps, in their usual order:
 *   loading -> [waiting ->] connecting -> greeting -> [permit ->] starting -> live -> waiting -> ...
 * `down` is the end: the upstream refused for good. Loop thread. */
#include "gateway/shard/connection_private.h"

#include "gateway/shard/commands.h"
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/metrics.h"
#include <stdio.h>
#include <stdlib.h>

#define CONNECT_MS        10000
#define GREETING_MS       20000
#define STARTING_MS       60000
#define BACKOFF_MAX_MS    10000
#define IDENTIFY_WINDOW   5100 /* the documented 5 s and some */
#define ALARM_EVERY_MS    60000
#define BLOCKED_AGAIN_MS  8000 /* the upstream may tell better news */
#define SEND_QUEUE_BYTES  (64u << 10)
#define INVALID_WAIT_MIN  1000
#define INVALID_WAIT_SPAN 4000

METRIC_DEFINE(metric_live, METRIC_GAUGE, "guildhall_shard_live", "Shards with a session that runs");
METRIC_DEFINE_BY(metric_closed, METRIC_COUNTER, "guildhall_shard_closes_total", "code", "Connections ended, by code");

METRIC_DEFINE(metric_starts, METRIC_GAUGE, "guildhall_shard_starts_remaining", "IDENTIFYs left of the upstream's day");
METRIC_DEFINE(metric_blocked, METRIC_GAUGE, "guildhall_shard_starts_blocked",
              "Shards that may not IDENTIFY, because only the day's reserve is left");

static int blocked_count; /* connections of this process */

static const char *const step_names[STEP_COUNT] = {"loading", "waiting",  "connecting", "greeting",
                                                   "permit",  "starting", "live",       "down"};

enum close_action { CLOSE_RESUME, CLOSE_IDENTIFY, CLOSE_FATAL };

void connection_live_add(int n)
{
    metric_add(&metric_live, n);
}

static void set_live(struct connection *c, bool live)
{
    if (live != (c->step == LIVE))
        connection_live_add(live ? 1 : -1);
}

/* --- the socket's events --- */

bool connection_is_over(const struct connection *c)
{
    return c->dropped || c->leaving || c->step == WAITING || c->step == DOWN;
}

static void on_message(struct ws_client *ws, struct str data, bool binary, void *arg)
{
    struct connection *c = arg;
    struct str json = data;

    if (ws != c->ws || connection_is_over(c))
        return;
    if (binary) {
        int r = decompress_feed(c->decompress, data, &json);
        if (r < 0) {
            LOG_WARN("stream_invalid", "shard=%u error=%d", c->o.key.shard, r);
            connection_reconnect(c, false);
        }
        if (r <= 0)
            return;
    }
    connection_payload(c, json);
}

static void on_open(struct ws_client *ws, void *arg)
{
    struct connection *c = arg;

    if (ws == c->ws && !connection_is_over(c))
        connection_enter(c, GREETING);
}

static enum close_action action_of(int code)
{
    static const struct {
        int code;
        enum close_action action;
    } table[] = {
#define CLOSE(code, action) {code, CLOSE_##action},
#include "gateway/shard/close.def"
#undef CLOSE
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].code == code)
            return table[i].action;
    return CLOSE_RESUME;
}

static void on_close(struct ws_client *ws, int code, const char *reason, void *arg)
{
    struct connection *c = arg;
    char label[32];

    CHECK(ws == c->ws);
    c->ws = NULL;
    loop_timer_stop(c->beat_timer);
    snprintf(label, sizeof(label), "code=\"%d\"", code);
    metric_add(metric_with(&metric_closed, label), 1);
    if (c->dropped || c->leaving) {
        connection_end_check(c);
        return;
    }
    if (c->step == WAITING) { /* we closed it: go on */
        connection_enter(c, WAITING);
        return;
    }
    enum close_action action = action_of(code);
    LOG_WARN("shard_closed", "shard=%u step=%s code=%d reason=\"%s\"", c->o.key.shard, step_names[c->step], code,
             reason ? reason : "");
    if (action == CLOSE_IDENTIFY)
        c->session.id[0] = 0;
    if (action == CLOSE_FATAL) {
        LOG_ERROR("shard_refused",
                  "shard=%u code=%d reason=\"%s\" hint=\"the upstream will refuse again: check token, "
                  "intents and shard count\"",
                  c->o.key.shard, code, reason ? reason : "");
        connection_enter(c, DOWN);
        return;
    }
    c->skip_wait = c->step == LIVE; /* the first time at once */
    connection_enter(c, WAITING);
}

/* --- steps --- */

/* Closes what is open, keeping the session; on_close goes on. */
void connection_reconnect(struct connection *c, bool at_once)
{
    if (connection_is_over(c))
        return;
    set_live(c, false);
    c->skip_wait = at_once;
    c->step = WAITING;
    loop_timer_stop(c->beat_timer);
    loop_timer_stop(c->step_timer);
    if (c->ws) {
        ws_client_close(c->ws, CLOSE_KEEP, "reconnecting");
        loop_timer_start(c->step_timer, GOODBYE_MS, 0);
    } else {
        connection_enter(c, WAITING);
    }
}

/* Half of it is left to chance, so that shards which lost the same node do not come back in step. The bound is short:
 * a dead node's address is given out for as long as its lease lasts, and the shard is deaf meanwhile. */
static int64_t backoff_ms(const struct connection *c)
{
    int64_t most = BACKOFF_FIRST_MS << (c->attempts < 6 ? c->attempts : 6);

    if (most > BACKOFF_MAX_MS)
        most = BACKOFF_MAX_MS;
    int64_t wait = most / 2 + (int64_t)(drand48() * (double)most / 2);
    if (!c->session.id[0] && wait < INVALID_WAIT_MIN)
        wait = INVALID_WAIT_MIN + (int64_t)(drand48() * INVALID_WAIT_SPAN); /* documented after an invalid session */
    return wait;
}

static void enter_waiting(struct connection *c)
{
    if (c->attempts > 0)
        c->o.stale(c->o.arg); /* perhaps the gateway has moved */
    loop_timer_start(c->step_timer, c->skip_wait ? 0 : backoff_ms(c), 0);
    c->attempts++;
    c->skip_wait = false;
}

/* The session's own address first; where that does not answer, the gateway's. */
static void url_write(const struct connection *c, struct buf *b)
{
    bool own = c->session.id[0] && c->session.url[0] && c->attempts % 2 == 1;
    const char *url = own ? c->session.url : c->o.upstream->gateway_url;
    const char *host = strstr(url, "://");

    buf_adds(b, url);
    if (!host || !strchr(host + 3, '/'))
        buf_addc(b, '/');
    buf_adds(b, "?v=10&encoding=json");
    if (transport_name(c->o.transport))
        buf_addf(b, "&compress=%s", transport_name(c->o.transport));
}

static void enter_connecting(struct connection *c)
{
    struct buf BUF_AUTO url = BUF_INIT(1024), err = BUF_INIT(512);

    url_write(c, &url);
    decompress_free(c->decompress);
    c->decompress = decompress_new(c->o.transport, LIMIT_WS_CLIENT_PAYLOAD_BYTES);
    struct ws_client_options o = {
        .url = url.data,
        .ca_file = c->o.ca_file,
        .cb = {on_open, on_message, on_close},
        .arg = c,
        .payload_max = LIMIT_WS_CLIENT_PAYLOAD_BYTES,
        .queue_bytes_max = SEND_QUEUE_BYTES,
        .connect_timeout_ms = CONNECT_MS,
    };
    c->paused = false;
    c->budget = (struct budget){0};
    c->beats = 0;
    c->asked_last = false;
    c->ws = ws_client_connect(&o, &err);
    if (!c->ws) {
        LOG_ERROR("gateway_url_invalid", "shard=%u error=\"%s\"", c->o.key.shard, err.data);
        connection_enter(c, WAITING);
    }
}

void connection_starts_blocked(struct connection *c, bool blocked)
{
    if (c->starts_blocked == blocked)
        return;
    c->starts_blocked = blocked;
    metric_add(&metric_blocked, blocked ? 1 : -1);
    blocked_count += blocked ? 1 : -1;
}

unsigned connections_starts_blocked(void)
{
    return (unsigned)blocked_count;
}

/* The alarm: once a minute for a process. */
static void starts_alarm(const struct connection *c, const struct permit_answer *a)
{
    static int64_t told_ms;
    int64_t now = clock_mono_ms();

    if (told_ms && now - told_ms < ALARM_EVERY_MS)
        return;
    told_ms = now;
    LOG_ERROR(
        "session_starts_reserved",
        "shard=%u remaining=%d reserve=%d reset_after_ms=%lld hint=\"no IDENTIFY until then; RESUME goes on: find out "
        "why sessions end, or lower start_reserve\"",
        c->o.key.shard, a->remaining, a->reserve, (long long)a->wait_ms);
}

static void on_permit(const struct permit_answer *a, void *arg)
{
    struct connection *c = arg;

    c->calls--;
    if (c->dropped || c->leaving) {
        connection_end_check(c);
        return;
    }
    if (c->step != PERMIT)
        return; /* closed meanwhile; the permit is wasted */
    if (a->remaining >= 0)
        metric_set(&metric_starts, a->remaining);
    connection_starts_blocked(c, a->what == PERMIT_RESERVED);
    if (a->what == PERMIT_GRANTED) {
        connection_enter(c, STARTING);
        connection_identify(c);
    } else if (a->what == PERMIT_RESERVED) {
        starts_alarm(c, a);
        c->o.stale(c->o.arg);
        loop_timer_start(c->step_timer, a->wait_ms < BLOCKED_AGAIN_MS ? a->wait_ms : BLOCKED_AGAIN_MS, 0);
    } else {
        loop_timer_start(c->step_timer, a->wait_ms, 0);
    }
}

/* Asks for the permit to IDENTIFY. */
static void enter_permit(struct connection *c)
{
    struct upstream *u = c->o.upstream;

    c->calls++;
    identify_permit(&c->o.key, c->o.key.shard % u->max_concurrency, IDENTIFY_WINDOW, c->o.start_reserve, on_permit, c);
}

static void on_loaded(int error, const struct shard_session *s, void *arg)
{
    struct connection *c = arg;

    c->calls--;
    if (c->dropped || c->leaving) {
        connection_end_check(c);
        return;
    }
    if (error) {
        loop_timer_start(c->step_timer, BACKOFF_FIRST_MS, 0);
        return;
    }
    c->session = *s;
    c->seq = s->seq;
    if (s->id[0]) {
        pipeline_session(c->pipeline, str_c(s->id), c->o.epoch, s->generation, s->seq);
        connection_store(c); /* under our epoch: what the former holder still writes is refused from here on */
    }
    c->attempts = 1;
    connection_enter(c, CONNECTING);
}

void connection_loading(struct connection *c)
{
    c->calls++;
    session_load(&c->o.key, on_loaded, c);
}

void connection_on_step(void *arg)
{
    struct connection *c = arg;

    switch (c->step) {
    case LOADING:
        connection_presence_load(c);
        break;
    case WAITING:
        if (c->ws)
            ws_client_abort(c->ws); /* no answer to our goodbye; on_close goes on */
        else if (pipeline_is_paused(c->pipeline))
            loop_timer_start(c->step_timer, BACKOFF_FIRST_MS, 0);
        else
            connection_enter(c, CONNECTING);
        break;
    case PERMIT:
        enter_permit(c);
        break;
    case GREETING:
    case STARTING:
        LOG_WARN("shard_silent", "shard=%u step=%s", c->o.key.shard, step_names[c->step]);
        connection_reconnect(c, false);
        break;
    case CONNECTING:
    case LIVE:
    case DOWN:
    case STEP_COUNT:
        break;
    }
}

void connection_enter(struct connection *c, enum step step)
{
    LOG_DEBUG("shard_step", "shard=%u from=%s to=%s attempts=%u", c->o.key.shard, step_names[c->step], step_names[step],
              c->attempts);
    set_live(c, step == LIVE);
    if (step != PERMIT)
        connection_starts_blocked(c, false);
    c->step = step;
    loop_timer_stop(c->step_timer);
    c->spent = c->retired && !c->session.id[0] && (step == CONNECTING || step == PERMIT);
    if (c->spent)
        return;
    switch (step) {
    case LOADING:
        connection_presence_load(c);
        break;
    case WAITING:
        enter_waiting(c);
        break;
    case CONNECTING:
        enter_connecting(c);
        break;
    case GREETING:
        loop_timer_start(c->step_timer, GREETING_MS, 0);
        break;
    case PERMIT:
        enter_permit(c);
        break;
    case STARTING:
        loop_timer_start(c->step_timer, STARTING_MS, 0);
        break;
    case LIVE:
        c->attempts = 0;
        command_queue_kick(c->commands);
        break;
    case DOWN:
    case STEP_COUNT:
        break;
    }
}

const char *connection_step(const struct connection *c)
{
    return step_names[c->step];
}
