/* mem.c: the façade's copies and its failing allocation. */
#include "tests/support/cm.h"

#include "platform/base/mem.h"

static void copies_text(void **state)
{
    MEM_AUTO char *a = mem_strdup("hello");
    MEM_AUTO char *b = mem_strndup("hello", 3);
    MEM_AUTO int *zero = MEM_NEW(int);

    (void)state;
    assert_string_equal(a, "hello");
    assert_string_equal(b, "hel");
    assert_int_equal(*zero, 0);
}

static void fails_the_nth_time_only(void **state)
{
    MEM_AUTO char *p = mem_alloc(0);

    (void)state;
    mem_fail_nth(2);
    char *q = mem_try_realloc(p, 10);
    assert_non_null(q);
    p = q;
    assert_null(mem_try_realloc(p, 20));
    q = mem_try_realloc(p, 20);
    assert_non_null(q);
    p = q;
    p = mem_realloc(p, 30);
    p[29] = 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_text),
        cmocka_unit_test(fails_the_nth_time_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
