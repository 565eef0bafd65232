/* snowflake.c: rising, also over threads; the parts in their places; what parses. */
#include "tests/support/cm.h"

#include "platform/base/clock.h"
#include "platform/base/snowflake.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define IDS 50000

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void *make_ids(void *arg)
{
    uint64_t *ids = arg;

    for (size_t i = 0; i < IDS; i++)
        ids[i] = snowflake_next();
    return NULL;
}

static void rises_and_never_repeats(void **state)
{
    static uint64_t ids[2 * IDS];
    pthread_t threads[2];

    (void)state;
    snowflake_init(1023);
    for (size_t t = 0; t < 2; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, make_ids, ids + t * IDS), 0);
    for (size_t t = 0; t < 2; t++)
        pthread_join(threads[t], NULL);
    for (size_t i = 1; i < 2 * IDS; i++)
        assert_true(i == IDS || ids[i] > ids[i - 1]);
    qsort(ids, 2 * IDS, sizeof(ids[0]), by_value);
    for (size_t i = 1; i < 2 * IDS; i++)
        assert_true(ids[i] != ids[i - 1]);
    assert_int_equal((ids[0] >> 12) & 0x3FF, 1023);
    assert_true(llabs(snowflake_ms(ids[0]) - clock_wall_ms()) < 10000);
}

static void parses(void **state)
{
    uint64_t id = 5;

    (void)state;
    assert_int_equal(snowflake_parse(STR("175928847299117063"), &id), 0);
    assert_true(id == UINT64_C(175928847299117063));
    assert_true(snowflake_ms(id) == INT64_C(1462015105796));
    assert_int_equal(snowflake_parse(STR("0"), &id), -EINVAL);
    assert_int_equal(snowflake_parse(STR(""), &id), -EINVAL);
    assert_int_equal(snowflake_parse(STR("@me"), &id), -EINVAL);
    assert_int_equal(snowflake_parse(STR("9223372036854775808"), &id), -EINVAL);
    assert_int_equal(snowflake_parse(STR("000000000000000000001"), &id), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rises_and_never_repeats),
        cmocka_unit_test(parses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
