#include "platform/base/limits.h"
#include "platform/protocol/envelope.h"
#include "tests/support/cm.h"

#include <errno.h>
#include <stdio.h>

static void dispatch(void **state)
{
    (void)state;
    struct envelope e;
    assert_int_equal(
        envelope_scan(STR(" {\"s\":42,\"t\":\"MESSAGE_CREATE\",\"op\":0,\"d\": {\"a\":[1,\"}\\\"]\"]} } "), &e), 0);
    assert_int_equal(e.op, 0);
    assert_int_equal(e.seq, 42);
    assert_str(e.type, "MESSAGE_CREATE");
    assert_str(e.data, "{\"a\":[1,\"}\\\"]\"]}");
}

static void what_is_absent(void **state)
{
    (void)state;
    struct envelope e;
    assert_int_equal(envelope_scan(STR("{}"), &e), 0);
    assert_int_equal(e.op, -1);
    assert_int_equal(e.seq, -1);
    assert_null(e.type.p);
    assert_null(e.data.p);
    assert_int_equal(envelope_scan(STR("{\"op\":11,\"s\":null,\"t\":null,\"d\":null}"), &e), 0);
    assert_int_equal(e.op, 11);
    assert_int_equal(e.seq, -1);
    assert_null(e.type.p);
    assert_str(e.data, "null");
}

static void any_order_last_counts_unknown_skipped(void **state)
{
    (void)state;
    struct envelope e;
    assert_int_equal(envelope_scan(STR("{\"x\":[[],{}],\"d\":1,\"op\":2,\"d\":-1.5e3,\"op\":6,\"\":true}"), &e), 0);
    assert_int_equal(e.op, 6);
    assert_str(e.data, "-1.5e3");
}

static void broken(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      " ",
                                      "1",
                                      "[]",
                                      "\"op\"",
                                      "{",
                                      "{\"op\"",
                                      "{\"op\":",
                                      "{\"op\":1",
                                      "{\"op\":1,",
                                      "{\"op\":1,}",
                                      "{,}",
                                      "{\"op\" 1}",
                                      "{op:1}",
                                      "{\"op\":1}x",
                                      "{\"op\":1}{}",
                                      "{\"op\":\"1\"}",
                                      "{\"op\":1.5}",
                                      "{\"op\":true}",
                                      "{\"op\":99999999999999999999}",
                                      "{\"op\":null}",
                                      "{\"s\":\"1\"}",
                                      "{\"t\":1}",
                                      "{\"t\":\"a\\u0062\"}",
                                      "{\"d\":{]}",
                                      "{\"d\":[}}",
                                      "{\"d\":{\"}",
                                      "{\"d\":\"\\\"}",
                                      "{\"d\":}",
                                      "{\"d\":?}",
                                      "{\"d\":{}} }"};
    struct envelope e;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (envelope_scan(str_c(bad[i]), &e) != -EINVAL)
            fail_msg("accepted: %s", bad[i]);
}

static void quotes_and_backslashes(void **state)
{
    (void)state;
    struct envelope e;
    assert_int_equal(envelope_scan(STR("{\"d\":\"\\\\\",\"op\":1}"), &e), 0);
    assert_str(e.data, "\"\\\\\"");
    assert_int_equal(envelope_scan(STR("{\"d\":\"\\\\\\\"\",\"op\":1}"), &e), 0);
    assert_int_equal(envelope_scan(STR("{\"d\":\"\",\"op\":1}"), &e), 0);
    assert_str(e.data, "\"\"");
}

static void depth(void **state)
{
    (void)state;
    char text[512];
    struct envelope e;
    for (unsigned nested = LIMIT_JSON_DEPTH - 1; nested <= LIMIT_JSON_DEPTH; nested++) {
        char *p = text + sprintf(text, "{\"d\":");
        memset(p, '[', nested);
        memset(p + nested, ']', nested);
        strcpy(p + 2 * nested, "}");
        assert_int_equal(envelope_scan(str_c(text), &e), nested < LIMIT_JSON_DEPTH ? 0 : -EINVAL);
    }
}

static int join(struct str value, void *arg)
{
    struct buf *b = arg;
    buf_add_str(b, value);
    buf_addc(b, ';');
    return b->len > 12 ? -E2BIG : 0;
}

static int join_member(struct str key, struct str value, void *arg)
{
    join(key, arg);
    return join(value, arg);
}

static void members_and_elements(void **state)
{
    (void)state;
    BUF_AUTO struct buf b = BUF_INIT(0);
    assert_int_equal(json_members_scan(STR("{\"a\" : [1] ,\"b\":\"c\"}"), join_member, &b), 0);
    assert_buf(&b, "a;[1];b;\"c\";");
    buf_clear(&b);
    assert_int_equal(json_elements_scan(STR("[ 1 , {\"a\":[]} ]"), join, &b), 0);
    assert_buf(&b, "1;{\"a\":[]};");
    buf_clear(&b);
    assert_int_equal(json_elements_scan(STR("[]"), join, &b), 0);
    assert_int_equal(json_elements_scan(STR("[11111111111111111,2]"), join, &b), -E2BIG);
    buf_clear(&b);
    assert_int_equal(json_elements_scan(STR("[1,]"), join, &b), -EINVAL);
    assert_int_equal(json_elements_scan(STR("{}"), join, &b), -EINVAL);
    assert_int_equal(json_members_scan(STR("[]"), join_member, &b), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dispatch),
        cmocka_unit_test(what_is_absent),
        cmocka_unit_test(any_order_last_counts_unknown_skipped),
        cmocka_unit_test(broken),
        cmocka_unit_test(quotes_and_backslashes),
        cmocka_unit_test(depth),
        cmocka_unit_test(members_and_elements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
