/* buf.c: growth, the limit, a failing allocator, handing the bytes over. */
#include "tests/support/cm.h"

#include "platform/base/mem.h"

static void grows_and_terminates(void **state)
{
    BUF_AUTO struct buf b = BUF_INIT(0);

    (void)state;
    buf_adds(&b, "n=");
    buf_add_u64(&b, UINT64_MAX);
    buf_addc(&b, ' ');
    buf_add_u64(&b, 0);
    buf_addf(&b, " %s", "x");
    assert_string_equal(b.data, "n=18446744073709551615 0 x");
    buf_consume(&b, 2);
    assert_string_equal(b.data, "18446744073709551615 0 x");
    buf_clear(&b);
    buf_addf(&b, "%0500d", 7);
    assert_int_equal(b.len, 500);
    assert_int_equal(b.data[499], '7');
    assert_int_equal(b.data[500], 0);
    buf_consume(&b, 9999);
    assert_int_equal(b.len, 0);
}

static void fails_over_its_limit(void **state)
{
    BUF_AUTO struct buf b = BUF_INIT(10);

    (void)state;
    buf_adds(&b, "0123456789");
    assert_false(buf_failed(&b));
    buf_addc(&b, 'x');
    assert_true(buf_failed(&b));
    assert_null(buf_reserve(&b, 1));
    buf_addf(&b, "%s", "more");
    assert_int_equal(b.len, 10);
    assert_null(buf_steal(&b, NULL));
    assert_false(buf_failed(&b));
    buf_adds(&b, "again");
    assert_buf(&b, "again");
}

static void survives_a_failed_allocation(void **state)
{
    BUF_AUTO struct buf b = BUF_INIT(0);

    (void)state;
    buf_adds(&b, "kept");
    mem_fail_nth(1);
    assert_null(buf_reserve(&b, 100000));
    assert_true(buf_failed(&b));
    assert_string_equal(b.data, "kept");
}

static void hands_its_bytes_over(void **state)
{
    BUF_AUTO struct buf b = BUF_INIT(0);
    size_t len = 99;

    (void)state;
    char *empty = buf_steal(&b, &len);
    assert_non_null(empty);
    assert_int_equal(len, 0);
    mem_free(empty);
    buf_adds(&b, "abc");
    char *abc = buf_steal(&b, &len);
    assert_string_equal(abc, "abc");
    assert_int_equal(len, 3);
    assert_null(b.data);
    mem_free(abc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_terminates),
        cmocka_unit_test(fails_over_its_limit),
        cmocka_unit_test(survives_a_failed_allocation),
        cmocka_unit_test(hands_its_bytes_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
