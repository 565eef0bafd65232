/* http_reader.c: every framing of a request, cut at every byte, and what is refused with which status. */
#include "tests/support/cm.h"

#include "platform/base/limits.h"
#include "platform/io/http_reader.h"
#include <stdio.h>

struct seen {
    struct buf text; /* each request as `METHOD path?query [name=value,...] body\n` */
    int status;
    unsigned continues;
};

static void note(struct seen *seen, struct http_reader *r)
{
    struct http_request req = {0};
    struct buf body;

    http_reader_take(r, &req, &body);
    buf_addf(&seen->text, "%s %.*s?%.*s [", http_method_name(req.method), STR_ARG(req.path), STR_ARG(req.query));
    for (unsigned i = 0; i < req.header_count; i++)
        if (str_starts(req.headers[i].name, STR("X-")))
            buf_addf(&seen->text, "%.*s=%.*s,", STR_ARG(req.headers[i].name), STR_ARG(req.headers[i].value));
    buf_addf(&seen->text, "] %.*s%s%s\n", STR_ARG(req.body), r->keep_alive ? "" : " close",
             r->upgrade ? " upgrade" : "");
    http_reader_body_freed(req.body.n);
    arena_done(&req.arena);
    buf_done(&body);
}

/* Feeds the text in two parts, cut at `cut`. */
static void feed_cut(struct str text, size_t cut, struct seen *seen)
{
    struct http_reader r;
    struct str parts[2] = {{text.p, cut}, {text.p + cut, text.n - cut}};

    http_reader_init(&r, 1000);
    for (int i = 0; i < 2; i++) {
        while (parts[i].n && !seen->status) {
            size_t used;
            int got = http_reader_feed(&r, parts[i].p, parts[i].n, &used);
            parts[i] = (struct str){parts[i].p + used, parts[i].n - used};
            seen->continues += r.continue_due;
            r.continue_due = false;
            if (got < 0)
                seen->status = -got;
            else if (got == 1)
                note(seen, &r);
            else
                assert_int_equal(parts[i].n, 0);
        }
    }
    http_reader_done(&r);
    assert_int_equal(http_reader_bodies_bytes(), 0);
}

static void reads_all_cuts(const char *text, const char *want)
{
    size_t n = strlen(text);

    for (size_t cut = 0; cut <= n; cut++) {
        struct seen seen = {0};
        feed_cut((struct str){text, n}, cut, &seen);
        assert_int_equal(seen.status, 0);
        assert_buf(&seen.text, want);
        buf_done(&seen.text);
    }
}

static void refuses_all_cuts(const char *text, int status)
{
    size_t n = strlen(text);

    for (size_t cut = 0; cut <= n; cut++) {
        struct seen seen = {0};
        feed_cut((struct str){text, n}, cut, &seen);
        if (seen.status != status)
            print_error("cut at %zu: %s", cut, text);
        assert_int_equal(seen.status, status);
        buf_done(&seen.text);
    }
}

static void reads_every_framing(void **state)
{
    (void)state;
    reads_all_cuts("GET /a/b?x=1&y HTTP/1.1\r\nHost: h\r\nX-One:  1 \r\nX-Two:\r\n\r\n",
                   "GET /a/b?x=1&y [X-One=1,X-Two=,] \n");
    reads_all_cuts("POST /none HTTP/1.1\r\nHost: h\r\n\r\n", "POST /none? [] \n");
    reads_all_cuts("POST /zero HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "POST /zero? [] \n");
    reads_all_cuts("POST /five HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "POST /five? [] hello\n");
    reads_all_cuts("PATCH /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\nX-Trailer: t\r\n\r\n",
                   "PATCH /c? [] abc0123456789\n");
    reads_all_cuts("DELETE /d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "DELETE /d? [] \n");
    reads_all_cuts("GET / HTTP/1.0\r\n\r\n", "GET /? []  close\n");
    reads_all_cuts("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET /? [] \n");
    reads_all_cuts("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "GET /? []  close\n");
    reads_all_cuts("\r\n\r\nPUT http://host:80/abs?q#f HTTP/1.1\r\nHost: h\r\n\r\n", "PUT /abs?q [] \n");
    reads_all_cuts("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS *? [] \n");
    reads_all_cuts("PROPFIND /w HTTP/1.1\r\nHost: h\r\n\r\n", "OTHER /w? [] \n");
}

static void reads_pipelines(void **state)
{
    (void)state;
    reads_all_cuts("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"
                   "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"
                   "POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
                   "HEAD /4 HTTP/1.1\r\nHost: h\r\n\r\n",
                   "GET /1? [] \nPOST /2? [] ab\nPOST /3? [] x\nHEAD /4? [] \n");
}

static void tells_when_to_say_continue(void **state)
{
    static const char text[] = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    struct seen seen = {0};

    (void)state;
    feed_cut(str_c(text), 10, &seen);
    assert_int_equal(seen.continues, 1);
    seen.continues = 0;
    feed_cut(STR("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n"), 10, &seen);
    assert_int_equal(seen.continues, 0);
    feed_cut(STR("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"), 10, &seen);
    assert_int_equal(seen.continues, 0);
    buf_done(&seen.text);
    refuses_all_cuts("POST / HTTP/1.1\r\nHost: h\r\nExpect: other\r\nContent-Length: 2\r\n\r\n", 417);
}

static void sees_upgrades_to_websocket_only(void **state)
{
    (void)state;
    reads_all_cuts("GET /g HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n",
                   "GET /g? []  upgrade\n");
    reads_all_cuts("GET /h2 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "GET /h2? [] \n");
    reads_all_cuts(
        "POST /g HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
        "POST /g? [] x\n");
    reads_all_cuts("GET /g HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n", "GET /g? [] \n");
}

static void refuses_what_is_malformed(void **state)
{
    (void)state;
    refuses_all_cuts("GET / HTTP/1.1\r\n\r\n", 400);
    refuses_all_cuts("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400);
    refuses_all_cuts("\x16\x03\x01\x02", 400);
    refuses_all_cuts("GET /\r\n\r\n", 505);
    refuses_all_cuts("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505);
    refuses_all_cuts("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", 501);
    refuses_all_cuts("GET / HTTP/1.1\r\nHost: h\r\nBad Name: x\r\n\r\n", 400);
    refuses_all_cuts("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400);
    refuses_all_cuts("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400);
    /* the classic ways to smuggle a second request past a proxy */
    refuses_all_cuts("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                     400);
    refuses_all_cuts("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501);
    refuses_all_cuts("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501);
    refuses_all_cuts("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
    refuses_all_cuts("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400);
    refuses_all_cuts("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naX\n0\r\n\r\n", 400);
    refuses_all_cuts("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\rX0\r\n\r\n", 400);
    refuses_all_cuts("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\rXa\r\n0\r\n\r\n", 400);
    refuses_all_cuts("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naXY0\r\n\r\n", 400);
    refuses_all_cuts("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n", 400);
    refuses_all_cuts("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400);
    refuses_all_cuts("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400);
}

static void refuses_what_is_too_much(void **state)
{
    BUF_AUTO struct buf text = BUF_INIT(0);

    (void)state;
    refuses_all_cuts("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n", 413);
    buf_adds(&text, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n");
    buf_addf(&text, "%01001d\r\n0\r\n\r\n", 7);
    refuses_all_cuts(text.data, 413);
    buf_clear(&text);
    buf_adds(&text, "GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < LIMIT_HTTP_HEADERS; i++)
        buf_addf(&text, "A%d: x\r\n", i);
    buf_adds(&text, "\r\n");
    refuses_all_cuts(text.data, 431);
    buf_clear(&text);
    struct seen seen = {0};
    buf_addf(&text, "GET /%0*d HTTP/1.1\r\nHost: h\r\n\r\n", (int)LIMIT_HTTP_HEAD_BYTES, 0);
    feed_cut(buf_str(&text), 100, &seen);
    assert_int_equal(seen.status, 431);
    /* a line that never ends */
    seen.status = 0;
    feed_cut((struct str){text.data, LIMIT_HTTP_HEAD_BYTES + 5}, LIMIT_HTTP_HEAD_BYTES, &seen);
    assert_int_equal(seen.status, 431);
}

static void takes_a_body_of_exactly_the_limit(void **state)
{
    BUF_AUTO struct buf text = BUF_INIT(0);
    struct seen seen = {0};

    (void)state;
    buf_addf(&text, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n%01000d", 7);
    feed_cut(buf_str(&text), 200, &seen);
    assert_int_equal(seen.status, 0);
    assert_true(seen.text.len > 1000);
    buf_done(&seen.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_framing),
        cmocka_unit_test(reads_pipelines),
        cmocka_unit_test(tells_when_to_say_continue),
        cmocka_unit_test(sees_upgrades_to_websocket_only),
        cmocka_unit_test(refuses_what_is_malformed),
        cmocka_unit_test(refuses_what_is_too_much),
        cmocka_unit_test(takes_a_body_of_exactly_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
