/* limiter_local.c: the suite of all limiters, and its part of the limits. */
#include "tests/contract/rest-proxy/limiter_cases.h"

#include "rest-proxy/limiter_local.h"

struct limiter *cases_make(int global, int invalid_max)
{
    cases_now = 1000000;
    return limiter_local_new(&(struct limiter_local_options){global, invalid_max, cases_clock});
}

void cases_pass(struct limiter *l, int64_t ms)
{
    (void)l;
    cases_now += ms;
}

static void every_case(void)
{
    for (unsigned i = 0; i < limiter_case_count; i++) {
        print_message("  %s\n", limiter_cases[i].name);
        limiter_cases[i].body();
    }
}
ON_LOOP(every_case)

/* One of three: 5 is 2 + 2 + 1, and of 1 each takes one request in three windows. */
static void takes_its_part(void)
{
    struct limiter_key a = key("t", "POST /a", "7"), b = key("t", "POST /b", "7");
    struct limiter_outcome five = ok("five", 5, 4), one = ok("one", 1, 0);
    struct buf BUF_AUTO id = BUF_INIT(0);
    struct limiter *l = cases_make(6, 0);

    limiter_local_share(l, 3, 2);
    assert_int_equal(ask(l, &a, &id).verdict, LIMITER_GO);
    l->ops->report(l, buf_str(&id), &a, &five);
    assert_int_equal(ask(l, &a, &id).verdict, LIMITER_WAIT); /* the probe was it */
    cases_now += 5000;
    assert_int_equal(ask_many(l, &a, &id, 5).granted, 1);
    limiter_local_share(l, 3, 0);
    assert_int_equal(ask_many(l, &a, &id, 5).granted, 1); /* and of the global 6 it has 2 */
    assert_int_equal(ask(l, &b, &id).verdict, LIMITER_WAIT_GLOBAL);
    l->ops->free(l);
    l = cases_make(0, 0);
    limiter_local_share(l, 3, 2);
    assert_int_equal(ask(l, &b, &id).verdict, LIMITER_GO);
    l->ops->report(l, buf_str(&id), &b, &one);
    cases_now += 5000;
    assert_int_equal(ask(l, &b, &id).verdict, LIMITER_GO);
    l->ops->report(l, buf_str(&id), &b, &one);
    cases_now += 5000;
    assert_int_equal(ask(l, &b, &id).wait_ms, 10000);
    cases_now += 10000;
    assert_int_equal(ask(l, &b, &id).verdict, LIMITER_GO);
    l->ops->free(l);
}
ON_LOOP(takes_its_part)

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_case_test), cmocka_unit_test(takes_its_part_test)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
