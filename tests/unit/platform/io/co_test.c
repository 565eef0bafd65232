/* co.c: who runs when, sleeping, work, groups, the mutex, limits and many stacks. */
#include "tests/support/cm.h"

#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"
#include <errno.h>

static char trace[512];
static struct co *parked;

static void mark(const char *what)
{
    strncat(trace, what, sizeof(trace) - strlen(trace) - 1);
}

static int begin(void **state)
{
    (void)state;
    trace[0] = 0;
    parked = NULL;
    loop_init();
    return 0;
}

static int end(void **state)
{
    (void)state;
    assert_int_equal(co_running(), 0);
    loop_done();
    return 0;
}

static void park(void *arg)
{
    mark(arg);
    parked = co_self();
    co_suspend();
    mark(arg);
}

static void runs_until_the_first_await(void **state)
{
    (void)state;
    assert_null(co_self());
    assert_int_equal(co_spawn(park, "a"), 0);
    mark("-");
    assert_int_equal(co_running(), 1);
    co_resume(parked);
    assert_string_equal(trace, "a-a");
}

static void wakes_itself_first(void *arg)
{
    co_resume(co_self());
    mark(arg);
    co_suspend();
    mark(arg);
}

static void remembers_an_early_resume(void **state)
{
    (void)state;
    assert_int_equal(co_spawn(wakes_itself_first, "w"), 0);
    assert_string_equal(trace, "ww");
}

static void resumes_the_parked_one(void *arg)
{
    co_resume(parked);
    mark(arg);
    co_sleep(1);
    mark(arg);
    loop_stop();
}

static void never_nests_a_resume(void **state)
{
    (void)state;
    co_spawn(park, "p");
    co_spawn(resumes_the_parked_one, "r");
    assert_string_equal(trace, "pr");
    loop_run();
    assert_string_equal(trace, "prpr");
}

static void inner(void *arg)
{
    mark(arg);
    co_sleep(1);
    mark(arg);
    loop_stop();
}

static void outer(void *arg)
{
    mark(arg);
    assert_int_equal(co_spawn(inner, "i"), 0);
    mark(arg);
}

static void spawns_inside(void **state)
{
    (void)state;
    co_spawn(outer, "o");
    assert_string_equal(trace, "oio");
    loop_run();
    assert_string_equal(trace, "oioi");
}

static void add_one(void *arg)
{
    ++*(int *)arg;
}

static void works_and_sleeps(void *arg)
{
    int64_t began = clock_mono_ms();

    for (int i = 0; i < 3; i++)
        co_work(add_one, arg);
    co_sleep(10);
    if (clock_mono_ms() - began < 10)
        mark("too early");
    loop_stop();
}

static void awaits_work_and_time(void **state)
{
    int count = 0;

    (void)state;
    co_spawn(works_and_sleeps, &count);
    loop_run();
    assert_int_equal(count, 3);
    assert_string_equal(trace, "");
}

static void member(void *arg)
{
    co_sleep((int64_t)(intptr_t)arg);
    mark("m");
}

static void group(void *arg)
{
    struct co_group g = {0}, none = {0};

    (void)arg;
    co_group_wait(&none);
    for (intptr_t i = 0; i < 5; i++)
        co_group_spawn(&g, member, (void *)(5 - i));
    co_group_wait(&g);
    mark("!");
    loop_stop();
}

static void waits_for_a_group(void **state)
{
    (void)state;
    co_spawn(group, NULL);
    loop_run();
    assert_string_equal(trace, "mmmmm!");
}

static struct co_mutex lock;
static int inside, left;

static void locker(void *arg)
{
    co_mutex_lock(&lock);
    if (inside++)
        mark("two inside");
    mark(arg);
    co_sleep(1);
    inside--;
    co_mutex_unlock(&lock);
    if (--left == 0)
        loop_stop();
}

static void locks_in_order(void **state)
{
    (void)state;
    left = 3;
    co_spawn(locker, "1");
    co_spawn(locker, "2");
    co_spawn(locker, "3");
    loop_run();
    assert_string_equal(trace, "123");
    assert_false(lock.held);
}

#define MANY 3000

static struct co *all[MANY];
static int ended;

static void deep(int depth)
{
    volatile char frame[512];

    frame[0] = (char)depth;
    if (depth)
        deep(depth - 1);
    frame[511] = frame[0];
}

static void one_of_many(void *arg)
{
    all[(intptr_t)arg] = co_self();
    co_suspend();
    deep(50);
    ended++;
}

static void runs_thousands(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        ended = 0;
        for (intptr_t i = 0; i < MANY; i++)
            assert_int_equal(co_spawn(one_of_many, (void *)i), 0);
        assert_int_equal(co_running(), MANY);
        for (size_t i = 0; i < MANY; i++)
            co_resume(all[i]);
        assert_int_equal(ended, MANY);
    }
}

static void refuses_over_the_limit(void **state)
{
    static struct co *every[LIMIT_CO_MAX];
    size_t n = 0;

    (void)state;
    while (n < LIMIT_CO_MAX && co_spawn(park, "") == 0)
        every[n++] = parked;
    assert_true(n == LIMIT_CO_MAX || n == 4000);
    assert_int_equal(co_spawn(park, ""), -EBUSY);
    for (size_t i = 0; i < n; i++)
        co_resume(every[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_until_the_first_await, begin, end),
        cmocka_unit_test_setup_teardown(remembers_an_early_resume, begin, end),
        cmocka_unit_test_setup_teardown(never_nests_a_resume, begin, end),
        cmocka_unit_test_setup_teardown(spawns_inside, begin, end),
        cmocka_unit_test_setup_teardown(awaits_work_and_time, begin, end),
        cmocka_unit_test_setup_teardown(waits_for_a_group, begin, end),
        cmocka_unit_test_setup_teardown(locks_in_order, begin, end),
        cmocka_unit_test_setup_teardown(runs_thousands, begin, end),
        cmocka_unit_test_setup_teardown(refuses_over_the_limit, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
