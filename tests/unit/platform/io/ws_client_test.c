/* ws_client.c against our own server, plain and TLS, and against servers written by hand that misbehave. libwebsockets
 * stays bound to the loop it first saw, so all tests share one. */
#include "tests/support/cert.h"
#include "tests/support/cm.h"
#include "tests/support/ws_raw.h"

#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/io/co.h"
#include "platform/io/http_server.h"
#include "platform/io/loop.h"
#include "platform/io/ws.h"
#include "platform/io/ws_client.h"
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define FLOOD_COUNT 256
#define FLOOD_BYTES 65536

/* --- a test's body on a coroutine of the shared loop --- */

static void body_main(void *arg)
{
    (*(void (**)(void))arg)();
    loop_stop();
}

static void body_run(void **state)
{
    void (*body)(void) = (void (*)(void))(uintptr_t)*state;

    assert_int_equal(co_spawn(body_main, &body), 0);
    loop_run();
}

#define BODY(body)                                                                                                     \
    {                                                                                                                  \
#body, body_run, NULL, NULL, (void *)(uintptr_t)(body)                                                         \
    }

#define UNTIL(condition)                                                                                               \
    do {                                                                                                               \
        int co_left = 1000;                                                                                            \
        while (!(condition) && co_left-- > 0)                                                                          \
            co_sleep(10);                                                                                              \
        assert_true(condition);                                                                                        \
    } while (0)

/* --- our own server --- */

static struct http_listener *listener;
static char url[96], cert[64], key[64];
static struct {
    struct ws_conn *conn;
    int opened, closed_code, messages;
} peer;

static void flood(struct ws_conn *c)
{
    struct ws_shared *s = ws_shared_new(NULL, FLOOD_BYTES);

    memset(s->data, 'f', s->len);
    for (int i = 0; i < FLOOD_COUNT; i++) {
        char head[16];
        snprintf(head, sizeof(head), "%07d", i);
        ws_send(c, true, (struct str){head, 7}, s);
    }
    ws_shared_unref(s);
}

static void peer_message(struct ws_conn *c, struct str data, bool binary, void *arg)
{
    (void)arg;
    peer.messages++;
    if (str_eq(data, STR("close")))
        ws_close(c, 4004, "Authentication failed.");
    else if (str_eq(data, STR("abort")))
        ws_abort(c);
    else if (str_eq(data, STR("flood")))
        flood(c);
    else
        ws_send(c, binary, data, NULL);
}

static void peer_close(struct ws_conn *c, int code, void *arg)
{
    (void)c;
    (void)arg;
    peer.conn = NULL;
    peer.closed_code = code;
}

static int upgrade(struct http_request *req, void *arg)
{
    const struct ws_options o = {.cb = {.on_message = peer_message, .on_close = peer_close},
                                 .payload_max = 4 << 20,
                                 .payload_max_code = 1009,
                                 .queue_bytes_max = 64 << 20,
                                 .close_timeout_ms = 500};

    (void)arg;
    if (!str_eq(req->path, STR("/gateway")))
        return 403;
    peer.conn = ws_accept(req, &o);
    peer.opened++;
    return peer.conn ? 0 : 400;
}

static void handler(struct http_request *req, struct http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    res->status = 200;
}

static void serve(bool tls, const char *host, const char *path)
{
    BUF_AUTO struct buf err = BUF_INIT(256);
    struct http_listener_options o = {.listen = "127.0.0.1:0",
                                      .handler = handler,
                                      .upgrade = upgrade,
                                      .tls_cert = tls ? cert : NULL,
                                      .tls_key = tls ? key : NULL};

    memset(&peer, 0, sizeof(peer));
    assert_int_equal(http_listener_start(&o, &listener, &err), 0);
    snprintf(url, sizeof(url), "ws%s://%s:%d%s", tls ? "s" : "", host, http_listener_port(listener), path);
}

static void on_stopped(void *arg)
{
    *(bool *)arg = true;
}

static void stop_serving(void)
{
    bool stopped = false;

    http_listener_stop(listener, 100, on_stopped, &stopped);
    UNTIL(stopped && !peer.conn);
}

/* --- the client --- */

enum deed { NOTHING, ABORT, CLOSE };

static struct {
    struct ws_client *ws;
    int opened, messages, out_of_order, closed, code;
    size_t bytes;
    char reason[128], last[64];
    bool last_binary;
    enum deed on_open, on_message;
} me;

static void act(enum deed deed)
{
    if (deed == ABORT)
        ws_client_abort(me.ws);
    if (deed == CLOSE)
        ws_client_close(me.ws, 4321, "enough");
}

static void on_open(struct ws_client *c, void *arg)
{
    (void)arg;
    me.ws = c;
    me.opened++;
    act(me.on_open);
}

static void on_message(struct ws_client *c, struct str data, bool binary, void *arg)
{
    char number[16];

    (void)c;
    (void)arg;
    snprintf(number, sizeof(number), "%07d", me.messages);
    me.out_of_order += data.n < 7 || memcmp(data.p, number, 7) != 0;
    me.messages++;
    me.bytes += data.n;
    me.last_binary = binary;
    snprintf(me.last, sizeof(me.last), "%.*s", (int)(data.n < 60 ? data.n : 60), data.p);
    act(me.on_message);
}

static void on_close(struct ws_client *c, int code, const char *reason, void *arg)
{
    (void)c;
    (void)arg;
    me.ws = NULL;
    me.closed++;
    me.code = code;
    snprintf(me.reason, sizeof(me.reason), "%s", reason ? reason : "(null)");
}

static void connect_with(const char *ca_file, size_t payload_max, size_t queue_max)
{
    BUF_AUTO struct buf err = BUF_INIT(256);
    struct ws_client_options o = {.url = url,
                                  .ca_file = ca_file,
                                  .user_agent = "tester/1",
                                  .cb = {on_open, on_message, on_close},
                                  .payload_max = payload_max,
                                  .queue_bytes_max = queue_max,
                                  .connect_timeout_ms = 1000};
    enum deed open_deed = me.on_open, message_deed = me.on_message;

    memset(&me, 0, sizeof(me));
    me.on_open = open_deed;
    me.on_message = message_deed;
    me.ws = ws_client_connect(&o, &err);
    assert_non_null(me.ws);
}

static void connect_open(const char *ca_file)
{
    connect_with(ca_file, 4 << 20, 64 << 20);
    UNTIL(me.opened || me.closed);
    assert_int_equal(me.closed, 0);
}

static void close_mine(void)
{
    ws_client_close(me.ws, 1000, "bye");
    UNTIL(me.closed == 1);
}

/* --- conversations --- */

static void echoes(bool binary, size_t n)
{
    struct buf b = BUF_INIT(0);
    int before = me.messages;
    size_t bytes = me.bytes;

    memset(buf_reserve(&b, n + 1), 'x', n);
    b.len = n;
    assert_int_equal(ws_client_send(me.ws, binary, buf_str(&b)), 0);
    UNTIL(me.messages == before + 1);
    assert_int_equal(me.bytes - bytes, n);
    assert_true(me.last_binary == binary);
    buf_done(&b);
}

static void sends_and_receives_every_length(void)
{
    static const size_t lengths[] = {0, 1, 125, 126, 127, 4096, 16384, 65535, 65536, 1 << 20, 4 << 20};

    serve(false, "127.0.0.1", "/gateway?v=10");
    connect_open(NULL);
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
        echoes(i % 2, lengths[i]);
    close_mine();
    stop_serving();
}

static void keeps_the_order(void)
{
    serve(false, "localhost", "/gateway");
    connect_open(NULL);
    for (int i = 0; i < 5000; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%07d", i);
        assert_int_equal(ws_client_send(me.ws, false, str_c(text)), 0);
    }
    UNTIL(me.messages == 5000);
    assert_int_equal(me.out_of_order, 0);
    close_mine();
    stop_serving();
}

static void speaks_tls(void)
{
    cert_make(cert, key);
    serve(true, "localhost", "/gateway");
    connect_open(cert);
    echoes(true, 3 << 20);
    assert_int_equal(ws_client_send(me.ws, false, STR("flood")), 0);
    UNTIL(me.messages == 1 + FLOOD_COUNT);
    close_mine();
    assert_int_equal(me.code, 1000);
    stop_serving();
    serve(true, "127.0.0.1", "/gateway"); /* an address that the certificate names */
    connect_open(cert);
    echoes(false, 10);
    close_mine();
    stop_serving();
}

static void fails(const char *ca_file, const char *reason)
{
    connect_with(ca_file, 1000, 1000);
    UNTIL(me.closed);
    assert_int_equal(me.closed, 1);
    assert_int_equal(me.opened, 0);
    assert_int_equal(me.code, 1006);
    if (!strstr(me.reason, reason))
        fail_msg("reason: %s", me.reason);
}

static void checks_the_certificate(void)
{
    serve(true, "127.0.0.2", "/gateway"); /* not a name of the certificate */
    fails(cert, "");
    serve(true, "localhost", "/gateway");
    fails(NULL, ""); /* nobody vouches for it */
    fails("/nonexistent/ca.pem", "CA");
    assert_int_equal(peer.opened, 0);
    connect_open(cert);
    close_mine();
    stop_serving();
    cert_remove(cert, key);
}

static void says_goodbye(void)
{
    serve(false, "127.0.0.1", "/gateway");
    connect_open(NULL);
    assert_int_equal(ws_client_send(me.ws, false, STR("last")), 0);
    ws_client_close(me.ws, 4321, "done here");
    assert_int_equal(ws_client_send(me.ws, false, STR("too late")), -EPIPE);
    assert_int_equal(me.closed, 0);
    UNTIL(me.closed == 1 && !peer.conn);
    assert_int_equal(me.code, 4321);
    assert_int_equal(peer.closed_code, 4321);
    assert_int_equal(peer.messages, 1);
    stop_serving();
}

static void hears_goodbye(void)
{
    serve(false, "127.0.0.1", "/gateway");
    connect_open(NULL);
    ws_client_send(me.ws, false, STR("close"));
    UNTIL(me.closed == 1 && !peer.conn);
    assert_int_equal(me.code, 4004);
    assert_string_equal(me.reason, "Authentication failed.");
    assert_int_equal(peer.closed_code, 4004);
    connect_open(NULL);
    ws_client_send(me.ws, false, STR("abort"));
    UNTIL(me.closed == 1);
    assert_int_equal(me.code, 1006);
    stop_serving();
}

static void keeps_to_its_limits(void)
{
    static char big[2000];

    serve(false, "127.0.0.1", "/gateway");
    connect_with(NULL, 1000, 3000);
    UNTIL(me.opened);
    memset(big, 'b', sizeof(big));
    assert_int_equal(ws_client_send(me.ws, false, (struct str){big, 1000}), 0);
    assert_int_equal(ws_client_send(me.ws, false, (struct str){big, 2000}), 0);
    assert_int_equal(ws_client_send(me.ws, false, (struct str){big, 1}), -ENOBUFS);
    UNTIL(me.closed == 1 && !peer.conn);
    assert_int_equal(me.messages, 1);
    assert_int_equal(me.code, 1009);
    stop_serving();
}

static void pauses(void)
{
    serve(false, "127.0.0.1", "/gateway");
    connect_open(NULL);
    ws_client_send(me.ws, false, STR("flood"));
    UNTIL(me.messages > 0);
    ws_client_pause(me.ws, true);
    co_sleep(50);
    int at = me.messages;
    assert_true(at < FLOOD_COUNT);
    co_sleep(200);
    assert_int_equal(me.messages, at);
    ws_client_pause(me.ws, false);
    UNTIL(me.messages == FLOOD_COUNT);
    assert_int_equal(me.out_of_order, 0);
    ws_client_pause(me.ws, true);
    close_mine(); /* nothing of the peer is read: the answer may not come */
    assert_int_equal(me.code, 1000);
    stop_serving();
}

static void may_end_inside_its_callbacks(void)
{
    serve(false, "127.0.0.1", "/gateway");
    for (int i = 0; i < 4; i++) {
        me.on_open = i == 0 ? ABORT : i == 1 ? CLOSE : NOTHING;
        me.on_message = i == 2 ? ABORT : i == 3 ? CLOSE : NOTHING;
        connect_with(NULL, 1000, 1000);
        UNTIL(me.opened);
        if (i >= 2)
            ws_client_send(me.ws, false, STR("x"));
        UNTIL(me.closed == 1 && !peer.conn);
        assert_int_equal(me.code, i % 2 ? 4321 : 1006);
        assert_int_equal(peer.closed_code, i % 2 ? 4321 : 1006);
    }
    me.on_open = me.on_message = NOTHING;
    connect_with(NULL, 1000, 1000);
    ws_client_abort(me.ws);
    assert_int_equal(me.closed, 1);
    connect_with(NULL, 1000, 1000);
    ws_client_close(me.ws, 4321, NULL);
    assert_int_equal(me.closed, 1);
    assert_int_equal(me.code, 4321);
    co_sleep(100);
    assert_int_equal(me.closed, 1);
    stop_serving();
}

static void tells_why_it_cannot_connect(void)
{
    BUF_AUTO struct buf err = BUF_INIT(1024);
    static const char *const bad[] = {"",           "http://x/",  "ws://",        "ws:///x",
                                      "ws://h:0/x", "ws://h:x/x", "ws://h:65536", "wss://:1/"};

    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_null(ws_client_connect(&(struct ws_client_options){.url = bad[i]}, &err));
    assert_true(err.len > 0);
    snprintf(url, sizeof(url), "ws://127.0.0.1:1/");
    fails(NULL, "");
    serve(false, "127.0.0.1", "/elsewhere");
    fails(NULL, "");
    stop_serving();
}

/* --- servers written by hand --- */

static void raw(void (*talk)(int fd))
{
    snprintf(url, sizeof(url), "ws://127.0.0.1:%d/path?query=1", ws_raw_serve(talk));
}

static char request[4096];

static void talk_request(int fd)
{
    ws_raw_handshake(fd, request, sizeof(request), "\x81\x05hello"); /* a frame in the answer's segment */
    ws_raw_wait_end(fd);
}

static void asks_as_it_should(void)
{
    char host[64];

    raw(talk_request);
    connect_open(NULL);
    UNTIL(me.messages == 1);
    assert_string_equal(me.last, "hello");
    ws_client_abort(me.ws);
    ws_raw_stop();
    assert_memory_equal(request, "GET /path?query=1 HTTP/1.1\r\n", 28);
    snprintf(host, sizeof(host), "Host: 127.0.0.1:%d\r\n", ws_raw_port());
    assert_non_null(strcasestr(request, host));
    assert_non_null(strcasestr(request, "\r\nUser-Agent: tester/1\r\n"));
    assert_non_null(strcasestr(request, "\r\nSec-WebSocket-Version: 13\r\n"));
    assert_null(strcasestr(request, "permessage-deflate"));
    assert_null(strcasestr(request, "\r\nOrigin"));
}

static void talk_never(int fd)
{
    ws_raw_wait_end(fd);
}

static void talk_redirect(int fd)
{
    ws_raw_answer(fd, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
}

static void talk_wrong_key(int fd)
{
    ws_raw_answer(fd, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n");
}

static void talk_rubbish(int fd)
{
    ws_raw_answer(fd, "SSH-2.0-OpenSSH_9.2\r\n");
}

static void refuses_bad_handshakes(void)
{
    static void (*const talks[])(int fd) = {talk_never, talk_redirect, talk_wrong_key, talk_rubbish};

    for (unsigned i = 0; i < sizeof(talks) / sizeof(*talks); i++) {
        raw(talks[i]);
        fails(NULL, "");
        ws_raw_stop();
    }
}

static void talk_pieces(int fd)
{
    static const char frames[] = "\x01\x03one\x89\x02pi\x00\x03two\x80\x03"
                                 "end"
                                 "\x82\x7e\x00\x05short";

    ws_raw_handshake(fd, NULL, 0, "");
    for (size_t i = 0; i < sizeof(frames) - 1; i++) {
        ws_raw_send(fd, (struct str){frames + i, 1});
        usleep(500);
    }
    ws_raw_read(fd, request, sizeof(request)); /* the pong */
    ws_raw_send(fd, STR("\x88\x00"));
    ws_raw_wait_end(fd);
}

static void joins_fragments_and_answers_pings(void)
{
    memset(request, 0, sizeof(request));
    raw(talk_pieces);
    connect_open(NULL);
    UNTIL(me.closed);
    assert_int_equal(me.messages, 2);
    assert_string_equal(me.last, "short");
    assert_true(me.last_binary);
    assert_int_equal(me.bytes, 14);
    assert_int_equal(me.code, 1005);
    ws_raw_stop();
    assert_int_equal((unsigned char)request[0], 0x8a);
    assert_int_equal((unsigned char)request[1], 0x82);
    assert_int_equal(request[6] ^ request[2], 'p');
    assert_int_equal(request[7] ^ request[3], 'i');
}

static struct str offence;

static void talk_offence(int fd)
{
    ws_raw_handshake(fd, NULL, 0, "");
    ws_raw_send(fd, offence);
    ws_raw_wait_end(fd);
}

static void ends_on_offences(void)
{
    static const struct str offences[] = {
        {"\x83\x01x", 3},                   /* an opcode nobody knows */
        {"\xc1\x01x", 3},                   /* RSV1 without an extension */
        {"\x80\x01x", 3},                   /* nothing to continue */
        {"\x01\x01x\x81\x01x", 6},          /* a message inside another */
        {"\x09\x01x", 3},                   /* a ping in parts */
        {"\x89\x7e\x00\x7exx", 6},          /* a ping too long */
        {"\x81\x02\xc3\x28", 4},            /* not UTF-8 */
        {"\x82\x7f\x80\0\0\0\0\0\0\0", 10}, /* the top bit of a length */
    };

    for (unsigned i = 0; i < sizeof(offences) / sizeof(*offences); i++) {
        offence = offences[i];
        raw(talk_offence);
        connect_with(NULL, 1000, 1000);
        UNTIL(me.opened);
        for (int k = 0; k < 1000 && !me.closed; k++) /* libwebsockets waits for the peer to answer its close */
            co_sleep(10);
        if (!me.closed || me.messages)
            fail_msg("offence %u: %d messages, closed %d", i, me.messages, me.closed);
        ws_raw_stop();
    }
}

static void talk_deaf(int fd)
{
    ws_raw_handshake(fd, NULL, 0, "");
    while (!ws_raw_stopping())
        usleep(10000);
}

static void does_not_wait_for_the_deaf(void)
{
    static char block[1 << 20];
    int64_t began;

    raw(talk_deaf);
    connect_open(NULL);
    for (int i = 0; i < 16; i++)
        assert_int_equal(ws_client_send(me.ws, true, (struct str){block, sizeof(block)}), 0);
    co_sleep(100);
    began = clock_mono_ms();
    ws_client_close(me.ws, 4000, "");
    UNTIL(me.closed);
    assert_in_range(clock_mono_ms() - began, LIMIT_WS_CLIENT_CLOSE_MS - 100, LIMIT_WS_CLIENT_CLOSE_MS + 10000);
    assert_int_equal(me.code, 4000);
    ws_raw_stop();
}

static int begin(void **state)
{
    (void)state;
    loop_init();
    return 0;
}

static int end(void **state)
{
    (void)state;
    loop_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BODY(sends_and_receives_every_length),
        BODY(keeps_the_order),
        BODY(speaks_tls),
        BODY(checks_the_certificate),
        BODY(says_goodbye),
        BODY(hears_goodbye),
        BODY(keeps_to_its_limits),
        BODY(pauses),
        BODY(may_end_inside_its_callbacks),
        BODY(tells_why_it_cannot_connect),
        BODY(asks_as_it_should),
        BODY(refuses_bad_handshakes),
        BODY(joins_fragments_and_answers_pings),
        BODY(ends_on_offences),
        BODY(does_not_wait_for_the_deaf),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
