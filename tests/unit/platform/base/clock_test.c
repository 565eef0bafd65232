/* clock.c: ISO 8601 both ways. */
#include "tests/support/cm.h"

#include "platform/base/clock.h"
#include <errno.h>

static void formats(void **state)
{
    char text[33];

    (void)state;
    clock_format_iso(INT64_C(1700000000123), text);
    assert_string_equal(text, "2023-11-14T22:13:20.123000+00:00");
    clock_format_iso(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999000+00:00");
}

static void reads_what_it_writes(void **state)
{
    char text[33];

    (void)state;
    for (int64_t ms = -10000000000000; ms < 10000000000000; ms += 98765432109) {
        int64_t back = 0;
        clock_format_iso(ms, text);
        assert_int_equal(clock_parse_iso(str_c(text), &back), 0);
        assert_true(back == ms);
    }
}

static void reads_other_forms(void **state)
{
    int64_t ms = 0;

    (void)state;
    assert_int_equal(clock_parse_iso(STR("2023-11-14T22:13:20Z"), &ms), 0);
    assert_true(ms == INT64_C(1700000000000));
    assert_int_equal(clock_parse_iso(STR("2023-11-15T00:13:20.5+02:00"), &ms), 0);
    assert_true(ms == INT64_C(1700000000500));
    assert_int_equal(clock_parse_iso(STR("2024-02-29T00:00:00.123456789-0030"), &ms), 0);
    assert_true(ms == INT64_C(1709166600123));
}

static void refuses_the_rest(void **state)
{
    static const char *const bad[] = {"",
                                      "2023-11-14",
                                      "2023-11-14T22:13:20",
                                      "2023-02-29T00:00:00Z",
                                      "2023-13-01T00:00:00Z",
                                      "2023-11-14T24:00:00Z",
                                      "2023-11-14T22:13:20.Z",
                                      "2023-11-14T22:13:20Zx",
                                      "2023-11-00T00:00:00Z",
                                      "2023-11-14T22:13:20+25:00"};
    int64_t ms = 42;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(clock_parse_iso(str_c(bad[i]), &ms), -EINVAL);
    assert_int_equal(ms, 42);
    assert_true(clock_mono_ms() <= (int64_t)(clock_mono_ns() / 1000000));
    assert_true(clock_wall_ms() > INT64_C(1700000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats),
        cmocka_unit_test(reads_what_it_writes),
        cmocka_unit_test(reads_other_forms),
        cmocka_unit_test(refuses_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
