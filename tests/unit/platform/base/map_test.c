/* map.c: both maps against a plain array, with removal while iterating. */
#include "tests/support/cm.h"

#include "platform/base/map.h"
#include <stdio.h>
#include <stdlib.h>

#define KEYS 512

static char marks[KEYS];

static void agrees_with_an_array(void **state)
{
    struct map m = {0};
    void *model[KEYS] = {0};
    size_t count = 0;

    (void)state;
    srand(1);
    for (int step = 0; step < 200000; step++) {
        size_t k = (size_t)rand() % KEYS;
        /* snowflake-like keys: the low bits hardly differ */
        uint64_t key = (uint64_t)k << 22;
        if (rand() % 2) {
            assert_ptr_equal(map_put(&m, key, &marks[k]), model[k]);
            count += model[k] == NULL;
            model[k] = &marks[k];
        } else {
            assert_ptr_equal(map_del(&m, key), model[k]);
            count -= model[k] != NULL;
            model[k] = NULL;
        }
        assert_int_equal(m.count, count);
    }
    for (size_t k = 0; k < KEYS; k++)
        assert_ptr_equal(map_get(&m, (uint64_t)k << 22), model[k]);
    map_done(&m);
}

static void iterates_while_removing(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 300; seed++) {
        struct map m = {0};
        int seen[KEYS] = {0};
        size_t total = 1 + seed % KEYS, kept = 0;
        void *v;

        srand(seed);
        for (size_t k = 0; k < total; k++)
            map_put(&m, (uint64_t)rand() << 32 | k, &marks[k]);
        for (size_t i = 0; (v = map_next(&m, &i)) != NULL;) {
            size_t k = (size_t)((char *)v - marks);
            assert_int_equal((uint32_t)map_key_at(&m, i), k);
            seen[k]++;
            if (rand() % 3 == 0)
                kept++;
            else
                map_del(&m, map_key_at(&m, i));
        }
        for (size_t k = 0; k < total; k++)
            assert_int_equal(seen[k], 1);
        assert_int_equal(m.count, kept);
        map_done(&m);
    }
}

static void keeps_string_keys(void **state)
{
    struct smap m = {0};
    char key[32];
    struct str got;
    void *v;
    size_t seen = 0;

    (void)state;
    assert_null(smap_get(&m, STR("x")));
    assert_null(smap_del(&m, STR("x")));
    for (size_t k = 0; k < KEYS; k++) {
        snprintf(key, sizeof(key), "key-%zu", k);
        assert_null(smap_put(&m, str_c(key), &marks[k]));
    }
    assert_ptr_equal(smap_put(&m, STR("key-7"), &marks[8]), &marks[7]);
    assert_ptr_equal(smap_get(&m, STR("key-7")), &marks[8]);
    for (size_t i = 0; (v = smap_next(&m, &i, &got)) != NULL;) {
        assert_true(str_starts(got, STR("key-")));
        assert_int_equal(got.p[got.n], 0);
        snprintf(key, sizeof(key), "%.*s", STR_ARG(got));
        if (seen++ % 2)
            assert_ptr_equal(smap_del(&m, str_c(key)), v);
    }
    assert_int_equal(seen, KEYS);
    assert_int_equal(m.count, KEYS / 2);
    assert_null(smap_put(&m, STR(""), &marks[0]));
    assert_ptr_equal(smap_get(&m, STR_NONE), &marks[0]);
    smap_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_an_array),
        cmocka_unit_test(iterates_while_removing),
        cmocka_unit_test(keeps_string_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
