/* multipart.c: what browsers, undici, aiohttp and eris send, and what nobody should. */
#include "tests/support/cm.h"

#include "platform/api/multipart.h"
#include "platform/base/limits.h"

#include <errno.h>

static struct arena a;
static struct multipart_part *parts;
static unsigned count;

static int parse(const char *body)
{
    return multipart_parse(str_c(body), STR("x"), &a, &parts, &count);
}

static int done(void **state)
{
    (void)state;
    arena_done(&a);
    return 0;
}

static void finds_the_boundary(void **state)
{
    (void)state;
    assert_str(multipart_boundary(&a, STR("multipart/form-data; boundary=abc")), "abc");
    assert_str(multipart_boundary(&a, STR("Multipart/Form-Data;charset=utf-8; Boundary=\"a b\"")), "a b");
    assert_str(multipart_boundary(&a, STR("multipart/form-data; boundary=----------------Eris")),
               "----------------Eris");
    assert_null(multipart_boundary(&a, STR("multipart/form-data")).p);
    assert_null(multipart_boundary(&a, STR("multipart/form-data; boundary=")).p);
    assert_null(multipart_boundary(&a, STR("application/json; boundary=x")).p);
    assert_null(multipart_boundary(&a, STR("")).p);
}

static void reads_parts(void **state)
{
    (void)state;
    assert_int_equal(
        parse("\r\nignored preamble\r\n--x\r\n"
              "Content-Disposition: form-data; name=\"payload_json\"\r\nContent-Type: application/json\r\n\r\n"
              "{\"a\":1}\r\n--x  \r\n"
              "content-disposition:form-data; name=\"files[0]\"; filename=\"a \\\"b\\\".txt\"\r\n\r\n"
              "line\r\n--xy\r\nnot --x a delimiter\r\n\r\n--x--\r\nepilogue"),
        0);
    assert_int_equal(count, 2);
    assert_str(parts[0].name, "payload_json");
    assert_null(parts[0].filename.p);
    assert_str(parts[0].content_type, "application/json");
    assert_str(parts[0].bytes, "{\"a\":1}");
    assert_str(parts[1].name, "files[0]");
    assert_str(parts[1].filename, "a \"b\".txt");
    assert_str(parts[1].bytes, "line\r\n--xy\r\nnot --x a delimiter\r\n");
}

static void reads_names_of_all_kinds(void **state)
{
    (void)state;
    assert_int_equal(
        parse("--x\r\nContent-Disposition: form-data; word; name=plain; filename=\"C:\\dir\\f\"\r\n\r\n\r\n--x\r\n"
              "Content-Disposition: form-data; name=\"f\"; filename=\"fallback\"; "
              "filename*=UTF-8''na%C3%AFve%20file.txt\r\n\r\n\r\n--x--"),
        0);
    assert_int_equal(count, 2);
    assert_str(parts[0].name, "plain");
    assert_str(parts[0].filename, "C:\\dir\\f");
    assert_str(parts[0].bytes, "");
    assert_str(parts[1].filename, "na\xC3\xAFve file.txt");
    assert_int_equal(parse("--x--"), 0);
    assert_int_equal(count, 0);
}

static void refuses_what_is_broken(void **state)
{
    static const char *const bodies[] = {
        "",
        "no delimiter",
        "--x\r\n",                                                             /* no end */
        "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nbytes",      /* no end */
        "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nbytes--x--", /* not at a line's start */
        "--x\r\nContent-Disposition: form-data\r\n\r\nbytes\r\n--x--",         /* no name */
        "--x\r\nno colon\r\n\r\nbytes\r\n--x--",
        "--x\r\nContent-Disposition: form-data; name=\"a\"\r\nbytes\r\n--x--", /* no empty line */
        "--x\r\n\r\n--x--",
        "--x\r\n--x--",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        assert_int_equal(parse(bodies[i]), -EINVAL);
}

static void has_limits(void **state)
{
    struct buf b = BUF_INIT(1 << 20);

    (void)state;
    for (int i = 0; i <= LIMIT_MULTIPART_PARTS; i++)
        buf_adds(&b, "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n");
    buf_adds(&b, "--x--");
    assert_int_equal(parse(b.data), -E2BIG);
    buf_clear(&b);
    buf_adds(&b, "--x\r\nContent-Disposition: form-data; name=\"");
    for (int i = 0; i < LIMIT_MULTIPART_HEAD_BYTES; i++)
        buf_addc(&b, 'a');
    buf_adds(&b, "\"\r\n\r\n\r\n--x--");
    assert_int_equal(parse(b.data), -E2BIG);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(finds_the_boundary, done),
        cmocka_unit_test_teardown(reads_parts, done),
        cmocka_unit_test_teardown(reads_names_of_all_kinds, done),
        cmocka_unit_test_teardown(refuses_what_is_broken, done),
        cmocka_unit_test_teardown(has_limits, done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
