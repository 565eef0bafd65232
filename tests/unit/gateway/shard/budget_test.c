/* The budget of commands on one connection. */
#include "gateway/shard/budget.h"
#include "tests/support/cm.h"

#include <stdbool.h>
#include <stdlib.h>

static void room_is_kept_for_heartbeats(void **state)
{
    (void)state;
    assert_int_equal(budget_most(41250), 120 - 2 - 5);
    assert_int_equal(budget_most(1000), 120 - 63 - 5);
    assert_int_equal(budget_most(1), 1);
}

/* However senders come: never more than `most` in a window, and none waits longer than it must. */
static void no_window_holds_more(void **state)
{
    static int64_t sent[3000];
    const unsigned most = 20;
    struct budget b = {0};
    unsigned count = 0;

    (void)state;
    srand(1);
    for (int64_t now = 1000; now < 600000; now += rand() % 3000) {
        int64_t wait = budget_wait_ms(&b, most, now);
        bool free = count < most || now - sent[count - most] >= LIMIT_SHARD_SENDS_WINDOW_MS;

        assert_int_equal(wait == 0, free);
        if (wait > 0) {
            assert_int_equal(budget_wait_ms(&b, most, now + wait), 0);
            assert_true(budget_wait_ms(&b, most, now + wait - 1) > 0);
            continue;
        }
        budget_note(&b, now);
        sent[count++] = now;
    }
    assert_true(count > most * 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_is_kept_for_heartbeats),
        cmocka_unit_test(no_window_holds_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
