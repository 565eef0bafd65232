/* arena.c: alignment, zeroed memory, blocks small and large. */
#include "tests/support/cm.h"

#include "platform/base/arena.h"

static void allocates_zeroed_and_aligned(void **state)
{
    struct arena a = {0};

    (void)state;
    for (size_t size = 0; size < 5000; size += 37) {
        unsigned char *p = arena_alloc(&a, size);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xAA, size);
    }
    unsigned char *big = arena_alloc(&a, 1 << 20);
    big[(1 << 20) - 1] = 1;
    assert_true(a.used_bytes > 1 << 20);
    arena_done(&a);
    assert_null(a.head);
}

static void copies_text(void **state)
{
    struct arena a = {0};

    (void)state;
    assert_string_equal(arena_strdup(&a, (struct str){"abcdef", 3}), "abc");
    assert_str(arena_str(&a, STR("guild")), "guild");
    assert_null(arena_str(&a, STR_NONE).p);
    assert_non_null(arena_str(&a, STR("")).p);
    assert_str(arena_printf(&a, "%s/%d", "channels", 12), "channels/12");
    int *many = ARENA_ARRAY(&a, int, 100);
    assert_int_equal(many[99], 0);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocates_zeroed_and_aligned),
        cmocka_unit_test(copies_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
