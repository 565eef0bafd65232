/* str.c: comparison, numbers at their limits, UTF-8 as RFC 3629 has it. */
#include "tests/support/cm.h"

#include <errno.h>

static void compares_text(void **state)
{
    (void)state;
    assert_true(str_eq(STR("abc"), str_c("abc")));
    assert_true(str_eq(STR_NONE, STR("")));
    assert_false(str_eq(STR("abc"), STR("abd")));
    assert_true(str_eq_nocase(STR("Content-Length"), STR("content-lENGTH")));
    assert_false(str_eq_nocase(STR("[a"), STR("{a")));
    assert_true(str_starts(STR("Bot token"), STR("Bot ")));
    assert_false(str_starts(STR("Bo"), STR("Bot ")));
}

static void reads_numbers(void **state)
{
    uint64_t u = 7;
    int64_t i = 7;

    (void)state;
    assert_int_equal(str_to_u64(STR("18446744073709551615"), &u), 0);
    assert_true(u == UINT64_MAX);
    assert_int_equal(str_to_u64(STR("18446744073709551616"), &u), -ERANGE);
    assert_int_equal(str_to_u64(STR(""), &u), -EINVAL);
    assert_int_equal(str_to_u64(STR("1 "), &u), -EINVAL);
    assert_int_equal(str_to_u64(STR("99999999999999999999x"), &u), -EINVAL);
    assert_true(u == UINT64_MAX);
    assert_int_equal(str_to_i64(STR("-9223372036854775808"), &i), 0);
    assert_true(i == INT64_MIN);
    assert_int_equal(str_to_i64(STR("9223372036854775808"), &i), -ERANGE);
    assert_int_equal(str_to_i64(STR("-"), &i), -EINVAL);
    assert_int_equal(str_to_i64(STR("--1"), &i), -EINVAL);
}

static void counts_code_points(void **state)
{
    static const char *const bad[] = {"\x80",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "abcdefgh\xE2\x82",
                                      "\xFF",
                                      "\xE2\x28\xA1",
                                      "\xF0\x9F\x98"};

    (void)state;
    assert_int_equal(utf8_count(STR("")), 0);
    assert_int_equal(utf8_count(STR("plain text, long enough for words")), 33);
    assert_int_equal(utf8_count(STR("caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80")), 8);
    assert_int_equal(utf8_count(STR("\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF")), 3);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(utf8_count(str_c(bad[i])), -EILSEQ);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_text),
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(counts_code_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
