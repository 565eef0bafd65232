/* jw.c: commas, escapes, numbers; what it writes is JSON. */
#include "tests/support/cm.h"

#include "platform/base/jw.h"
#include <math.h>

static void puts_commas_where_due(void **state)
{
    BUF_AUTO struct buf b = BUF_INIT(0);

    (void)state;
    jw_obj(&b);
    jw_kid(&b, "id", 123);
    jw_kid(&b, "none", 0);
    jw_karr(&b, "list");
    jw_u64(&b, 1);
    jw_obj(&b);
    jw_obj_end(&b);
    jw_arr(&b);
    jw_arr_end(&b);
    jw_i64(&b, INT64_MIN);
    jw_arr_end(&b);
    jw_kobj(&b, "o");
    jw_kbool(&b, "yes", true);
    jw_kbool(&b, "no", false);
    jw_obj_end(&b);
    jw_kraw(&b, "raw", STR("[1]"));
    jw_kraw(&b, "empty", STR_NONE);
    jw_knull(&b, "nil");
    jw_kcstr(&b, "ends_in_colon", ":");
    jw_ku64(&b, "u", UINT64_MAX);
    jw_ki64(&b, "i", -5);
    jw_obj_end(&b);
    assert_buf(&b, "{\"id\":\"123\",\"none\":null,\"list\":[1,{},[],-9223372036854775808],"
                   "\"o\":{\"yes\":true,\"no\":false},\"raw\":[1],\"empty\":null,\"nil\":null,"
                   "\"ends_in_colon\":\":\",\"u\":18446744073709551615,\"i\":-5}");
}

static void goes_on_after_a_shared_head(void **state)
{
    BUF_AUTO struct buf b = BUF_INIT(0);

    (void)state;
    buf_adds(&b, "{\"s\":1,");
    jw_kcstr(&b, "t", "X");
    buf_adds(&b, "}\n");
    jw_obj(&b);
    jw_obj_end(&b);
    assert_buf(&b, "{\"s\":1,\"t\":\"X\"}\n{}");
}

static void escapes_text(void **state)
{
    BUF_AUTO struct buf b = BUF_INIT(0);

    (void)state;
    jw_str(&b, (struct str){"a\"b\\c\n\r\t\b\f\x01\x1F\x7F/\0z", 16});
    assert_buf(&b, "\"a\\\"b\\\\c\\n\\r\\t\\b\\f\\u0001\\u001f\x7F/\\u0000z\"");
    buf_clear(&b);
    jw_str(&b, STR("\xC3\xA9\xFFx\xE2\x82"));
    assert_buf(&b, "\"\xC3\xA9\xEF\xBF\xBDx\xEF\xBF\xBD\xEF\xBF\xBD\"");
    buf_clear(&b);
    jw_kcstr(&b, "k", NULL);
    assert_buf(&b, "\"k\":null");
    buf_clear(&b);
    jw_str(&b, STR(""));
    assert_buf(&b, "\"\"");
}

static void writes_numbers_and_times(void **state)
{
    BUF_AUTO struct buf b = BUF_INIT(0);

    (void)state;
    jw_arr(&b);
    jw_double(&b, 1.5);
    jw_double(&b, 65.0);
    jw_double(&b, 0.1234);
    jw_double(&b, 100.0);
    jw_double(&b, -2.25);
    jw_double(&b, (double)NAN);
    jw_time_ms(&b, 0);
    jw_time_ms(&b, INT64_C(1420070400123));
    jw_arr_end(&b);
    assert_buf(&b, "[1.5,65,0.123,100,-2.25,null,null,\"2015-01-01T00:00:00.123000+00:00\"]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_commas_where_due),
        cmocka_unit_test(goes_on_after_a_shared_head),
        cmocka_unit_test(escapes_text),
        cmocka_unit_test(writes_numbers_and_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
