/* The upstream of the shard's tests. Loop thread. A session is a list of dispatches; READY and RESUMED count as such.
 * Each shard of each count has one session at a time. */
#include "tests/contract/shard/fake_gateway.h"

#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/io/co.h"
#include "platform/io/http_server.h"
#include "platform/io/ws.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/gateway.h"
#include "platform/protocol/json_text.h"
#include "tests/support/cm.h"

#include <stdio.h>

#define QUEUE_BYTES      (64u << 20)
#define OLD_MAX          4
#define SLOTS_MAX        8
#define FAKE_GUILD_ALONE 9
#define FAKE_GUILD_HELD  (UINT64_C(100) << 22)

struct fake fake;

static struct http_listener *listener;
static struct ws_conn *unheard; /* waits for HELLO */
static bool stopped;
static unsigned session_number;
static uint64_t seq_of[FAKE_EVENTS_MAX + 1];
static bool alone[FAKE_EVENTS_MAX + 1];
static int64_t emitted_ms[FAKE_EVENTS_MAX + 1];

/* A shard's session: what each seq was. message 0: READY or RESUMED. */
static struct slot {
    char id[16]; /* empty: none */
    unsigned shard, count;
    struct ws_conn *current, *old[OLD_MAX];
    unsigned old_count;
    bool live;
    unsigned log_of[FAKE_EVENTS_MAX + 1];
    uint64_t last_seq, sent_seq;
    int64_t live_ms;
    bool beaten, guild_held;
} slots[SLOTS_MAX];

static struct slot *slot_of(const struct ws_conn *c)
{
    for (int i = 0; i < SLOTS_MAX; i++)
        if (c && slots[i].current == c)
            return &slots[i];
    return NULL;
}

static struct slot *slot_for(unsigned shard, unsigned count)
{
    for (int i = 0; i < SLOTS_MAX; i++) {
        struct slot *s = &slots[i];

        if (s->count == 0)
            *s = (struct slot){.shard = shard, .count = count};
        if (s->shard == shard && s->count == count)
            return s;
    }
    fail_msg("too many shards");
    return NULL;
}

static void live_set(struct slot *s, bool live)
{
    s->live = live;
    s->live_ms = clock_mono_ms();
    fake.live = live;
}

/* --- sending --- */

static void send_text(struct ws_conn *c, const struct buf *b)
{
    if (c)
        (void)ws_send(c, false, buf_str(b), NULL);
}

static void dispatch_write(struct buf *b, uint64_t seq, const char *type)
{
    jw_obj(b);
    jw_ki64(b, "op", GATEWAY_OP_DISPATCH);
    jw_ku64(b, "s", seq);
    jw_kcstr(b, "t", type);
    jw_kobj(b, "d");
}

static unsigned guild_of(unsigned message)
{
    return alone[message] ? FAKE_GUILD_ALONE : 1 + message % 8;
}

static void message_send(const struct slot *s, struct ws_conn *c, uint64_t seq)
{
    BUF_AUTO struct buf b = {0};
    unsigned message = s->log_of[seq];

    if (!message)
        return; /* an old READY or RESUMED: nobody needs it again */
    dispatch_write(&b, seq, "MESSAGE_CREATE");
    jw_kid(&b, "id", message);
    jw_kid(&b, "channel_id", 1000 + message % 8);
    jw_kid(&b, "guild_id", (uint64_t)guild_of(message) << 22);
    jw_kcstr(&b, "content", "x");
    jw_obj_end(&b);
    jw_obj_end(&b);
    send_text(c, &b);
}

static void ready_send(struct slot *s)
{
    BUF_AUTO struct buf b = {0};

    snprintf(s->id, sizeof s->id, "fake%u", ++session_number);
    s->last_seq = s->sent_seq = 1;
    s->log_of[1] = 0;
    s->beaten = false;
    s->guild_held = fake.hold_guilds;
    dispatch_write(&b, 1, "READY");
    jw_kcstr(&b, "session_id", s->id);
    jw_kcstr(&b, "resume_gateway_url", fake.resume_url);
    jw_karr(&b, "guilds");
    if (s->guild_held) {
        jw_obj(&b);
        jw_kid(&b, "id", FAKE_GUILD_HELD);
        jw_kbool(&b, "unavailable", true);
        jw_obj_end(&b);
    }
    jw_arr_end(&b);
    jw_obj_end(&b);
    jw_obj_end(&b);
    send_text(s->current, &b);
    live_set(s, true);
}

static void op_send(struct ws_conn *c, int op, const char *data)
{
    BUF_AUTO struct buf b = {0};

    jw_obj(&b);
    jw_ki64(&b, "op", op);
    jw_kraw(&b, "d", str_c(data));
    jw_obj_end(&b);
    send_text(c, &b);
}

/* --- receiving --- */

static void take_over(struct slot *s, struct ws_conn *c)
{
    if (s->current && s->current != c) {
        if (fake.keep_old && s->old_count < OLD_MAX)
            s->old[s->old_count++] = s->current;
        else
            ws_close(s->current, 4000, "replaced");
    }
    s->current = c;
}

static int number_take(struct str value, void *arg)
{
    unsigned **at = arg;
    uint64_t n;

    assert_int_equal(json_u64(value, &n), 0);
    *(*at)++ = (unsigned)n;
    return 0;
}

static void on_identify(struct ws_conn *c, struct str d)
{
    unsigned shard[2] = {0, 1}, *at = shard;

    assert_int_equal(json_elements_scan(json_member(d, STR("shard")), number_take, &at), 0);
    struct slot *s = slot_for(shard[0], shard[1]);
    take_over(s, c);
    if (fake.identified_ms && fake.identifies)
        fake.identify_gap_ms = clock_mono_ms() - fake.identified_ms;
    fake.identifies++;
    fake.starts_remaining--;
    snprintf(fake.identify_presence, sizeof fake.identify_presence, "%.*s", STR_ARG(json_member(d, STR("presence"))));
    fake.identified_ms = clock_mono_ms();
    ready_send(s);
}

static struct slot *slot_named(struct str id)
{
    for (int i = 0; i < SLOTS_MAX; i++)
        if (slots[i].id[0] && str_eq(id, str_c(slots[i].id)))
            return &slots[i];
    return NULL;
}

static void on_resume(struct ws_conn *c, struct str d)
{
    uint64_t seq = 0;
    struct str id = STR("");

    assert_int_equal(json_u64(json_member(d, STR("seq")), &seq), 0);
    assert_int_equal(json_str_plain(json_member(d, STR("session_id")), &id), 0);
    struct slot *s = slot_named(id);
    fake.resumes++;
    fake.resume_seq = seq;
    if (fake.refuse_resume || !s || seq > s->last_seq) {
        fake.refused_ms = clock_mono_ms();
        op_send(c, GATEWAY_OP_INVALID_SESSION, "false");
        return;
    }
    take_over(s, c);
    for (uint64_t n = seq + 1; n <= s->last_seq; n++)
        message_send(s, c, n);
    BUF_AUTO struct buf b = {0};
    s->log_of[++s->last_seq] = 0;
    s->sent_seq = s->last_seq;
    dispatch_write(&b, s->last_seq, "RESUMED");
    jw_obj_end(&b);
    jw_obj_end(&b);
    send_text(c, &b);
    live_set(s, true);
}

static void slot_emit(struct slot *s, unsigned message);
static void slot_send(struct slot *s, unsigned behind);

/* An upstream that takes a second over it, with messages on their way before the answer. */
static void late_beat_main(void *arg)
{
    struct slot *s = arg;
    unsigned count = fake.at_beat;

    co_sleep(1000);
    for (unsigned i = 0; i < count; i++) {
        alone[++fake.emitted] = true;
        slot_emit(s, fake.emitted);
    }
    slot_send(s, 0);
    op_send(s->current, GATEWAY_OP_HEARTBEAT_ACK, "null");
}

static void on_beat(struct ws_conn *c)
{
    struct slot *s = slot_of(c);

    if (s && s->count == fake.lag_shards && fake.at_beat && !s->beaten) {
        s->beaten = true;
        assert_int_equal(co_spawn(late_beat_main, s), 0);
        return;
    }
    if (s)
        slot_send(s, 0);
    if (!fake.no_ack)
        op_send(c, GATEWAY_OP_HEARTBEAT_ACK, "null");
}

static void on_presence(struct str d)
{
    fake.presences++;
    snprintf(fake.presence, sizeof fake.presence, "%.*s", STR_ARG(d));
}

static void on_message(struct ws_conn *c, struct str data, bool binary, void *arg)
{
    struct envelope e;

    (void)binary, (void)arg;
    assert_int_equal(envelope_scan(data, &e), 0);
    if (fake.sends < FAKE_SENDS_MAX)
        fake.sent_ms[fake.sends++] = clock_mono_ms();
    if (e.op == GATEWAY_OP_HEARTBEAT)
        on_beat(c);
    else if (e.op == GATEWAY_OP_IDENTIFY)
        on_identify(c, e.data);
    else if (e.op == GATEWAY_OP_RESUME)
        on_resume(c, e.data);
    else if (e.op == GATEWAY_OP_PRESENCE_UPDATE)
        on_presence(e.data);
    else if (e.op == GATEWAY_OP_REQUEST_GUILD_MEMBERS && fake.commands < FAKE_COMMANDS_MAX)
        fake.nonces[fake.commands++] = (unsigned)json_member_id(e.data, STR("nonce"));
}

/* Since when another set than this one is live as a whole; INT64_MAX: there is none. */
static int64_t beside_since_ms(unsigned shard_count)
{
    int64_t since_ms = INT64_MAX;

    for (unsigned count = 1; count <= SLOTS_MAX; count++) {
        int64_t last_ms = 0;

        if (count == shard_count || fake_live(count) != count)
            continue;
        for (int i = 0; i < SLOTS_MAX; i++)
            if (slots[i].count == count && slots[i].live_ms > last_ms)
                last_ms = slots[i].live_ms;
        since_ms = last_ms < since_ms ? last_ms : since_ms;
    }
    return since_ms;
}

static void on_end(struct slot *s)
{
    int64_t since_ms = beside_since_ms(s->count), beside_ms = clock_mono_ms() - since_ms;

    s->id[0] = 0;
    fake.ended++;
    fake.ended_bare += since_ms == INT64_MAX;
    if (since_ms != INT64_MAX && (fake.beside_ms == 0 || beside_ms < fake.beside_ms))
        fake.beside_ms = beside_ms;
}

static void on_close(struct ws_conn *c, int code, void *arg)
{
    (void)arg;
    for (int n = 0; n < SLOTS_MAX; n++)
        for (unsigned i = 0; i < slots[n].old_count; i++)
            if (slots[n].old[i] == c)
                slots[n].old[i--] = slots[n].old[--slots[n].old_count];
    if (unheard == c)
        unheard = NULL;
    struct slot *s = slot_of(c);
    if (!s)
        return;
    s->current = NULL;
    if (code == 1000 || code == 1001)
        on_end(s);
    live_set(s, false);
}

static void hello(struct ws_conn *c)
{
    char text[64];

    snprintf(text, sizeof text, "{\"heartbeat_interval\":%d}", fake.interval_ms);
    op_send(c, GATEWAY_OP_HELLO, text);
}

static int on_upgrade(struct http_request *req, void *arg)
{
    struct ws_options o = {.cb = {.on_message = on_message, .on_close = on_close},
                           .payload_max = 1u << 20,
                           .payload_max_code = 1009,
                           .queue_bytes_max = QUEUE_BYTES,
                           .close_timeout_ms = 500};
    struct ws_conn *c = ws_accept(req, &o);

    (void)arg;
    if (!c)
        return 400;
    fake.connects++;
    if (fake.mute)
        unheard = c;
    else
        hello(c);
    return 0;
}

static void on_request(struct http_request *req, struct http_response *res, void *arg)
{
    (void)arg;
    res->status = 200;
    if (str_eq(req->path, STR("/api/v10/applications/@me")))
        buf_adds(&res->body, "{\"id\":\"4242\"}");
    else if (str_eq(req->path, STR("/api/v10/gateway/bot")))
        buf_addf(&res->body,
                 "{\"url\":\"%s\",\"shards\":%u,\"session_start_limit\":{\"total\":%d,\"remaining\":%d,"
                 "\"reset_after\":%d,\"max_concurrency\":%d}}",
                 fake.gateway_url, fake.shards, fake.starts_total, fake.starts_remaining, fake.starts_reset_ms,
                 fake.concurrency);
    else
        res->status = 404;
}

/* --- the test's side --- */

int fake_port(void)
{
    return http_listener_port(listener);
}

void fake_start(void)
{
    BUF_AUTO struct buf err = {0};
    struct http_listener_options o = {.listen = "127.0.0.1:0", .handler = on_request, .upgrade = on_upgrade};

    fake = (struct fake){
        .interval_ms = 45000, .shards = 1, .starts_total = 1000, .starts_remaining = 1000, .concurrency = 1};
    memset(slots, 0, sizeof slots);
    unheard = NULL;
    session_number = 0;
    memset(seq_of, 0, sizeof seq_of);
    memset(alone, 0, sizeof alone);
    assert_int_equal(http_listener_start(&o, &listener, &err), 0);
    snprintf(fake.gateway_url, sizeof fake.gateway_url, "ws://127.0.0.1:%d", fake_port());
    snprintf(fake.resume_url, sizeof fake.resume_url, "%s", fake.gateway_url);
}

static void on_stopped(void *arg)
{
    (void)arg;
    stopped = true;
}

static bool any_current(void)
{
    for (int i = 0; i < SLOTS_MAX; i++)
        if (slots[i].current)
            return true;
    return false;
}

void fake_stop(void)
{
    stopped = false;
    http_listener_stop(listener, 100, on_stopped, NULL);
    for (int n = 0; n < SLOTS_MAX; n++) {
        while (slots[n].old_count)
            ws_abort(slots[n].old[--slots[n].old_count]);
        if (slots[n].current)
            ws_abort(slots[n].current);
    }
    for (int i = 0; (!stopped || any_current()) && i < 2000; i++)
        co_sleep(10);
}

static void slot_send(struct slot *s, unsigned behind)
{
    while (s->sent_seq + behind < s->last_seq) {
        int64_t held_ms = clock_mono_ms() - emitted_ms[s->log_of[++s->sent_seq]];
        if (s->log_of[s->sent_seq] && held_ms > fake.lagged_most_ms)
            fake.lagged_most_ms = held_ms;
        message_send(s, s->current, s->sent_seq);
        for (unsigned i = 0; i < s->old_count; i++)
            message_send(s, s->old[i], s->sent_seq);
    }
}

static void slot_emit(struct slot *s, unsigned message)
{
    assert_true(s->last_seq < FAKE_EVENTS_MAX);
    s->log_of[++s->last_seq] = message;
    seq_of[message] = s->last_seq;
    emitted_ms[message] = clock_mono_ms();
    slot_send(s, s->count == fake.lag_shards ? fake.lag : 0);
}

void fake_emit_alone(unsigned shard_count, unsigned count)
{
    while (count-- > 0) {
        alone[++fake.emitted] = true;
        for (int i = 0; i < SLOTS_MAX; i++)
            if (slots[i].id[0] && slots[i].count == shard_count && FAKE_GUILD_ALONE % shard_count == slots[i].shard)
                slot_emit(&slots[i], fake.emitted);
    }
}

void fake_guilds_come(void)
{
    fake.hold_guilds = false;
    for (int i = 0; i < SLOTS_MAX; i++) {
        struct slot *s = &slots[i];
        BUF_AUTO struct buf b = {0};

        if (!s->id[0] || !s->guild_held)
            continue;
        s->guild_held = false;
        s->log_of[++s->last_seq] = 0;
        s->sent_seq = s->last_seq;
        dispatch_write(&b, s->last_seq, "GUILD_CREATE");
        jw_kid(&b, "id", FAKE_GUILD_HELD);
        jw_obj_end(&b);
        jw_obj_end(&b);
        send_text(s->current, &b);
    }
}

void fake_emit(unsigned count)
{
    while (count-- > 0) {
        assert_true(fake.emitted < FAKE_EVENTS_MAX);
        unsigned message = ++fake.emitted;
        for (int i = 0; i < SLOTS_MAX; i++)
            if (slots[i].id[0] && (1 + message % 8) % slots[i].count == slots[i].shard)
                slot_emit(&slots[i], message);
    }
}

static void fleeting(const char *type)
{
    unsigned guild = 1 + (fake.emitted + 1) % 8;

    for (int i = 0; i < SLOTS_MAX; i++) {
        struct slot *s = &slots[i];
        BUF_AUTO struct buf b = {0};

        if (!s->id[0] || guild % s->count != s->shard)
            continue;
        s->log_of[++s->last_seq] = 0;
        s->sent_seq = s->last_seq;
        dispatch_write(&b, s->last_seq, type);
        jw_kid(&b, "guild_id", (uint64_t)guild << 22);
        jw_obj_end(&b);
        jw_obj_end(&b);
        send_text(s->current, &b);
    }
}

void fake_fleeting(void)
{
    fleeting("TYPING_START");
    fleeting("PRESENCE_UPDATE");
}

unsigned fake_live(unsigned shard_count)
{
    unsigned live = 0;

    for (int i = 0; i < SLOTS_MAX; i++)
        live += slots[i].count == shard_count && slots[i].live;
    return live;
}

uint64_t fake_last_seq(unsigned shard, unsigned shard_count)
{
    return slot_for(shard, shard_count)->last_seq;
}

uint64_t fake_seq_of(unsigned message)
{
    return seq_of[message];
}

void fake_op(int op, const char *data)
{
    live_set(&slots[0], false);
    op_send(slots[0].current, op, data);
}

void fake_close(int code)
{
    live_set(&slots[0], false);
    if (slots[0].current)
        ws_close(slots[0].current, code, "told to");
}

void fake_cut(void)
{
    live_set(&slots[0], false);
    if (slots[0].current)
        ws_abort(slots[0].current);
}

void fake_speak(void)
{
    fake.mute = false;
    if (unheard)
        hello(unheard);
    unheard = NULL;
}
