/* tls.c and the TLS side of stream.c: https and wss conversations with OpenSSL's own client, in small and large pieces,
 * and clients that speak something else. */
#include "tests/support/cert.h"
#include "tests/support/cm.h"
#include "tests/support/net.h"
#include "tests/support/ws_frames.h"

#include "platform/io/co.h"
#include "platform/io/ws.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <unistd.h>

#define BIG_BYTES 5000000

static int port;
static char cert[64], key[64];
static SSL_CTX *client_ctx;

/* Nothing in these handlers asserts: they run on the loop's thread. */
static void handler(struct http_request *req, struct http_response *res, void *arg)
{
    (void)arg;
    res->status = 200;
    if (str_eq(req->path, STR("/big"))) {
        memset(buf_reserve(&res->body, BIG_BYTES), 'b', BIG_BYTES);
        res->body.len += BIG_BYTES;
    } else {
        if (str_eq(req->path, STR("/sleep")))
            co_sleep(5);
        buf_addf(&res->body, "%s %zu %.*s", req->tls ? "tls" : "plain", req->body.n, STR_ARG(req->path));
    }
}

static void on_message(struct ws_conn *c, struct str data, bool binary, void *arg)
{
    struct ws_shared *s = ws_shared_new(data.p, data.n);

    (void)arg;
    ws_send(c, binary, STR("echo:"), s);
    ws_shared_unref(s);
}

static void on_close(struct ws_conn *c, int code, void *arg)
{
    (void)c;
    (void)code;
    (void)arg;
}

static int upgrade(struct http_request *req, void *arg)
{
    const struct ws_options o = {.cb = {.on_message = on_message, .on_close = on_close},
                                 .payload_max = 1 << 20,
                                 .payload_max_code = 1009,
                                 .queue_bytes_max = 4 << 20,
                                 .close_timeout_ms = 100};

    (void)arg;
    struct ws_conn *c = ws_accept(req, &o);
    if (!c)
        return 400;
    ws_send(c, false, STR("hello"), NULL);
    return 0;
}

static int begin(void **state)
{
    (void)state;
    cert_make(cert, key);
    port = net_serve((struct http_listener_options){
        .handler = handler, .upgrade = upgrade, .tls_cert = cert, .tls_key = key, .idle_ms = 1000, .request_ms = 3000});
    client_ctx = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_load_verify_file(client_ctx, cert), 1);
    SSL_CTX_set_verify(client_ctx, SSL_VERIFY_PEER, NULL);
    return 0;
}

static int end(void **state)
{
    (void)state;
    SSL_CTX_free(client_ctx);
    net_stop(100);
    cert_remove(cert, key);
    return 0;
}

static SSL *client_open(int version)
{
    SSL *ssl = SSL_new(client_ctx);

    SSL_set_fd(ssl, net_connect(port));
    if (version)
        SSL_set_max_proto_version(ssl, version);
    assert_int_equal(SSL_set1_host(ssl, "localhost"), 1);
    assert_int_equal(SSL_set_alpn_protos(ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12), 0);
    assert_int_equal(SSL_connect(ssl), 1);
    return ssl;
}

static void client_close(SSL *ssl)
{
    SSL_shutdown(ssl);
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
}

static void say(SSL *ssl, struct str text)
{
    assert_int_equal(SSL_write(ssl, text.p, (int)text.n), text.n);
}

static void read_until(SSL *ssl, struct buf *b, const char *text)
{
    while (!b->data || !memmem(b->data, b->len, text, strlen(text))) {
        char *to = buf_reserve(b, 20000);
        int n = SSL_read(ssl, to, 20000);
        assert_true(n > 0);
        b->len += (size_t)n;
        b->data[b->len] = 0;
    }
}

static void speaks_https(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    (void)state;
    for (int i = 0; i < 2; i++) {
        BUF_AUTO struct buf got = BUF_INIT(0);
        SSL *ssl = client_open(versions[i]);
        const unsigned char *alpn;
        unsigned alpn_len;
        assert_int_equal(SSL_version(ssl), versions[i]);
        SSL_get0_alpn_selected(ssl, &alpn, &alpn_len);
        assert_memory_equal(alpn, "http/1.1", alpn_len);
        say(ssl, STR("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
                     "GET /sleep HTTP/1.1\r\nHost: h\r\n\r\n"));
        read_until(ssl, &got, "tls 3 /a");
        read_until(ssl, &got, "tls 0 /sleep");
        client_close(ssl);
    }
}

static void moves_large_bodies(void **state)
{
    BUF_AUTO struct buf got = BUF_INIT(0), body = BUF_INIT(0);
    SSL *ssl = client_open(0);

    (void)state;
    say(ssl, STR("GET /big HTTP/1.1\r\nHost: h\r\n\r\nGET /after HTTP/1.1\r\nHost: h\r\n\r\n"));
    usleep(30000); /* the server meets a full socket */
    read_until(ssl, &got, "tls 0 /after");
    assert_true(got.len > BIG_BYTES);
    buf_clear(&got);
    buf_addf(&body, "PUT /up HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n%01000000d", 1);
    say(ssl, buf_str(&body));
    read_until(ssl, &got, "tls 1000000 /up");
    client_close(ssl);
}

static void ends_what_asks_for_it(void **state)
{
    BUF_AUTO struct buf got = BUF_INIT(0);
    SSL *ssl = client_open(0);
    char byte;

    (void)state;
    say(ssl, STR("GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    read_until(ssl, &got, "tls 0 /x");
    int n = SSL_read(ssl, &byte, 1);
    assert_int_equal(n, 0);
    assert_int_equal(SSL_get_error(ssl, n), SSL_ERROR_ZERO_RETURN);
    client_close(ssl);
}

static void ws_frame_read(SSL *ssl, struct buf *ahead, struct buf *payload)
{
    unsigned first;

    while (!ws_frame_take(ahead, &first, payload)) {
        char *to = buf_reserve(ahead, 20000);
        int n = SSL_read(ssl, to, 20000);
        assert_true(n > 0);
        ahead->len += (size_t)n;
    }
}

static void speaks_wss(void **state)
{
    BUF_AUTO struct buf got = BUF_INIT(0), frame = BUF_INIT(0), payload = BUF_INIT(0);
    static char big[300000];
    SSL *ssl = client_open(0);

    (void)state;
    say(ssl, STR("GET /gateway HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
    read_until(ssl, &got, "\r\n\r\n");
    buf_consume(&got, (size_t)((char *)memmem(got.data, got.len, "\r\n\r\n", 4) - got.data) + 4);
    ws_frame_read(ssl, &got, &payload);
    assert_buf(&payload, "hello");
    for (int i = 0; i < 20; i++) {
        buf_clear(&frame);
        ws_frame_add(&frame, 0x81, STR("small"));
        say(ssl, buf_str(&frame));
        ws_frame_read(ssl, &got, &payload);
        assert_buf(&payload, "echo:small");
    }
    memset(big, 'w', sizeof(big));
    buf_clear(&frame);
    ws_frame_add(&frame, 0x81, (struct str){big, sizeof(big)});
    say(ssl, buf_str(&frame));
    ws_frame_read(ssl, &got, &payload);
    assert_int_equal(payload.len, sizeof(big) + 5);
    client_close(ssl);
}

/* The second record is decrypted before the upgrade handler's turn has ended. */
static void keeps_the_order_of_frames_sent_with_the_handshake(void **state)
{
    BUF_AUTO struct buf got = BUF_INIT(0), first = BUF_INIT(0), second = BUF_INIT(0), payload = BUF_INIT(0);
    SSL *ssl = client_open(0);
    int on = 1, off = 0;

    (void)state;
    buf_adds(&first, "GET /gateway HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    ws_frame_add(&first, 0x81, STR("one"));
    ws_frame_add(&second, 0x81, STR("two"));
    setsockopt(SSL_get_fd(ssl), IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
    say(ssl, buf_str(&first));
    say(ssl, buf_str(&second));
    setsockopt(SSL_get_fd(ssl), IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
    read_until(ssl, &got, "\r\n\r\n");
    buf_consume(&got, (size_t)((char *)memmem(got.data, got.len, "\r\n\r\n", 4) - got.data) + 4);
    ws_frame_read(ssl, &got, &payload);
    assert_buf(&payload, "hello");
    ws_frame_read(ssl, &got, &payload);
    assert_buf(&payload, "echo:one");
    ws_frame_read(ssl, &got, &payload);
    assert_buf(&payload, "echo:two");
    client_close(ssl);
}

static void drops_who_speaks_something_else(void **state)
{
    BUF_AUTO struct buf got = BUF_INIT(0);
    int plain = net_connect(port), silent = net_connect(port), half = net_connect(port);

    (void)state;
    net_send(plain, STR("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_true(net_read_end(plain, &got));
    assert_null(memmem(got.data, got.len, "HTTP/1.1 2", 10));
    net_send(half, STR("\x16\x03\x01\x02\x00\x01"));
    assert_true(net_read_end(half, &got));
    assert_true(net_read_end(silent, &got));
    close(plain);
    close(silent);
    close(half);
}

static void explains_bad_files(void **state)
{
    BUF_AUTO struct buf err = BUF_INIT(0);
    struct http_listener *l = NULL;
    char mine[64], my_key[64];

    (void)state;
    cert_make(mine, my_key);
    loop_init();
    struct http_listener_options o = {
        .listen = "127.0.0.1:0", .handler = handler, .tls_cert = mine, .tls_key = "/no/such/key"};
    assert_int_equal(http_listener_start(&o, &l, &err), -EINVAL);
    assert_buf(&err, "private key /no/such/key: No such file or directory");
    buf_clear(&err);
    o.tls_cert = my_key;
    assert_int_equal(http_listener_start(&o, &l, &err), -EINVAL);
    assert_true(str_starts(buf_str(&err), STR("certificate /tmp/")));
    loop_done();
    cert_remove(mine, my_key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(speaks_https, begin, end),
        cmocka_unit_test_setup_teardown(moves_large_bodies, begin, end),
        cmocka_unit_test_setup_teardown(ends_what_asks_for_it, begin, end),
        cmocka_unit_test_setup_teardown(speaks_wss, begin, end),
        cmocka_unit_test_setup_teardown(keeps_the_order_of_frames_sent_with_the_handshake, begin, end),
        cmocka_unit_test_setup_teardown(drops_who_speaks_something_else, begin, end),
        cmocka_unit_test(explains_bad_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
