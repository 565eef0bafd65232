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

/* The i-th of events that come one in `step_ms`. */
static uint64_t id_at(uint64_t i, uint64_t step_ms)
{
    return (i * step_ms) << 22 | 1;
}

static void remember(struct numbers *n, uint64_t from, uint64_t to, uint64_t step_ms)
{
    for (uint64_t i = from; i <= to; i++)
        numbers_advance(n, i, id_at(i, step_ms));
}

static void remembers_what_is_young(void **state)
{
    (void)state;
    struct numbers n;
    numbers_init(&n);
    remember(&n, 1, 20000, 1); /* all within the time: up to the bound */
    assert_int_equal(n.seen_cap, NUMBERS_SEEN_MAX);
    for (uint64_t i = 1; i <= 20000; i++)
        assert_int_equal(numbers_has_seen(&n, id_at(i, 1)), i > 20000 - NUMBERS_SEEN_MAX);
    numbers_done(&n);
    numbers_init(&n);
    remember(&n, 1, 5000, 1000); /* one a second: 300 are young */
    assert_in_range(n.seen_cap, 300, 1024);
    for (uint64_t i = 4700; i <= 5000; i++)
        assert_true(numbers_has_seen(&n, id_at(i, 1000)));
    numbers_done(&n);
}

static void gives_memory_back_when_it_is_quiet(void **state)
{
    (void)state;
    struct numbers n;
    numbers_init(&n);
    remember(&n, 1, 5000, 1);
    assert_int_equal(n.seen_cap, NUMBERS_SEEN_MAX);
    for (uint64_t i = 1; i <= 20000; i++) { /* then one in ten minutes */
        uint64_t id = id_at(i, 600000);
        numbers_advance(&n, 5000 + i, id);
        assert_true(numbers_has_seen(&n, id) && numbers_has_seen(&n, i > 50 ? id_at(i - 50, 600000) : id));
    }
    assert_int_equal(n.seen_cap, NUMBERS_SEEN_MIN);
    numbers_done(&n);
}

struct listed {
    uint64_t ids[8];
    unsigned count;
};

static void list_id(uint64_t id, void *arg)
{
    struct listed *l = arg;
    if (l->count < 8)
        l->ids[l->count] = id;
    l->count++;
}

static void lists_what_is_new(void **state)
{
    (void)state;
    struct numbers n;
    struct listed l = {0};
    numbers_init(&n);
    numbers_seen_since(&n, 0, list_id, &l);
    assert_int_equal(l.count, 0);
    remember(&n, 1, 3, 1000000);
    numbers_seen_since(&n, 1, list_id, &l);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.ids[0], id_at(3, 1000000));
    assert_int_equal(l.ids[1], id_at(2, 1000000));
    remember(&n, 4, 1000, 1000000); /* over and over through the smallest ring */
    l.count = 0;
    numbers_seen_since(&n, 998, list_id, &l);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.ids[1], id_at(999, 1000000));
    l.count = 0;
    numbers_seen_since(&n, 0, list_id, &l);
    assert_int_equal(l.count, NUMBERS_SEEN_MIN);
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
        cmocka_unit_test(remembers_what_is_young),
        cmocka_unit_test(gives_memory_back_when_it_is_quiet),
        cmocka_unit_test(lists_what_is_new),
        cmocka_unit_test(held_come_out_in_order),
        cmocka_unit_test(a_held_event_is_a_copy),
        cmocka_unit_test(holding_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
