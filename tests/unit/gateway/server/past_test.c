/* What other nodes dispatched: until when, for which sessions, for how long. */
#include "gateway/server/server.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/snowflake.h"
#include "tests/support/cm.h"

static struct gateway g;

/* Made so long ago. */
static uint64_t event(int64_t age_ms, unsigned n)
{
    return (uint64_t)(clock_wall_ms() - age_ms - SNOWFLAKE_EPOCH_MS) << 22 | n;
}

static bool had(uint64_t id, const struct past_home *homes, unsigned count)
{
    struct past_hits h;
    past_find(&g, id, &h);
    return past_had(&h, homes, count);
}

static void up_to_an_entry(void **state)
{
    (void)state;
    uint64_t early = event(60000, 1), late = event(60000, 2), young = event(0, 3);
    list_init(&g.pasts);
    struct past *a = past_new(&g, "a"), *b = past_new(&g, "b");
    past_add(a, early, 4), past_add(a, early, 9), past_add(a, late, 5), past_add(a, young, 4), past_add(b, late, 1);
    struct past_home home = {.past = a, .entry = 4};
    assert_true(had(early, &home, 1)); /* the first entry counts */
    assert_false(had(late, &home, 1));
    assert_false(had(young, &home, 1)); /* nobody publishes it again yet */
    assert_false(had(event(60000, 4), &home, 1));
    struct past_home both[] = {{.past = b, .entry = 9}, home};
    assert_true(had(late, both, 2));
    assert_true(had(early, both, 2));
    assert_false(had(early, both, 1)); /* not dispatched there */
    past_unref(a), past_unref(b);
    assert_true(list_empty(&g.pasts));
}

static void forgotten_after_a_while(void **state)
{
    (void)state;
    uint64_t id = event(60000, 1);
    list_init(&g.pasts);
    struct past *a = past_new(&g, "a");
    past_add(a, id, 1);
    struct past_home home = {.past = a, .entry = 1};
    past_tick(&g, clock_mono_ms() + LIMIT_PAST_MS / 2);
    assert_true(had(id, &home, 1));
    past_tick(&g, clock_mono_ms() + LIMIT_PAST_MS + 1);
    assert_false(had(id, &home, 1));
    assert_string_equal(past_run(a), "a"); /* its sessions still hold it */
    past_unref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(up_to_an_entry), cmocka_unit_test(forgotten_after_a_while)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
