/* loop.c: the order of posted calls, timers, hooks, work and signals. */
#include "tests/support/cm.h"

#include "platform/base/clock.h"
#include "platform/io/loop.h"
#include <pthread.h>
#include <signal.h>

static char trace[256];

static void mark(const char *what)
{
    strncat(trace, what, sizeof(trace) - strlen(trace) - 1);
}

static void mark_arg(void *arg)
{
    mark(arg);
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop();
}

static int begin(void **state)
{
    (void)state;
    trace[0] = 0;
    loop_init();
    return 0;
}

static int end(void **state)
{
    (void)state;
    loop_done();
    return 0;
}

static void post_then_stop(void *arg)
{
    mark(arg);
    loop_post(mark_arg, "c");
    loop_post(stop, NULL);
}

static void end_of_turn(void *arg)
{
    mark(arg);
}

static void runs_posted_calls_in_order_before_the_turn_ends(void **state)
{
    (void)state;
    loop_on_turn_end(end_of_turn, "|");
    loop_post(mark_arg, "a");
    loop_post(post_then_stop, "b");
    loop_run();
    assert_string_equal(trace, "ab|c|");
}

static void post_once(void *arg)
{
    if (trace[0] == 0) {
        mark(arg);
        loop_post(stop, NULL);
    }
}

static void does_not_block_on_what_a_turns_end_posts(void **state)
{
    int64_t began = clock_mono_ms();

    (void)state;
    loop_on_turn_end(post_once, "posted");
    struct loop_timer *late = loop_timer_new(stop, NULL);
    loop_timer_start(late, 3000, 0);
    loop_run();
    loop_timer_free(late);
    assert_true(clock_mono_ms() - began < 2900);
}

static struct loop_timer *ticker;
static int ticks;

static void tick(void *arg)
{
    (void)arg;
    if (++ticks < 3)
        return;
    loop_timer_free(ticker);
    loop_stop();
}

static void repeats_timers_and_frees_them_inside(void **state)
{
    int64_t began = clock_mono_ms();

    (void)state;
    ticks = 0;
    ticker = loop_timer_new(tick, NULL);
    loop_timer_start(ticker, 5, 5);
    struct loop_timer *never = loop_timer_new(mark_arg, "never");
    loop_timer_start(never, 1, 0);
    loop_timer_stop(never);
    loop_timer_free(never);
    loop_timer_free(NULL);
    loop_run();
    assert_int_equal(ticks, 3);
    assert_true(clock_mono_ms() - began >= 14);
    assert_string_equal(trace, "");
}

static void *post_from_thread(void *arg)
{
    loop_post_threadsafe(mark_arg, arg);
    loop_post_threadsafe(mark_arg, "2");
    loop_post_threadsafe(stop, NULL);
    return NULL;
}

static void takes_calls_from_other_threads(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, post_from_thread, "1"), 0);
    loop_run();
    pthread_join(thread, NULL);
    assert_string_equal(trace, "12");
}

static pthread_t loop_thread, work_thread;

static void work(void *arg)
{
    (void)arg;
    work_thread = pthread_self();
}

static void work_done(void *arg)
{
    mark(arg);
    loop_thread = pthread_self();
    loop_stop();
}

static void works_on_another_thread(void **state)
{
    (void)state;
    loop_work(work, work_done, "done");
    loop_run();
    assert_string_equal(trace, "done");
    assert_true(pthread_equal(loop_thread, pthread_self()));
    assert_false(pthread_equal(work_thread, pthread_self()));
}

static void signalled(void *arg)
{
    mark(arg);
    loop_stop();
}

static void raise_term(void *arg)
{
    (void)arg;
    raise(SIGTERM);
}

static void calls_back_on_sigterm_once(void **state)
{
    struct sigaction now;

    (void)state;
    loop_on_signal(signalled, "term");
    loop_post(raise_term, NULL);
    loop_run();
    assert_string_equal(trace, "term");
    assert_int_equal(sigaction(SIGTERM, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, SIG_DFL);
    assert_int_equal(sigaction(SIGPIPE, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, SIG_IGN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_posted_calls_in_order_before_the_turn_ends, begin, end),
        cmocka_unit_test_setup_teardown(does_not_block_on_what_a_turns_end_posts, begin, end),
        cmocka_unit_test_setup_teardown(repeats_timers_and_frees_them_inside, begin, end),
        cmocka_unit_test_setup_teardown(takes_calls_from_other_threads, begin, end),
        cmocka_unit_test_setup_teardown(works_on_another_thread, begin, end),
        cmocka_unit_test_setup_teardown(calls_back_on_sigterm_once, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
