#include "platform/base/limits.h"
#include "platform/protocol/json_read.h"
#include "tests/support/cm.h"

#include <errno.h>
#include <jansson.h>

static void reads(void **state)
{
    (void)state;
    json_t *v;
    BUF_AUTO struct buf err = BUF_INIT(0);
    assert_int_equal(json_read(STR("{\"a\":1,\"a\":2}"), &v, &err), 0);
    assert_int_equal(json_integer_value(json_object_get(v, "a")), 2);
    json_decref(v);
    assert_int_equal(json_read(STR("[]"), &v, NULL), 0);
    json_decref(v);
    assert_int_equal(err.len, 0);
}

static void refuses(void **state)
{
    (void)state;
    json_t *v;
    BUF_AUTO struct buf err = BUF_INIT(0);
    assert_int_equal(json_read(STR("{\"a\":"), &v, &err), -EINVAL);
    assert_true(err.len > 0);
    assert_int_equal(json_read(STR(""), &v, NULL), -EINVAL);
    assert_int_equal(json_read(STR_NONE, &v, NULL), -EINVAL);
    assert_int_equal(json_read(STR("\"\xff\""), &v, NULL), -EINVAL);
}

static void depth(void **state)
{
    (void)state;
    char text[2 * LIMIT_JSON_DEPTH + 2];
    json_t *v;
    memset(text, '[', LIMIT_JSON_DEPTH + 1);
    memset(text + LIMIT_JSON_DEPTH + 1, ']', LIMIT_JSON_DEPTH + 1);
    assert_int_equal(json_read((struct str){text, sizeof text}, &v, NULL), -E2BIG);
    assert_int_equal(json_read((struct str){text + 1, sizeof text - 2}, &v, NULL), 0);
    json_decref(v);
    /* brackets inside strings are text */
    assert_true(json_depth_ok(STR("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"]")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),
        cmocka_unit_test(refuses),
        cmocka_unit_test(depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
