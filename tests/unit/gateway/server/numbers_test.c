#include "gateway/server/numbers.h"
#include "platform/base/limits.h"
#include "tests/support/cm.h"

#include <errno.h>

static void in_order(void **state)
{
    (void)state;
    struct numbers n;
    numbers_init(&n);
    n.last = 10;
    assert_int_equal(numbers_judge(&n, 11, 100), NUMBERS_NEXT);
    numbers_advance(&n, 11, 100);
    assert_int_equal(numbers_judge(&n, 12, 101), NUMBERS_NEXT);
    assert_int_equal(numbers_judge(&n, 13, 101), NUMBERS_AHEAD);
    numbers_done(&n);
}

/* The outbox publishes again what was not confirmed: a new number, the same id. */
static void the_same_event_twice(void **state)
{
    (void)state;
    struct numbers n;
    numbers_init(&n);
    numbers_advance(&n, 1, 100);
    assert_int_equal(numbers_judge(&n, 1, 100), NUMBERS_SEEN);
    assert_int_equal(numbers_judge(&n, 2, 100), NUMBERS_REPEAT);
    numbers_advance(&n, 2, 100);
    assert_int_equal(n.last, 2);
    assert_int_equal(numbers_judge(&n, 1, 999), NUMBERS_OLD);
    numbers_done(&n);
}

static void remembers_the_latest(void **state)
{
    (void)state;
    struct numbers n;
    numbers_init(&n);
    for (uint64_t id = 1; id <= 1000; id++)
        numbers_advance(&n, id, id);
    for (uint64_t id = 1; id <= 1000; id++)
        assert_int_equal(numbers_has_seen(&n, id), id > 1000 - NUMBERS_SEEN_MAX);
    numbers_done(&n);
}

static int hold(struct numbers *n, uint64_t number, uint64_t id)
{
    struct event e = {.id = id, .number = number, .type = EVENT_MESSAGE_CREATE, .data = STR("{}")};
    return numbers_hold(n, &e, number, 1);
}

static void held_come_out_in_order(void **state)
{
    (void)state;
    static const uint64_t arrival[] = {5, 3, 9, 4, 3};
    struct numbers n;
    numbers_init(&n);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(hold(&n, arrival[i], 100 + arrival[i]), i == 4 ? -EEXIST : 0);
    assert_int_equal(numbers_first_held(&n), 3);
    assert_null(numbers_take(&n, 2));
    static const uint64_t expected[] = {3, 4, 5, 9};
    for (size_t i = 0; i < 4; i++) {
        struct held_event *h = numbers_take(&n, UINT64_MAX);
        assert_non_null(h);
        assert_int_equal(h->event.number, expected[i]);
        assert_int_equal(h->tag, expected[i]);
        held_free(h);
    }
    assert_int_equal(numbers_first_held(&n), 0);
    assert_int_equal(n.held_count, 0);
    assert_int_equal(n.held_bytes, 0);
    numbers_done(&n);
}

static void a_held_event_is_a_copy(void **state)
{
    (void)state;
    struct numbers n;
    char data[] = "{\"a\":1}";
    uint64_t mentions[] = {7, 8};
    struct event e = {.id = 1,
                      .number = 2,
                      .type = EVENT_MESSAGE_CREATE,
                      .data = str_c(data),
                      .mentions = mentions,
                      .mention_count = 2};
    numbers_init(&n);
    assert_int_equal(numbers_hold(&n, &e, 0, 0), 0);
    memset(data, 'x', sizeof data - 1);
    mentions[1] = 0;
    struct held_event *h = numbers_take(&n, 2);
    assert_str(h->event.data, "{\"a\":1}");
    assert_int_equal(h->event.mentions[1], 8);
    held_free(h);
    numbers_done(&n);
}

static void holding_is_bounded(void **state)
{
    (void)state;
    struct numbers n;
    numbers_init(&n);
    for (uint64_t i = 0; i < LIMIT_TOPIC_HELD_EVENTS; i++)
        assert_int_equal(hold(&n, 10 + i, 10 + i), 0);
    assert_int_equal(hold(&n, 9, 9), -ENOBUFS);
    numbers_done(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order),
        cmocka_unit_test(the_same_event_twice),
        cmocka_unit_test(remembers_the_latest),
        cmocka_unit_test(held_come_out_in_order),
        cmocka_unit_test(a_held_event_is_a_copy),
        cmocka_unit_test(holding_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
