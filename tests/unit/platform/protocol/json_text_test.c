#include "platform/protocol/json_text.h"
#include "tests/support/cm.h"

#include <errno.h>

static void members(void **state)
{
    (void)state;
    struct str o = STR("{\"a\":{\"id\":\"5\"}, \"id\" : \"12\",\"n\":7,\"s\":null}");
    assert_str(json_member(o, STR("a")), "{\"id\":\"5\"}");
    assert_null(json_member(o, STR("b")).p);
    assert_null(json_member(STR("[1]"), STR("a")).p);
    assert_int_equal(json_member_id(o, STR("id")), 12);
    assert_int_equal(json_member_id(o, STR("n")), 7);
    assert_int_equal(json_member_id(o, STR("s")), 0);
    assert_int_equal(json_member_id(o, STR("missing")), 0);
}

static void numbers(void **state)
{
    (void)state;
    uint64_t v;
    assert_int_equal(json_u64(STR("\"18446744073709551615\""), &v), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(json_u64(STR("0"), &v), 0);
    assert_int_equal(json_u64(STR("-1"), &v), -EINVAL);
    assert_int_equal(json_u64(STR_NONE, &v), -EINVAL);
    assert_int_equal(json_id(STR("\"x\""), &v), -EINVAL);
}

static void copies_all_but_some(void **state)
{
    (void)state;
    const struct str skip[] = {STR("b"), STR("d")};
    BUF_AUTO struct buf b = BUF_INIT(0);
    buf_adds(&b, "{");
    assert_int_equal(json_members_copy(&b, STR("{ \"b\":1 ,\"a\": [2] ,\"c\":\"}\",\"d\":{}}"), skip, 2), 0);
    assert_int_equal(json_members_copy(&b, STR("{}"), skip, 2), 0);
    assert_int_equal(json_members_copy(&b, STR("{\"e\":null}"), NULL, 0), 0);
    assert_buf(&b, "{\"a\":[2],\"c\":\"}\",\"e\":null");
    assert_int_equal(json_members_copy(&b, STR("{\"e\"}"), NULL, 0), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members),
        cmocka_unit_test(numbers),
        cmocka_unit_test(copies_all_but_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
