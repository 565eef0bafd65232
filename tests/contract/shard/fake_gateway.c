/* The upstream of the shard's tests. Loop thread. A session is a list of dispatches; READY and RESUMED count as such.
 */
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

#define QUEUE_BYTES (64u << 20)
#define OLD_MAX     4

struct fake fake;

static struct http_listener *listener;
static struct ws_conn *current, *old[OLD_MAX];
static unsigned old_count;
static bool stopped;

/* The session: what each seq was. message 0: READY or RESUMED. */
static char session_id[16];
static unsigned session_number;
static struct {
    unsigned message;
} log_of[FAKE_EVENTS_MAX + 1];
static uint64_t last_seq;
static uint64_t seq_of[FAKE_EVENTS_MAX + 1];

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

static void message_send(struct ws_conn *c, uint64_t seq)
{
    BUF_AUTO struct buf b = {0};
    unsigned message = log_of[seq].message;

    if (!message)
        return; /* an old READY or RESUMED: nobody needs it again */
    dispatch_write(&b, seq, "MESSAGE_CREATE");
    jw_kid(&b, "id", message);
    jw_kid(&b, "channel_id", 1000 + message % 8);
    jw_kid(&b, "guild_id", (uint64_t)(1 + message % 8) << 22);
    jw_kcstr(&b, "content", "x");
    jw_obj_end(&b);
    jw_obj_end(&b);
    send_text(c, &b);
}

static void ready_send(void)
{
    BUF_AUTO struct buf b = {0};

    snprintf(session_id, sizeof session_id, "fake%u", ++session_number);
    last_seq = 1;
    log_of[1].message = 0;
    dispatch_write(&b, 1, "READY");
    jw_kcstr(&b, "session_id", session_id);
    jw_kcstr(&b, "resume_gateway_url", fake.resume_url);
    jw_karr(&b, "guilds");
    jw_arr_end(&b);
    jw_obj_end(&b);
    jw_obj_end(&b);
    send_text(current, &b);
    fake.live = true;
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

static void take_over(struct ws_conn *c)
{
    if (current && current != c) {
        if (fake.keep_old && old_count < OLD_MAX)
            old[old_count++] = current;
        else
            ws_close(current, 4000, "replaced");
    }
    current = c;
}

static void on_identify(struct ws_conn *c)
{
    take_over(c);
    fake.identifies++;
    fake.identified_ms = clock_mono_ms();
    ready_send();
}

static void on_resume(struct ws_conn *c, struct str d)
{
    uint64_t seq = 0;
    struct str id = STR("");

    assert_int_equal(json_u64(json_member(d, STR("seq")), &seq), 0);
    assert_int_equal(json_str_plain(json_member(d, STR("session_id")), &id), 0);
    fake.resumes++;
    fake.resume_seq = seq;
    if (fake.refuse_resume || !str_eq(id, str_c(session_id)) || seq > last_seq) {
        fake.refused_ms = clock_mono_ms();
        op_send(c, GATEWAY_OP_INVALID_SESSION, "false");
        return;
    }
    take_over(c);
    for (uint64_t s = seq + 1; s <= last_seq; s++)
        message_send(c, s);
    BUF_AUTO struct buf b = {0};
    log_of[++last_seq].message = 0;
    dispatch_write(&b, last_seq, "RESUMED");
    jw_obj_end(&b);
    jw_obj_end(&b);
    send_text(c, &b);
    fake.live = true;
}

static void on_message(struct ws_conn *c, struct str data, bool binary, void *arg)
{
    struct envelope e;

    (void)binary, (void)arg;
    assert_int_equal(envelope_scan(data, &e), 0);
    if (fake.sends < FAKE_SENDS_MAX)
        fake.sent_ms[fake.sends++] = clock_mono_ms();
    if (e.op == GATEWAY_OP_HEARTBEAT && !fake.no_ack)
        op_send(c, GATEWAY_OP_HEARTBEAT_ACK, "null");
    else if (e.op == GATEWAY_OP_IDENTIFY)
        on_identify(c);
    else if (e.op == GATEWAY_OP_RESUME)
        on_resume(c, e.data);
    else if (e.op == GATEWAY_OP_REQUEST_GUILD_MEMBERS && fake.commands < FAKE_COMMANDS_MAX)
        fake.nonces[fake.commands++] = (unsigned)json_member_id(e.data, STR("nonce"));
}

static void on_close(struct ws_conn *c, int code, void *arg)
{
    (void)code, (void)arg;
    for (unsigned i = 0; i < old_count; i++)
        if (old[i] == c)
            old[i--] = old[--old_count];
    if (c != current)
        return;
    current = NULL;
    fake.live = false;
}

static int on_upgrade(struct http_request *req, void *arg)
{
    struct ws_options o = {.cb = {.on_message = on_message, .on_close = on_close},
                           .payload_max = 1u << 20,
                           .payload_max_code = 1009,
                           .queue_bytes_max = QUEUE_BYTES,
                           .close_timeout_ms = 500};
    struct ws_conn *c = ws_accept(req, &o);
    char hello[64];

    (void)arg;
    if (!c)
        return 400;
    fake.connects++;
    snprintf(hello, sizeof hello, "{\"heartbeat_interval\":%d}", fake.interval_ms);
    op_send(c, GATEWAY_OP_HELLO, hello);
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
                 "{\"url\":\"%s\",\"shards\":1,\"session_start_limit\":{\"total\":1000,\"remaining\":1000,"
                 "\"reset_after\":0,\"max_concurrency\":1}}",
                 fake.gateway_url);
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

    fake = (struct fake){.interval_ms = 45000};
    last_seq = 0;
    memset(seq_of, 0, sizeof seq_of);
    assert_int_equal(http_listener_start(&o, &listener, &err), 0);
    snprintf(fake.gateway_url, sizeof fake.gateway_url, "ws://127.0.0.1:%d", fake_port());
    snprintf(fake.resume_url, sizeof fake.resume_url, "%s", fake.gateway_url);
}

static void on_stopped(void *arg)
{
    (void)arg;
    stopped = true;
}

void fake_stop(void)
{
    stopped = false;
    http_listener_stop(listener, 100, on_stopped, NULL);
    while (old_count)
        ws_abort(old[--old_count]);
    if (current)
        ws_abort(current);
    for (int i = 0; (!stopped || current) && i < 2000; i++)
        co_sleep(10);
}

void fake_emit(unsigned count)
{
    while (count-- > 0) {
        assert_true(last_seq < FAKE_EVENTS_MAX && fake.emitted < FAKE_EVENTS_MAX);
        log_of[++last_seq].message = ++fake.emitted;
        seq_of[fake.emitted] = last_seq;
        message_send(current, last_seq);
        for (unsigned i = 0; i < old_count; i++)
            message_send(old[i], last_seq);
    }
}

uint64_t fake_seq_of(unsigned message)
{
    return seq_of[message];
}

void fake_op(int op, const char *data)
{
    fake.live = false;
    op_send(current, op, data);
}

void fake_close(int code)
{
    fake.live = false;
    if (current)
        ws_close(current, code, "told to");
}

void fake_cut(void)
{
    fake.live = false;
    if (current)
        ws_abort(current);
}
