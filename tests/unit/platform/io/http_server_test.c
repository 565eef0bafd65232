/* http_server.c, http_conn.c, stream.c: conversations over real sockets, plain; TLS has its own test. */
#include "tests/support/cm.h"
#include "tests/support/net.h"

#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/io/co.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int port;
static atomic_int gone_seen, inside, go_on; /* inside: handlers of /hang and /held that run */

static void serve_file(struct http_response *res)
{
    char path[] = "/tmp/guildhall-http-XXXXXX", block[4096];

    res->status = 200;
    res->content_type = "application/octet-stream";
    res->file_fd = mkstemp(path);
    unlink(path);
    memset(block, 'f', sizeof(block));
    for (int i = 0; i < 500; i++)
        res->file_bytes += write(res->file_fd, block, sizeof(block));
    lseek(res->file_fd, 0, SEEK_SET);
}

static void echo(struct http_request *req, struct http_response *res)
{
    res->status = 200;
    http_response_header(res, "X-Peer", "%s", req->peer);
    buf_addf(&res->body, "%s %.*s %.*s", http_method_name(req->method), STR_ARG(req->path), STR_ARG(req->body));
}

/* Nothing here asserts: it runs on the loop's thread. */
static void handler(struct http_request *req, struct http_response *res, void *arg)
{
    (void)arg;
    if (str_eq(req->path, STR("/sleep"))) {
        co_sleep(30);
        echo(req, res);
    } else if (str_eq(req->path, STR("/held"))) {
        inside++;
        while (!go_on)
            co_sleep(2);
        echo(req, res);
    } else if (str_eq(req->path, STR("/hang"))) {
        inside++;
        while (!http_request_gone(req))
            co_sleep(2);
        gone_seen = 1;
    } else if (str_eq(req->path, STR("/big"))) {
        res->status = 200;
        memset(buf_reserve(&res->body, 8000000), 'b', 8000000);
        res->body.len += 8000000;
    } else if (str_eq(req->path, STR("/file"))) {
        serve_file(res);
    } else if (str_eq(req->path, STR("/nothing"))) {
        return;
    } else if (str_eq(req->path, STR("/empty"))) {
        res->status = 204;
    } else {
        echo(req, res);
    }
}

static int begin_with(int idle_ms, int request_ms)
{
    port = net_serve((struct http_listener_options){
        .handler = handler, .via = "1.1 test", .idle_ms = idle_ms, .request_ms = request_ms, .body_max = 3 << 20});
    return 0;
}

static int begin(void **state)
{
    (void)state;
    return begin_with(0, 0);
}

static int begin_impatient(void **state)
{
    (void)state;
    return begin_with(300, 200);
}

static int end(void **state)
{
    (void)state;
    net_stop(1000);
    return 0;
}

struct client {
    int fd;
    struct buf ahead;
    struct net_answer a;
};

static struct client client_open(void)
{
    return (struct client){.fd = net_connect(port)};
}

static void client_close(struct client *c)
{
    close(c->fd);
    buf_done(&c->ahead);
    net_answer_done(&c->a);
}

static void expect_answer(struct client *c, int status, const char *body)
{
    assert_true(net_read_answer(c->fd, &c->ahead, false, &c->a));
    assert_int_equal(c->a.status, status);
    if (body)
        assert_buf(&c->a.body, body);
}

static void expect_end(struct client *c)
{
    assert_true(net_read_end(c->fd, &c->ahead));
    assert_int_equal(c->ahead.len, 0);
}

#define HOST "Host: h\r\n"

static void answers_every_framing_on_one_connection(void **state)
{
    struct client c = client_open();

    (void)state;
    net_send(c.fd, STR("GET /a?x HTTP/1.1\r\n" HOST "\r\n"));
    expect_answer(&c, 200, "GET /a ");
    assert_str(net_answer_header(&c.a, "Via"), "1.1 test");
    assert_str(net_answer_header(&c.a, "X-Peer"), "127.0.0.1");
    assert_str(net_answer_header(&c.a, "Content-Type"), "application/json");
    assert_null(net_answer_header(&c.a, "Connection").p);
    net_send(c.fd, STR("POST /none HTTP/1.1\r\n" HOST "\r\n"));
    expect_answer(&c, 200, "POST /none ");
    net_send(c.fd, STR("POST /sized HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"));
    expect_answer(&c, 200, "POST /sized abc");
    net_send(c.fd,
             STR("PUT /chunks HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"));
    expect_answer(&c, 200, "PUT /chunks abc");
    net_send(c.fd, STR("DELETE /empty HTTP/1.1\r\n" HOST "\r\n"));
    expect_answer(&c, 204, "");
    assert_null(net_answer_header(&c.a, "Content-Type").p);
    net_send(c.fd, STR("HEAD /head HTTP/1.1\r\n" HOST "\r\n"));
    assert_true(net_read_answer(c.fd, &c.ahead, true, &c.a));
    assert_str(net_answer_header(&c.a, "Content-Length"), "11");
    net_send(c.fd, STR("GET /nothing HTTP/1.1\r\n" HOST "\r\n"));
    expect_answer(&c, 500, NULL);
    net_send(c.fd, STR("GET /last HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"));
    expect_answer(&c, 200, "GET /last ");
    assert_str(net_answer_header(&c.a, "Connection"), "close");
    expect_end(&c);
    client_close(&c);
}

static void says_continue_before_a_body(void **state)
{
    struct client c = client_open();

    (void)state;
    net_send(c.fd, STR("POST /e HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"));
    assert_true(net_read_until(c.fd, &c.ahead, "\r\n\r\n"));
    assert_buf(&c.ahead, "HTTP/1.1 100 Continue\r\n\r\n");
    buf_clear(&c.ahead);
    net_send(c.fd, STR("body"));
    expect_answer(&c, 200, "POST /e body");
    client_close(&c);
    c = client_open();
    net_send(c.fd, STR("POST /e HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 9999999\r\n\r\n"));
    expect_answer(&c, 413, NULL);
    client_close(&c);
}

static void reads_a_request_cut_anywhere(void **state)
{
    static const char text[] =
        "POST /cut HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    struct client c = client_open();

    (void)state;
    for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
        net_send(c.fd, (struct str){text, cut});
        usleep(300);
        net_send(c.fd, (struct str){text + cut, sizeof(text) - 1 - cut});
        expect_answer(&c, 200, "POST /cut hello");
    }
    client_close(&c);
}

static void answers_a_pipeline_in_order(void **state)
{
    BUF_AUTO struct buf many = BUF_INIT(0);
    struct client c = client_open();
    char want[64];

    (void)state;
    for (int i = 0; i < 3000; i++)
        buf_addf(&many, "POST /%s HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\n%04d", i % 500 ? "p" : "sleep", i);
    net_send(c.fd, buf_str(&many));
    for (int i = 0; i < 3000; i++) {
        snprintf(want, sizeof(want), "POST /%s %04d", i % 500 ? "p" : "sleep", i);
        expect_answer(&c, 200, want);
    }
    client_close(&c);
}

static void answers_who_has_ended_its_side(void **state)
{
    struct client c = client_open();

    (void)state;
    net_send(c.fd, STR("GET /sleep HTTP/1.1\r\n" HOST "\r\nGET /two HTTP/1.1\r\n" HOST "\r\n"));
    shutdown(c.fd, SHUT_WR);
    expect_answer(&c, 200, "GET /sleep ");
    expect_answer(&c, 200, "GET /two ");
    expect_end(&c);
    client_close(&c);
}

static void takes_and_gives_large_bodies(void **state)
{
    struct client c = client_open();
    BUF_AUTO struct buf body = BUF_INIT(0);

    (void)state;
    net_send(c.fd, STR("GET /big HTTP/1.1\r\n" HOST "\r\n"));
    usleep(50000); /* the server meets a full socket */
    expect_answer(&c, 200, NULL);
    assert_int_equal(c.a.body.len, 8000000);
    memset(buf_reserve(&body, 3 << 20), 'u', 3 << 20);
    body.len = 3 << 20;
    net_send(c.fd, STR("POST / HTTP/1.1\r\n" HOST "Content-Length: 3145728\r\n\r\n"));
    net_send(c.fd, buf_str(&body));
    expect_answer(&c, 200, NULL);
    assert_int_equal(c.a.body.len, 3145728 + 7);
    assert_int_equal(c.a.body.data[3145728 + 6], 'u');
    client_close(&c);
}

static void serves_files(void **state)
{
    struct client c = client_open();

    (void)state;
    net_send(c.fd, STR("GET /file HTTP/1.1\r\n" HOST "\r\nHEAD /file HTTP/1.1\r\n" HOST "\r\nGET /x HTTP/1.1\r\n" HOST
                       "\r\n"));
    expect_answer(&c, 200, NULL);
    assert_int_equal(c.a.body.len, 500 * 4096);
    for (size_t i = 0; i < c.a.body.len; i++)
        if (c.a.body.data[i] != 'f')
            fail_msg("byte %zu is wrong", i);
    assert_true(net_read_answer(c.fd, &c.ahead, true, &c.a));
    assert_str(net_answer_header(&c.a, "Content-Length"), "2048000");
    expect_answer(&c, 200, "GET /x ");
    client_close(&c);
}

static void refuses_and_closes(void **state)
{
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {"NONSENSE\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/3.0\r\n" HOST "\r\n", 505},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3145729\r\n\r\n", 413},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n300001\r\n", 0},
        {"GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 426},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct client c = client_open();
        net_send(c.fd, str_c(cases[i].request));
        if (cases[i].status) {
            expect_answer(&c, cases[i].status, NULL);
            assert_str(net_answer_header(&c.a, "Connection"), "close");
            expect_end(&c);
        }
        client_close(&c);
    }
}

static void refuses_a_head_that_is_too_long(void **state)
{
    BUF_AUTO struct buf head = BUF_INIT(0);
    struct client c = client_open();

    (void)state;
    buf_addf(&head, "GET / HTTP/1.1\r\n" HOST "X-Long: %0*d", (int)LIMIT_HTTP_HEAD_BYTES, 0);
    net_send(c.fd, buf_str(&head));
    expect_answer(&c, 431, NULL);
    expect_end(&c);
    client_close(&c);
}

static void times_slow_senders_out(void **state)
{
    struct client slow = client_open(), idle = client_open(), body = client_open();

    (void)state;
    net_send(body.fd, STR("POST / HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n123"));
    /* a byte now and then does not help */
    net_send(slow.fd, STR("GET / HTTP/1.1\r\nX: "));
    for (int i = 0; i < 10; i++) {
        usleep(30000);
        net_send(slow.fd, STR("T"));
    }
    expect_answer(&slow, 408, NULL);
    expect_end(&slow);
    expect_answer(&body, 408, NULL);
    expect_end(&body);
    expect_end(&idle);
    client_close(&slow);
    client_close(&idle);
    client_close(&body);
}

/* 60 s at most. */
static void wait_for(atomic_int *number, int wanted)
{
    for (int i = 0; i < 30000 && *number != wanted; i++)
        usleep(2000);
    assert_int_equal(*number, wanted);
}

static void tells_a_handler_that_its_peer_is_gone(void **state)
{
    struct client c = client_open();

    (void)state;
    gone_seen = inside = 0;
    net_send(c.fd, STR("GET /hang HTTP/1.1\r\n" HOST "\r\n"));
    wait_for(&inside, 1);
    client_close(&c);
    wait_for(&gone_seen, 1);
}

static void survives_peers_that_vanish(void **state)
{
    struct linger hard = {.l_onoff = 1};

    (void)state;
    for (int i = 0; i < 200; i++) {
        struct client c = client_open();
        const char *path = i % 4 == 0 ? "big" : i % 4 == 1 ? "file" : i % 4 == 2 ? "sleep" : "x";
        char text[128];
        int n = snprintf(text, sizeof(text), "POST /%s HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\nab", path, i % 3);
        net_send(c.fd, (struct str){text, (size_t)n});
        if (i % 2)
            usleep(500);
        setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        client_close(&c);
    }
    struct client c = client_open();
    net_send(c.fd, STR("GET /still HTTP/1.1\r\n" HOST "\r\n"));
    expect_answer(&c, 200, "GET /still ");
    client_close(&c);
}

static void stops_gracefully(void **state)
{
    struct client busy, idle, hung;

    (void)state;
    port = net_serve((struct http_listener_options){.handler = handler});
    busy = client_open();
    idle = client_open();
    hung = client_open();
    gone_seen = inside = go_on = 0;
    net_send(busy.fd, STR("GET /held HTTP/1.1\r\n" HOST "\r\n"));
    net_send(hung.fd, STR("GET /hang HTTP/1.1\r\n" HOST "\r\n"));
    wait_for(&inside, 2);
    net_stop_begin(3000);
    go_on = 1;
    expect_answer(&busy, 200, "GET /held ");
    assert_str(net_answer_header(&busy.a, "Connection"), "close");
    expect_end(&busy);
    expect_end(&idle);
    expect_end(&hung);
    client_close(&busy);
    client_close(&idle);
    client_close(&hung);
    net_stop_wait();
}

static void stop_loop(void *arg)
{
    (void)arg;
    loop_stop();
}

static void explains_why_it_cannot_listen(void **state)
{
    (void)state;
    struct http_listener *l = NULL;
    BUF_AUTO struct buf err = BUF_INIT(0);
    char taken[32];

    loop_init();
    assert_int_equal(
        http_listener_start(&(struct http_listener_options){.listen = "nowhere", .handler = handler}, &l, &err),
        -EINVAL);
    assert_buf(&err, "listen nowhere: expected host:port");
    buf_clear(&err);
    assert_int_equal(http_listener_start(
                         &(struct http_listener_options){
                             .listen = "127.0.0.1:0", .tls_cert = "/no/cert", .tls_key = "/no/key", .handler = handler},
                         &l, &err),
                     -EINVAL);
    assert_buf(&err, "certificate /no/cert: No such file or directory");
    buf_clear(&err);
    assert_int_equal(
        http_listener_start(&(struct http_listener_options){.listen = "[::1]:0", .handler = handler}, &l, &err), 0);
    snprintf(taken, sizeof(taken), "[::1]:%d", http_listener_port(l));
    struct http_listener *second = NULL;
    assert_int_equal(
        http_listener_start(&(struct http_listener_options){.listen = taken, .handler = handler}, &second, &err),
        -EADDRINUSE);
    assert_non_null(strstr(err.data, "address already in use"));
    http_listener_stop(l, 0, stop_loop, NULL);
    loop_run();
    loop_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_every_framing_on_one_connection, begin, end),
        cmocka_unit_test_setup_teardown(says_continue_before_a_body, begin, end),
        cmocka_unit_test_setup_teardown(reads_a_request_cut_anywhere, begin, end),
        cmocka_unit_test_setup_teardown(answers_a_pipeline_in_order, begin, end),
        cmocka_unit_test_setup_teardown(answers_who_has_ended_its_side, begin, end),
        cmocka_unit_test_setup_teardown(takes_and_gives_large_bodies, begin, end),
        cmocka_unit_test_setup_teardown(serves_files, begin, end),
        cmocka_unit_test_setup_teardown(refuses_and_closes, begin, end),
        cmocka_unit_test_setup_teardown(refuses_a_head_that_is_too_long, begin, end),
        cmocka_unit_test_setup_teardown(times_slow_senders_out, begin_impatient, end),
        cmocka_unit_test_setup_teardown(tells_a_handler_that_its_peer_is_gone, begin, end),
        cmocka_unit_test_setup_teardown(survives_peers_that_vanish, begin, end),
        cmocka_unit_test(stops_gracefully),
        cmocka_unit_test(explains_why_it_cannot_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
