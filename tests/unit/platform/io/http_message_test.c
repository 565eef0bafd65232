/* http_message.c: decoding what a request carries, and the head of an answer. */
#include "tests/support/cm.h"

#include "platform/io/http_message.h"

static void decodes_percent(void **state)
{
    struct arena a = {0};

    (void)state;
    assert_str(http_percent_decode(&a, STR("a%20b%2fc+d"), false), "a b/c+d");
    assert_str(http_percent_decode(&a, STR("a+b"), true), "a b");
    assert_str(http_percent_decode(&a, STR("%F0%9F%98%80"), false), "\xF0\x9F\x98\x80");
    assert_str(http_percent_decode(&a, STR(""), false), "");
    assert_null(http_percent_decode(&a, STR("%"), false).p);
    assert_null(http_percent_decode(&a, STR("%2"), false).p);
    assert_null(http_percent_decode(&a, STR("x%2g"), false).p);
    arena_done(&a);
}

static void finds_query_parameters(void **state)
{
    struct http_request r = {.query = STR("limit=50&&around=1%32&flag&e=&limit=9")};

    (void)state;
    assert_str(http_request_query(&r, "limit"), "50");
    assert_str(http_request_query(&r, "around"), "12");
    assert_str(http_request_query(&r, "flag"), "");
    assert_str(http_request_query(&r, "e"), "");
    assert_null(http_request_query(&r, "lim").p);
    assert_null(http_request_query(&r, "missing").p);
    arena_done(&r.arena);
}

static void finds_headers_in_any_case(void **state)
{
    struct http_header headers[] = {{STR("content-TYPE"), STR("text/plain")}, {STR("X"), STR("")}};
    struct http_request r = {.headers = headers, .header_count = 2};

    (void)state;
    assert_str(http_request_header(&r, "Content-Type"), "text/plain");
    assert_non_null(http_request_header(&r, "x").p);
    assert_null(http_request_header(&r, "Authorization").p);
}

static void writes_the_head(void **state)
{
    struct http_response res = {.status = 201, .file_fd = -1};
    BUF_AUTO struct buf out = BUF_INIT(0);

    (void)state;
    buf_adds(&res.body, "{}");
    http_response_header(&res, "X-Name", "%s", "evil\r\nSet-Cookie: x");
    http_head_write(&out, &res, &(struct http_head_options){.via = "1.1 guildhall", .keep_alive = true});
    assert_true(str_starts(buf_str(&out), STR("HTTP/1.1 201 Created\r\nDate: ")));
    assert_non_null(strstr(out.data, " GMT\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
                                     "Via: 1.1 guildhall\r\nX-Name: evil  Set-Cookie: x\r\n\r\n"));
    buf_clear(&out);
    res.status = 204;
    http_head_write(&out, &res, &(struct http_head_options){.keep_alive = false});
    assert_null(strstr(out.data, "Content-"));
    assert_non_null(strstr(out.data, "Connection: close\r\n"));
    buf_done(&res.body);
    buf_done(&res.head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_percent),
        cmocka_unit_test(finds_query_parameters),
        cmocka_unit_test(finds_headers_in_any_case),
        cmocka_unit_test(writes_the_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
