/* http_answer.c and http_request.c: every framing of an answer, cut at every byte; requests as they go on the wire. */
#include "tests/support/cm.h"

#include "platform/io/http_answer.h"
#include "platform/io/http_request.h"
#include <errno.h>
#include <stdio.h>

#define HEAD_MAX 200
#define BODY_MAX 50

/* Reads one answer, cut at `cut`, then the connection's end; as "STATUS [headers] body (keep)" or "error N". */
static void read_cut(struct str text, size_t cut, bool to_head, struct buf *out)
{
    BUF_AUTO struct buf headers = BUF_INIT(HEAD_MAX), body = BUF_INIT(BODY_MAX);
    struct str parts[2] = {{text.p, cut}, {text.p + cut, text.n - cut}};
    struct http_answer a;
    int got = 0;

    http_answer_begin(&a, to_head, &headers, &body);
    for (int i = 0; i < 2 && got == 0; i++) {
        size_t used;
        got = http_answer_feed(&a, parts[i].p, parts[i].n, &used);
        if (got == 1 && used + (i ? cut : 0) != text.n)
            buf_addf(out, "%zu left: ", text.n - used - (i ? cut : 0));
    }
    if (got == 0)
        got = http_answer_end(&a);
    for (size_t i = 0; i < headers.len; i++)
        headers.data[i] = (char)(headers.data[i] == '\r' ? '|' : headers.data[i] == '\n' ? ' ' : headers.data[i]);
    if (got < 0)
        buf_addf(out, "error %d", -got);
    else
        buf_addf(out, "%d [%.*s] %.*s%s", a.status, STR_ARG(buf_str(&headers)), STR_ARG(buf_str(&body)),
                 a.keep_alive ? "" : " close");
}

static void reads(const char *text, bool to_head, const char *want)
{
    size_t n = strlen(text);

    for (size_t cut = 0; cut <= n; cut++) {
        BUF_AUTO struct buf got = BUF_INIT(0);
        read_cut((struct str){text, n}, cut, to_head, &got);
        assert_string_equal(got.data, want);
    }
}

static void reads_every_framing(void **state)
{
    (void)state;
    reads("HTTP/1.1 200 OK\r\nX-A:  b c \t\r\nContent-Length: 2\r\n\r\nok", false,
          "200 [x-a: b c| content-length: 2| ] ok");
    reads("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\nT: 1\r\n\r\n", false,
          "200 [transfer-encoding: chunked| ] abc");
    reads("HTTP/1.1 200 OK\r\n\r\nto the end", false, "200 [] to the end close");
    reads("HTTP/1.1 204 No Content\r\nX-A:\r\n\r\n", false, "204 [x-a: | ] ");
    reads("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false, "304 [content-length: 9| ] ");
    reads("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true, "200 [content-length: 9| ] ");
    reads("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false,
          "200 [content-length: 0| connection: close| ]  close");
    reads("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false, "200 [content-length: 1| ] x close");
    reads("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\n"
          "Content-Length: 1\r\n\r\nx",
          false, "201 [content-length: 1| ] x");
}

static void refuses(const char *text, int error)
{
    char want[20];

    snprintf(want, sizeof(want), "error %d", error);
    reads(text, false, want);
}

static void refuses_what_is_not_clear(void **state)
{
    (void)state;
    refuses("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", EPROTO);
    refuses("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", EPROTO);
    refuses("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", EPROTO);
    refuses("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", EPROTO);
    refuses("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", EPROTO);
    refuses("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", EPROTO);
    refuses("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", EPROTO);
    refuses("HTTP/1.1 200 OK\r\nX A: 1\r\n\r\n", EPROTO);
    refuses("HTTP/2.0 200 OK\r\n\r\n", EPROTO);
    refuses("rubbish", EPROTO);
    refuses("HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n", EMSGSIZE);
    refuses("HTTP/1.1 200 OK\r\n\r\n123456789012345678901234567890123456789012345678901", EMSGSIZE);
}

static void limits_the_head(void **state)
{
    char text[400];

    (void)state;
    snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nX-A: %0200d\r\n\r\n", 0);
    refuses(text, EMSGSIZE);
}

static void says_how_much_it_took(void **state)
{
    (void)state;
    BUF_AUTO struct buf got = BUF_INIT(0);

    read_cut(STR("HTTP/1.1 204 No Content\r\n\r\nHTTP"), 0, false, &got);
    assert_string_equal(got.data, "4 left: 204 [] ");
}

static void reads_how_long_the_peer_waits(void **state)
{
    BUF_AUTO struct buf headers = BUF_INIT(0), body = BUF_INIT(0);
    struct str text = STR("HTTP/1.1 204 No Content\r\nKeep-Alive: max=9, timeout=5\r\n\r\n");
    struct http_answer a;
    size_t used;

    (void)state;
    http_answer_begin(&a, false, &headers, &body);
    assert_int_equal(http_answer_feed(&a, text.p, text.n, &used), 1);
    assert_int_equal(a.idle_s, 5);
}

/* --- requests --- */

static void writes(const struct http_call_options *o, const char *want)
{
    BUF_AUTO struct buf got = BUF_INIT(0);
    struct http_url u;

    int r = http_url_parse(str_c(o->url), &u);
    if (r == 0)
        r = http_request_write(&got, o, &u, "me/1");
    assert_int_equal(r, want ? 0 : -EINVAL);
    if (want)
        assert_string_equal(got.data, want);
}

static void writes_requests(void **state)
{
    static const char *const headers[] = {"X-A: 1", "content-length: 7", "Transfer-Encoding: x", "Connection: x", NULL};
    static const char *const own[] = {"Host: h", "User-Agent: you", NULL};

    (void)state;
    writes(&(struct http_call_options){.method = "GET", .url = "http://a.b", .headers = headers},
           "GET / HTTP/1.1\r\nX-A: 1\r\nHost: a.b\r\nUser-Agent: me/1\r\n\r\n");
    writes(&(struct http_call_options){.method = "GET", .url = "http://[::1]:80/x?y#z", .headers = own},
           "GET /x?y HTTP/1.1\r\nHost: h\r\nUser-Agent: you\r\n\r\n");
    writes(&(struct http_call_options){.method = "DELETE", .url = "HTTP://a:1?q", .headers = own},
           "DELETE /?q HTTP/1.1\r\nHost: h\r\nUser-Agent: you\r\n\r\n");
    writes(&(struct http_call_options){.method = "POST", .url = "http://a/", .headers = own, .body = STR("ab")},
           "POST / HTTP/1.1\r\nHost: h\r\nUser-Agent: you\r\nContent-Length: 2\r\n\r\nab");
    writes(&(struct http_call_options){.method = "PUT", .url = "http://a/", .headers = own},
           "PUT / HTTP/1.1\r\nHost: h\r\nUser-Agent: you\r\nContent-Length: 0\r\n\r\n");
}

static void refuses_what_would_be_two_requests(void **state)
{
    static const char *const urls[] = {"http://a/b c",
                                       "http://a/\r\nX: 1",
                                       "http://",
                                       "https://a/",
                                       "http://a:0/",
                                       "http://a:99999/",
                                       "http://[::1",
                                       "http://u:p@a/",
                                       "http://a:80x/",
                                       "http:///x",
                                       "a"};
    static const char *const lines[] = {"X: a\r\nY: b", "X", ": a", "X Y: a", "X: \x01"};

    (void)state;
    for (unsigned i = 0; i < sizeof(urls) / sizeof(*urls); i++)
        writes(&(struct http_call_options){.method = "GET", .url = urls[i]}, NULL);
    for (unsigned i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        const char *headers[] = {lines[i], NULL};
        writes(&(struct http_call_options){.method = "GET", .url = "http://a/", .headers = headers}, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_framing),
        cmocka_unit_test(refuses_what_is_not_clear),
        cmocka_unit_test(limits_the_head),
        cmocka_unit_test(says_how_much_it_took),
        cmocka_unit_test(reads_how_long_the_peer_waits),
        cmocka_unit_test(writes_requests),
        cmocka_unit_test(refuses_what_would_be_two_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
