/* ws.c: conversations over real sockets: handshake, echo, closing from both sides, a full queue, shared payloads. */
#include "tests/support/cm.h"
#include "tests/support/net.h"
#include "tests/support/ws_frames.h"

#include "platform/base/mem.h"
#include "platform/io/ws.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int port;
/* Written on the loop's thread. */
static atomic_int closed_code, closed_count, drained;
static struct ws_conn *last_conn;

#define FLOOD_BYTES (4u << 20)

/* Nothing here asserts: it runs on the loop's thread. */
static void on_message(struct ws_conn *c, struct str data, bool binary, void *arg)
{
    (void)arg;
    if (str_eq(data, STR("close"))) {
        ws_send(c, false, STR("last words"), NULL);
        ws_close(c, 4004, "Authentication failed.");
        if (ws_send(c, false, STR("too late"), NULL) == 0)
            abort();
    } else if (str_eq(data, STR("abort"))) {
        ws_abort(c);
    } else if (str_eq(data, STR("many"))) {
        struct ws_shared *s = ws_shared_new("shared", 6);
        for (int i = 0; i < 2000; i++) {
            char head[16];
            int n = snprintf(head, sizeof(head), "%d:", i);
            ws_send(c, false, (struct str){head, (size_t)n}, i % 3 ? s : NULL);
        }
        ws_shared_unref(s);
        ws_send_raw(c, STR("\x81\x03raw"), NULL);
    } else if (str_eq(data, STR("twins"))) {
        struct ws_shared *a = ws_shared_new("-shared-", 8), *b = ws_shared_new("=shared=", 8);
        for (int i = 0; i < 40; i++) { /* alike but for the head, then with other parts of the same lengths */
            char head[16];
            int n = snprintf(head, sizeof(head), "%d:", i);
            ws_send(c, false, (struct str){head, (size_t)n}, i % 20 < 15 ? a : b);
            ws_send(c, false, (struct str){head, (size_t)n}, i % 10 < 8 ? a : b);
            ws_flush(c);
        }
        ws_shared_unref(a);
        ws_shared_unref(b);
    } else if (str_eq(data, STR("flood"))) {
        static char block[65536];
        struct ws_shared *s = ws_shared_new(block, sizeof(block));
        int r = 0;
        for (size_t sent = 0; sent < FLOOD_BYTES && r == 0; sent += sizeof(block))
            r = ws_send(c, true, STR_NONE, s);
        if (r == -ENOBUFS)
            ws_cut(c, 4000, "Slow consumer.");
        ws_shared_unref(s);
    } else if (str_eq(data, STR("big"))) {
        struct ws_shared *s = ws_shared_new(NULL, FLOOD_BYTES);
        memset(s->data, 'B', s->len);
        ws_send(c, true, STR("h"), s);
        ws_shared_unref(s);
    } else {
        struct ws_shared *s = ws_shared_new(data.p, data.n);
        ws_send(c, binary, STR("echo:"), s);
        ws_shared_unref(s);
    }
}

static void on_close(struct ws_conn *c, int code, void *arg)
{
    (void)c;
    (void)arg;
    closed_code = code;
    closed_count++;
}

static void on_drain(struct ws_conn *c, void *arg)
{
    (void)c;
    (void)arg;
    drained++;
}

static int upgrade(struct http_request *req, void *arg)
{
    const struct ws_options o = {.cb = {on_message, on_close, on_drain},
                                 .payload_max = 4096,
                                 .payload_max_code = 4002,
                                 .queue_bytes_max = 1 << 20,
                                 .close_timeout_ms = 1000};

    (void)arg;
    if (!str_eq(req->path, STR("/gateway")))
        return 404;
    last_conn = ws_accept(req, &o);
    if (!last_conn)
        return 400;
    ws_send(last_conn, false, STR("hello"), NULL);
    return 0;
}

static void handler(struct http_request *req, struct http_response *res, void *arg)
{
    (void)arg;
    (void)req;
    res->status = 200;
}

static int begin(void **state)
{
    (void)state;
    port = net_serve((struct http_listener_options){.handler = handler, .upgrade = upgrade});
    closed_code = closed_count = drained = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    net_stop(100);
    return 0;
}

struct client {
    int fd;
    struct buf ahead, payload, out;
    unsigned first;
};

static struct client client_open(void)
{
    struct client c = {.fd = net_connect(port)};

    assert_true(ws_client_handshake(c.fd, &c.ahead));
    return c;
}

static void client_close(struct client *c)
{
    close(c->fd);
    buf_done(&c->ahead);
    buf_done(&c->payload);
    buf_done(&c->out);
}

static void say(struct client *c, unsigned first, struct str payload)
{
    buf_clear(&c->out);
    ws_frame_add(&c->out, first, payload);
    net_send(c->fd, buf_str(&c->out));
}

static void expect(struct client *c, unsigned first, const char *payload)
{
    assert_true(ws_client_frame(c->fd, &c->ahead, &c->first, &c->payload));
    assert_int_equal(c->first, first);
    assert_buf(&c->payload, payload);
}

static void expect_closed(struct client *c, int code)
{
    assert_true(net_read_end(c->fd, &c->ahead));
    for (int i = 0; i < 1000 && closed_count == 0; i++)
        usleep(2000);
    assert_int_equal(closed_count, 1);
    assert_int_equal(closed_code, code);
}

static void echoes_and_greets(void **state)
{
    struct client c = client_open();

    (void)state;
    expect(&c, 0x81, "hello");
    say(&c, 0x81, STR("text"));
    expect(&c, 0x81, "echo:text");
    say(&c, 0x82, STR("\x01\x02"));
    expect(&c, 0x82, "echo:\x01\x02");
    say(&c, 0x89, STR("ping me"));
    expect(&c, 0x8A, "ping me");
    say(&c, 0x01, STR("in "));
    say(&c, 0x89, STR("between"));
    say(&c, 0x80, STR("parts"));
    expect(&c, 0x8A, "between");
    expect(&c, 0x81, "echo:in parts");
    client_close(&c);
}

static void sends_nothing_in_the_answers_segment(void **state)
{
    int alone = 0;

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct client c = client_open();
        alone += c.ahead.len == 0;
        expect(&c, 0x81, "hello");
        client_close(&c);
    }
    /* a client that was not woken in time finds both */
    assert_true(alone >= 5);
}

static void takes_frames_sent_with_the_handshake(void **state)
{
    struct client c = {.fd = net_connect(port)};
    BUF_AUTO struct buf frames = BUF_INIT(0);

    (void)state;
    buf_adds(&frames, "GET /gateway HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    ws_frame_add(&frames, 0x81, STR("early"));
    ws_frame_add(&frames, 0x81, STR("bird"));
    size_t cut = frames.len - 5;
    net_send(c.fd, (struct str){frames.data, cut});
    net_send(c.fd, (struct str){frames.data + cut, frames.len - cut});
    assert_true(net_read_until(c.fd, &c.ahead, "\r\n\r\n"));
    buf_consume(&c.ahead, (size_t)((char *)memmem(c.ahead.data, c.ahead.len, "\r\n\r\n", 4) - c.ahead.data) + 4);
    expect(&c, 0x81, "hello");
    expect(&c, 0x81, "echo:early");
    expect(&c, 0x81, "echo:bird");
    client_close(&c);
}

static void refuses_bad_handshakes(void **state)
{
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {"GET /other HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
         404},
        {"GET /gateway HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
         "13\r\n\r\n",
         400},
        {"GET /gateway HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
         400},
        {"GET /gateway HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
         "13\r\n"
         "Sec-WebSocket-Key: not sixteen bytes of base64\r\n\r\n",
         400},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct client c = {.fd = net_connect(port)};
        struct net_answer a = {0};
        net_send(c.fd, str_c(cases[i].request));
        assert_true(net_read_answer(c.fd, &c.ahead, false, &a));
        assert_int_equal(a.status, cases[i].status);
        net_answer_done(&a);
        client_close(&c);
    }
}

static void answers_the_peers_close(void **state)
{
    struct client c = client_open();

    (void)state;
    expect(&c, 0x81, "hello");
    say(&c, 0x88,
        STR("\x0F\xA0"
            "bye"));
    expect(&c, 0x88, "\x0F\xA0");
    expect_closed(&c, 4000);
    client_close(&c);
}

static void closes_after_what_is_queued(void **state)
{
    struct client c = client_open();

    (void)state;
    expect(&c, 0x81, "hello");
    say(&c, 0x81, STR("close"));
    expect(&c, 0x81, "last words");
    expect(&c, 0x88,
           "\x0F\xA4"
           "Authentication failed.");
    say(&c, 0x81, STR("not heard any more"));
    say(&c, 0x88, STR("\x0F\xA4"));
    expect_closed(&c, 4004);
    client_close(&c);
}

static void waits_for_the_peers_close_only_so_long(void **state)
{
    struct client c = client_open();

    (void)state;
    say(&c, 0x81, STR("close"));
    expect(&c, 0x81, "hello");
    expect(&c, 0x81, "last words");
    expect(&c, 0x88,
           "\x0F\xA4"
           "Authentication failed.");
    expect_closed(&c, 1006);
    client_close(&c);
}

static void tells_what_went_wrong(void **state)
{
    static char big[5000];
    static const struct {
        unsigned first;
        struct str payload;
        int code;
        const char *sent;
    } cases[] = {
        {0x81, {"\xFF\xFE", 2}, 1007, "\x03\xEF"},
        {0x81, {big, sizeof(big)}, 4002, "\x0F\xA2"},
        {0xF1, {"x", 1}, 1002, "\x03\xEA"},
        {0x88, {"x", 1}, 1002, "\x03\xEA"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct client c = client_open();
        closed_count = 0;
        expect(&c, 0x81, "hello");
        say(&c, cases[i].first, cases[i].payload);
        expect(&c, 0x88, cases[i].sent);
        expect_closed(&c, cases[i].code);
        client_close(&c);
    }
}

static void notices_sockets_that_vanish(void **state)
{
    struct client c = client_open();

    (void)state;
    expect(&c, 0x81, "hello");
    shutdown(c.fd, SHUT_WR);
    expect_closed(&c, 1006);
    client_close(&c);
    c = client_open();
    closed_count = 0;
    say(&c, 0x81, STR("abort"));
    expect_closed(&c, 1006);
    client_close(&c);
}

static void sends_a_turns_messages_in_order(void **state)
{
    struct client c = client_open();
    char want[32];

    (void)state;
    expect(&c, 0x81, "hello");
    say(&c, 0x81, STR("many"));
    for (int i = 0; i < 2000; i++) {
        snprintf(want, sizeof(want), "%d:%s", i, i % 3 ? "shared" : "");
        expect(&c, 0x81, want);
    }
    expect(&c, 0x81, "raw");
    client_close(&c);
}

static void flushes_alike_batches(void **state)
{
    struct client c = client_open();

    (void)state;
    expect(&c, 0x81, "hello");
    say(&c, 0x81, STR("twins"));
    for (int i = 0; i < 40; i++) {
        char text[32];
        snprintf(text, sizeof(text), "%d:%s", i, i % 20 < 15 ? "-shared-" : "=shared=");
        expect(&c, 0x81, text);
        snprintf(text, sizeof(text), "%d:%s", i, i % 10 < 8 ? "-shared-" : "=shared=");
        expect(&c, 0x81, text);
    }
    client_close(&c);
}

static void cuts_a_peer_that_does_not_read(void **state)
{
    struct client c = client_open();
    int small = 4096;

    (void)state;
    setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    for (int i = 0; i < 500 && closed_count == 0; i++) {
        if (i < 10)
            say(&c, 0x81, STR("flood"));
        usleep(20000);
    }
    assert_int_equal(closed_count, 1);
    assert_int_equal(closed_code, 1006);
    client_close(&c);
}

static void tells_a_peer_that_reads_again(void **state)
{
    struct client c = client_open();

    (void)state;
    expect(&c, 0x81, "hello");
    for (int i = 0; i < 6; i++)
        say(&c, 0x81, STR("flood"));
    usleep(100000); /* well below the close's timeout */
    do
        assert_true(ws_client_frame(c.fd, &c.ahead, &c.first, &c.payload));
    while (c.first == 0x82);
    assert_int_equal(c.first, 0x88);
    assert_memory_equal(c.payload.data, "\x0f\xa0Slow consumer.", 16);
    client_close(&c);
}

static void sends_more_than_the_socket_takes_at_once(void **state)
{
    struct client c = client_open();

    (void)state;
    expect(&c, 0x81, "hello");
    say(&c, 0x81, STR("big"));
    usleep(20000);
    assert_true(ws_client_frame(c.fd, &c.ahead, &c.first, &c.payload));
    assert_int_equal(c.payload.len, FLOOD_BYTES + 1);
    assert_int_equal(c.payload.data[0], 'h');
    assert_int_equal(c.payload.data[FLOOD_BYTES], 'B');
    for (int i = 0; i < 500 && drained == 0; i++)
        usleep(2000);
    assert_int_equal(drained, 1);
    assert_int_equal(closed_count, 0);
    client_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(echoes_and_greets, begin, end),
        cmocka_unit_test_setup_teardown(sends_nothing_in_the_answers_segment, begin, end),
        cmocka_unit_test_setup_teardown(takes_frames_sent_with_the_handshake, begin, end),
        cmocka_unit_test_setup_teardown(refuses_bad_handshakes, begin, end),
        cmocka_unit_test_setup_teardown(answers_the_peers_close, begin, end),
        cmocka_unit_test_setup_teardown(closes_after_what_is_queued, begin, end),
        cmocka_unit_test_setup_teardown(waits_for_the_peers_close_only_so_long, begin, end),
        cmocka_unit_test_setup_teardown(tells_what_went_wrong, begin, end),
        cmocka_unit_test_setup_teardown(notices_sockets_that_vanish, begin, end),
        cmocka_unit_test_setup_teardown(sends_a_turns_messages_in_order, begin, end),
        cmocka_unit_test_setup_teardown(flushes_alike_batches, begin, end),
        cmocka_unit_test_setup_teardown(cuts_a_peer_that_does_not_read, begin, end),
        cmocka_unit_test_setup_teardown(tells_a_peer_that_reads_again, begin, end),
        cmocka_unit_test_setup_teardown(sends_more_than_the_socket_takes_at_once, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
